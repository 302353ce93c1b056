"""Charging orders: information first; stopping is the only thing to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Case, Q, QuerySet, When
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    ChoicesCheckboxFilter,
    ChoicesDropdownFilter,
    DropdownFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from apps.backoffice import shown
from apps.backoffice.admin import Export, ReadOnlyAdmin
from apps.backoffice.paging import CappedPaginator
from apps.backoffice.people import staff_actor
from apps.backoffice.saved_filters import SavedFilters
from apps.backoffice.scope import is_outsider
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.customers.admin import by_phone
from apps.customers.models import Customer, Payer
from apps.orders import services
from apps.orders.admin.force_end import ForceEndButton
from apps.orders.admin.refunds import RefundButton
from apps.orders.admin.rows import (
    ORDER_TONES,
    VERDICT_TONES,
    curve_panel,
    event_row,
    line_row,
    payment_rows,
    record_row,
)
from apps.orders.enums import OrderState, StopReason
from apps.orders.models import Order, TransactionRecord
from apps.orders.models.orders import BEGAN_HOUR
from apps.orders.selectors import progress
from apps.orders.wording import abort_words, bearer_words, bill_sentences, failure_words, finding_words
from apps.pricing.bar import bar
from apps.wallet.models import Debt, Hold, JournalEntry

STOPPABLE = frozenset({OrderState.STARTING, OrderState.CHARGING})
PURSES = frozenset({"get_payer_display", "paid_principal", "paid_bonus", "paid_enterprise", "debt"})
"""Columns that tell of a driver's wallet, or enterprise."""
FEW_CUSTOMERS = 2_000
"""So many are asked for by number: the database then knows how rare their orders are. It takes every part of a name for
rare, and would begin with the customers; with more than these it is told to begin with the newest orders."""
_DIGITS = re.compile(r"\d+")
_ORDER_NO = re.compile(r"[A-Za-z]\d{12,}")


class HourFilter(DropdownFilter):
    """The hour of the day in which charging began, as reports group by it."""

    title = _("hour in which it began")
    parameter_name = "hour"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Every hour of a day in Shanghai."""
        return [(str(hour), f"{hour:02}:00–{hour + 1:02}:00") for hour in range(24)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one of them; what is no hour finds nothing."""
        if not self.value():
            return queryset
        if self.value() not in dict(self.lookup_choices):
            return queryset.none()
        return queryset.alias(began_hour=BEGAN_HOUR).filter(began_hour=int(self.value() or 0))


class PayerFilter(DropdownFilter):
    """Orders that drivers pay, or enterprises; those of enterprises by the index of the latter."""

    title = _("paid by")
    parameter_name = "payer"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both, but for people of other companies."""
        return [] if is_outsider(request.user) else list(Payer.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one of them."""
        return queryset.filter(payer=self.value()) if self.value() in dict(self.lookup_choices) else queryset


@admin.register(Order, site=tenant_site)
class OrderAdmin(SavedFilters, RefundButton, ForceEndButton, ReadOnlyAdmin):
    """All charging orders."""

    show_full_result_count = False
    paginator = CappedPaginator
    ordering = ("-created_at", "-id")  # newest first; each filter has an index that ends with the time

    list_display = [
        "order_no",
        "created_shown",
        "place_shown",
        "customer_shown",
        "source_shown",
        "state_shown",
        "energy_shown",
        "payable_shown",
        "verdict_shown",
    ]
    list_select_related = ["station", "connector", "customer", "enterprise"]
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("station", RelatedDropdownFilter),
        ("created_at", TimeFilter),
        ("verdict", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
        PayerFilter,
        HourFilter,
    ]
    search_fields = ["order_no"]
    search_help_text = _("Order or transaction number, gun or pile code, whole phone number")
    actions_list = [*ReadOnlyAdmin.actions_list, "save_filter"]
    actions_detail = ["stop_charge", "force_end", "apply_refund"]
    change_form_template = "backoffice/order.html"
    export = [
        (_("order number"), "order_no"),
        (_("transaction number"), "transaction_no"),
        (_("created at"), "created_at"),
        (_("station"), "station.name"),
        (_("gun"), "connector.code"),
        (_("customer"), "customer.masked_phone"),
        (_("source"), "get_source_display"),
        (_("state"), "get_state_display"),
        (_("started at"), "started_at"),
        (_("ended at"), "ended_at"),
        (_("energy (kWh)"), "energy_kwh"),
        (_("electricity fee"), "electricity_fee"),
        (_("service fee"), "service_fee"),
        (_("enterprise discount"), "enterprise_discount"),
        (_("coupon discount"), "coupon_discount"),
        (_("discount borne by the platform"), "platform_borne"),
        (_("discount borne by the station"), "station_borne"),
        (_("electricity payable"), "electricity_payable"),
        (_("service payable"), "service_payable"),
        (_("payable"), "payable"),
        (_("paid by"), "get_payer_display"),
        (_("paid from principal"), "paid_principal"),
        (_("paid from bonus"), "paid_bonus"),
        (_("paid by the enterprise"), "paid_enterprise"),
        (_("debt"), "debt"),
        (_("electricity fee refunded"), "refunded_electricity"),
        (_("service fee refunded"), "refunded_service"),
        (_("audit verdict"), "get_verdict_display"),
    ]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Drivers masked for people of other companies."""
        columns = super().get_list_display(request)
        if is_outsider(request.user):
            columns = ["masked_shown" if column == "customer_shown" else column for column in columns]
        return columns

    def export_for(self, person: Any) -> Sequence[Export]:
        """Without what of a driver's wallet paid, for people of other companies."""
        own = super().export_for(person)
        return [one for one in own if one[1] not in PURSES] if is_outsider(person) else own

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """By a whole number of any kind: each kind has a shape, so one index answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if _ORDER_NO.fullmatch(term):
            return queryset.filter(order_no=term.upper()), False
        masked = is_outsider(request.user)  # whoever sees drivers masked cannot try out who they are
        if not _DIGITS.fullmatch(term):
            if masked:
                return queryset.none(), False
            named = Customer.objects.filter(nickname__icontains=term).values_list("pk", flat=True)
            few = list(named.order_by()[: FEW_CUSTOMERS + 1])
            if len(few) <= FEW_CUSTOMERS:
                return queryset.filter(customer__in=few), False
            return queryset.filter(Case(When(customer__in=named, then=True), default=False)), False
        match len(term):
            case 32:
                wanted = Q(transaction_no=term)
            case 16:
                wanted = Q(connector__code=term)
            case 14:
                wanted = Q(connector__pile__pile_code=term)
            case _:
                wanted = Q(pk__in=()) if masked else Q(customer__phone=by_phone(term))
        return queryset.filter(wanted), False

    # --- The order's own page ---

    def detail(self, request: HttpRequest, obj: Order) -> dict[str, Any]:
        """Everything that is known of the order, in the order in which staff ask for it."""
        order = Order.objects.select_related(
            "station",
            "connector__pile",
            "connector__status",
            "customer",
            "price_version__template",
            "enterprise",
            "coupon",
        ).get(pk=obj.pk)
        tariff = order.frozen_retail_tariff()
        outsider = is_outsider(request.user)
        entries = list(
            JournalEntry.objects.filter(
                reference__in=[order.order_no, *order.refunds.values_list("refund_no", flat=True)]
            )
            .prefetch_related("postings__account")
            .order_by("id")
        )
        return {
            "order": order,
            "outsider": outsider,
            "progress": progress(order=order),
            "running": order.state in STOPPABLE | {OrderState.STOPPING},
            "state_label": shown.state(order, ORDER_TONES),
            "verdict_label": shown.state(order, VERDICT_TONES, "verdict"),
            "failure": failure_words(order.fail_reason) if order.fail_reason else "",
            "length": order.ended_at - order.started_at if order.started_at and order.ended_at else None,
            "events": [
                event_row(event, driver=order.customer.masked_phone if outsider else "")
                for event in order.events.all()
            ],
            "abort_words": abort_words(order.abort_words),
            "curve": curve_panel(order),
            "sentences": bill_sentences(order, with_names=not outsider),
            "bearers": [
                words if outsider else f"{step['name']}: {words}"
                for step in order.explanation
                if (words := bearer_words(step))
            ],
            "lines": [line_row(line) for line in order.lines.all()],
            "pile_total": sum((line.pile_amount for line in order.lines.all() if line.pile_amount), start=0),
            "bar": bar(tariff, order.started_at or order.created_at),
            "same_tariff": order.tariff == order.retail_tariff,
            "hold": Hold.objects.filter(order_no=order.order_no).first(),
            "debt_row": Debt.objects.filter(order_no=order.order_no).first(),
            "entries": entries,
            "payments": payment_rows(entries),
            "findings": [
                {"text": finding_words(finding), "tone": VERDICT_TONES.get(finding["verdict"], "neutral")}
                for finding in order.findings
            ],
            "records": [
                record_row(record)
                for record in TransactionRecord.objects.filter(
                    Q(transaction_no=order.transaction_no)
                    | Q(order=order)  # a further gun's, or matched by hand
                )
            ],
            "phone": order.customer.phone
            if request.user.has_perm("customers.view_phone")
            else order.customer.masked_phone,  # type: ignore[union-attr]
        }

    @action(
        description=_("Stop charging"),
        url_path="stop",
        icon="stop_circle",
        variant=ActionVariant.DANGER,
        permissions=["stop"],
        dialog={
            "title": _("Stop this charge?"),
            "description": _(
                "The pile is told to stop. The order is billed when its record arrives; what was not used is released."
            ),
            "form_class": BaseDialogForm,
            "form_submit_text": _("Stop charging"),
        },
    )
    def stop_charge(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Ask the pile to stop."""
        order = self.row(request, object_id)
        before = order.state
        stopped = services.stop_charge(
            order_no=order.order_no, actor=staff_actor(request), reason=StopReason.STAFF
        )
        self.audit(request, "stop_requested", stopped, changes={"state": [before, stopped.state]})
        return self.back_to(request, order, _("The stop is sent."))

    def has_stop_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may stop charges; the button shows while there is something to stop."""
        if not self.allowed(request, "stop_order"):
            return False
        return (
            object_id is None
            or Order.objects.filter(pk=object_id, state__in=STOPPABLE, stop_requested_at=None).exists()
        )

    # --- Columns ---

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: Order) -> str:
        """To the minute."""
        return shown.minute(obj.created_at)

    @display(description=_("station and gun"), ordering="station")
    def place_shown(self, obj: Order) -> SafeString:
        """The station, and below it the gun's code: one column, so that the list fits."""
        return format_html('{}<br><span class="bo-muted">{}</span>', obj.station, obj.connector.code)

    @display(description=_("customer"), ordering="customer")
    def customer_shown(self, obj: Order) -> str | SafeString:
        """Nickname or masked number, and below it the enterprise that pays."""
        if obj.payer != Payer.ENTERPRISE:
            return str(obj.customer)
        return format_html('{}<br><span class="bo-muted">{}</span>', obj.customer, obj.enterprise)

    @display(description=_("customer"))
    def masked_shown(self, obj: Order) -> str:
        """The masked number."""
        return obj.customer.masked_phone

    @display(description=_("source"), ordering="source")
    def source_shown(self, obj: Order) -> str:
        """How the charge was started, or who sold it."""
        return str(obj.get_source_display())

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Order) -> str:
        """As a label."""
        return shown.state(obj, ORDER_TONES)

    @display(description=_("energy (kWh)"), ordering="energy_kwh")
    def energy_shown(self, obj: Order) -> str:
        """Billed energy."""
        return f"{obj.energy_kwh:.4f}" if obj.settled_at else shown.EMPTY

    @display(description=_("payable (yuan)"), ordering="payable")
    def payable_shown(self, obj: Order) -> str:
        """Of the bill."""
        return shown.yuan(obj.payable) if obj.settled_at else shown.EMPTY

    @display(description=_("audit"), ordering="verdict")
    def verdict_shown(self, obj: Order) -> str:
        """The verdict as a label."""
        return shown.state(obj, VERDICT_TONES, "verdict")
