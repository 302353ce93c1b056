"""Charging orders and transaction records: information first, one button (stop), nothing else to write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import (
    ChoicesCheckboxFilter,
    ChoicesDropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.backoffice import pages, scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.time import now
from apps.customers.admin import by_phone
from apps.customers.models import Customer
from apps.orders import quarantine, services
from apps.orders.enums import OrderState, RecordState, StopReason, Verdict
from apps.orders.force_end_page import ForceEndButton
from apps.orders.models import BillLine, Order, OrderEvent, TransactionRecord
from apps.orders.refund_pages import RefundButton
from apps.orders.selectors import curve_of, progress
from apps.orders.wording import (
    QUARANTINE,
    abort_words,
    bearer_words,
    bill_sentences,
    decision_words,
    event_words,
    failure_words,
    finding_words,
    quarantine_words,
    unmatchable_words,
)
from apps.piles.models import Connector
from apps.pricing.bar import CLASS_NAMES, bar
from apps.pricing.tariff import RateClass
from apps.wallet.models import Debt, Hold, JournalEntry

ORDER_TONES = {
    OrderState.PENDING: "neutral",
    OrderState.STARTING: "info",
    OrderState.CHARGING: "info",
    OrderState.STOPPING: "warning",
    OrderState.SETTLING: "warning",
    OrderState.COMPLETED: "success",
    OrderState.FAILED: "neutral",
    OrderState.ABNORMAL: "danger",
}
VERDICT_TONES = {Verdict.OK: "success", Verdict.FLAGGED: "warning", Verdict.HELD: "danger"}
RECORD_TONES = {
    RecordState.STORED: "info",
    RecordState.SETTLED: "success",
    RecordState.HELD: "warning",
    RecordState.QUARANTINED: "danger",
}
STOPPABLE = frozenset({OrderState.STARTING, OrderState.CHARGING})
_DIGITS = re.compile(r"\d+")


@admin.register(Order, site=tenant_site)
class OrderAdmin(RefundButton, ForceEndButton, ReadOnlyAdmin):
    """All charging orders."""

    show_full_result_count = False

    list_display = [
        "order_no",
        "created_shown",
        "station",
        "gun_shown",
        "customer_shown",
        "state_shown",
        "energy_shown",
        "payable_shown",
        "verdict_shown",
    ]
    list_select_related = ["station", "connector", "customer"]
    list_filter = [
        ("state", ChoicesCheckboxFilter),
        ("station", RelatedDropdownFilter),
        ("created_at", RangeDateTimeFilter),
        ("verdict", ChoicesDropdownFilter),
        ("source", ChoicesDropdownFilter),
    ]
    search_fields = ["order_no"]
    search_help_text = _("Order or transaction number, gun or pile code, whole phone number")
    actions_detail = ["stop_charge", "force_end", "apply_refund"]
    change_form_template = "backoffice/order.html"
    export = [
        (_("order number"), "order_no"),
        (_("transaction number"), "transaction_no"),
        (_("created at"), "created_at"),
        (_("station"), "station.name"),
        (_("gun"), "connector.code"),
        (_("customer"), "customer.masked_phone"),
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
        (_("paid from principal"), "paid_principal"),
        (_("paid from bonus"), "paid_bonus"),
        (_("debt"), "debt"),
        (_("electricity fee refunded"), "refunded_electricity"),
        (_("service fee refunded"), "refunded_service"),
        (_("audit verdict"), "get_verdict_display"),
    ]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Order], search_term: str
    ) -> tuple[QuerySet[Order], bool]:
        """By a whole number of any kind: each kind has a shape, so one index answers."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if not _DIGITS.fullmatch(term):
            return queryset.filter(Q(order_no=term.upper()) | Q(customer__nickname__icontains=term)), False
        match len(term):
            case 32:
                wanted = Q(transaction_no=term)
            case 16:
                wanted = Q(connector__code=term)
            case 14:
                wanted = Q(connector__pile__pile_code=term)
            case _:
                wanted = Q(customer__phone=by_phone(term))
        return queryset.filter(wanted), False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Newest first."""
        return super().get_queryset(request).order_by("-id")

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
        return {
            "order": order,
            "progress": progress(order=order),
            "running": order.state in STOPPABLE | {OrderState.STOPPING},
            "state_label": shown.state(order, ORDER_TONES),
            "verdict_label": shown.state(order, VERDICT_TONES, "verdict"),
            "failure": failure_words(order.fail_reason) if order.fail_reason else "",
            "length": order.ended_at - order.started_at if order.started_at and order.ended_at else None,
            "events": [event_row(event) for event in order.events.all()],
            "abort_words": abort_words(order.abort_words),
            "curve": curve_panel(order),
            "sentences": bill_sentences(order),
            "bearers": [
                f"{step['name']}: {words}" for step in order.explanation if (words := bearer_words(step))
            ],
            "lines": [line_row(line) for line in order.lines.all()],
            "pile_total": sum((line.pile_amount for line in order.lines.all() if line.pile_amount), start=0),
            "bar": bar(tariff, order.started_at or order.created_at),
            "same_tariff": order.tariff == order.retail_tariff,
            "hold": Hold.objects.filter(order_no=order.order_no).first(),
            "debt_row": Debt.objects.filter(order_no=order.order_no).first(),
            "entries": list(
                JournalEntry.objects.filter(
                    reference__in=[order.order_no, *order.refunds.values_list("refund_no", flat=True)]
                )
                .prefetch_related("postings__account")
                .order_by("id")
            ),
            "findings": [
                {"text": finding_words(finding), "tone": VERDICT_TONES.get(finding["verdict"], "neutral")}
                for finding in order.findings
            ],
            "records": [
                record_row(record)
                for record in TransactionRecord.objects.filter(transaction_no=order.transaction_no)
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

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: Order) -> str:
        """To the minute."""
        return shown.minute(obj.created_at)

    @display(description=_("gun"), ordering="connector__code")
    def gun_shown(self, obj: Order) -> str:
        """The gun's code."""
        return obj.connector.code

    @display(description=_("customer"), ordering="customer")
    def customer_shown(self, obj: Order) -> str:
        """Nickname or masked number."""
        return str(obj.customer)

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


def curve_panel(order: Order) -> dict[str, Any] | None:
    """Return a charge's curve for chart and table; None while nothing is known of it."""
    points = curve_of(order)
    if not points:
        return None
    names = [
        _("power (kW)"),
        _("SOC (%)"),
        _("voltage (V)"),
        _("current (A)"),
        _("energy (kWh)"),
        _("temperature (°C)"),
    ]
    start = order.charging_at or order.started_at or order.created_at
    return {
        "chart": {
            "names": [str(name) for name in names],
            "minutes": [round(point[0] / 60, 1) for point in points],
            "series": [[point[place] for point in points] for place in range(1, len(names) + 1)],
        },
        "names": names,
        "rows": [{"at": start + timedelta(seconds=point[0]), "values": point[1:]} for point in points],
    }


def event_row(event: OrderEvent) -> dict[str, Any]:
    """Return an event as a line of the timeline."""
    moved = event.from_state != event.to_state
    reason = event.data.get("reason", "")
    return {
        "at": event.at,
        "words": event_words(event.kind),
        "actor": event.actor_name if event.actor_kind not in ("system", "") else "",
        "to": event.get_to_state_display() if moved else "",  # type: ignore[attr-defined]
        "tone": ORDER_TONES[OrderState(event.to_state)],
        "reason": failure_words(reason)
        if event.kind == "start_failed" and reason
        else decision_words(event.data),
    }


def line_row(line: BillLine) -> dict[str, Any]:
    """Return a bill line with its class in words and its sum."""
    rate_class = RateClass(line.rate_class)
    return {
        "line": line,
        "rate_class": rate_class.value,
        "name": CLASS_NAMES[rate_class],
        "total": line.electricity_fee + line.service_fee,
    }


def record_row(record: TransactionRecord) -> dict[str, Any]:
    """Return a record with its bytes in hexadecimal and its reason in words."""
    return {
        "record": record,
        "label": shown.state(record, RECORD_TONES),
        "hex": bytes(record.body).hex(" ", 1).upper(),
        "report": record.report or {},
        "reason": quarantine_words(record.reason) if record.reason else "",
    }


_TIMES = frozenset({"start_time", "end_time", "transaction_time"})
REPORT_NAMES = {
    "start_time": _("started at"),
    "end_time": _("ended at"),
    "transaction_time": _("transaction time"),
    "meter_start": _("meter at the start (kWh)"),
    "meter_end": _("meter at the end (kWh)"),
    "total_energy_kwh": _("energy (kWh)"),
    "total_loss_energy_kwh": _("energy with losses (kWh)"),
    "total_amount": _("pile's amount (yuan)"),
    "vin": _("VIN"),
    "start_mode": _("way of starting"),
    "stop_code": _("pile's stop code"),
    "physical_card_no": _("card number"),
}


def report_rows(record: TransactionRecord) -> list[tuple[Any, str]]:
    """Return the facts of a decoded record with their names in words."""
    report = record.report or {}
    rows = []
    for name, title in REPORT_NAMES.items():
        value = report.get(name)
        if name in _TIMES and value:
            value = shown.moment(datetime.fromisoformat(value))
        rows.append((title, shown.EMPTY if value in (None, "") else str(value)))
    return rows if report else []


def period_rows(record: TransactionRecord) -> list[dict[str, Any]]:
    """Return a decoded record's rate classes."""
    return [
        {"rate_class": name, "name": CLASS_NAMES[RateClass(name)], **period}
        for name, period in ((record.report or {}).get("periods") or {}).items()
    ]


class MatchForm(BaseDialogForm):
    """Which order a record belongs to, and why."""

    order_no = forms.CharField(label=_("order number"), max_length=32, widget=UnfoldAdminTextInputWidget)
    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


class RejectForm(BaseDialogForm):
    """Why a record is not billed."""

    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)


class ReasonFilter(admin.SimpleListFilter):
    """Why records are in quarantine."""

    title = _("reason")
    parameter_name = "why"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The reasons in words."""
        return list(QUARANTINE.items())

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TransactionRecord]
    ) -> QuerySet[TransactionRecord]:
        """By one reason."""
        return queryset.filter(reason=self.value()) if self.value() else queryset


@admin.register(TransactionRecord, site=tenant_site)
class TransactionRecordAdmin(ReadOnlyAdmin):
    """Records as piles sent them, and the workbench of those in quarantine."""

    show_full_result_count = False

    list_display = [
        "transaction_no",
        "received_shown",
        "gun_shown",
        "state_shown",
        "reason_shown",
        "order",
        "times_received",
    ]
    list_select_related = ["order"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ReasonFilter,
        ("received_at", RangeDateTimeFilter),
    ]
    list_before_template = "backoffice/record_chips.html"
    search_fields = ["transaction_no"]
    search_help_text = _("Transaction number or pile code")
    actions_detail = ["match_order", "reject_record"]
    change_form_template = "backoffice/record.html"
    export = [
        (_("transaction number"), "transaction_no"),
        (_("pile code"), "pile_code"),
        (_("connector number"), "connector_no"),
        (_("received at"), "received_at"),
        (_("state"), "get_state_display"),
        (_("reason"), lambda row: quarantine_words(row.reason)),
        (_("order"), "order.order_no"),
        (_("times received"), "times_received"),
        (_("decided by"), "decided_by"),
        (_("decision"), "decision"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The number of records that wait for a person, above the list."""
        waiting = scope.narrow(
            TransactionRecord.objects.filter(state=RecordState.QUARANTINED), request.user
        ).count()
        return super().changelist_view(request, {"quarantined": waiting, **(extra_context or {})})

    # --- The record's own page ---

    def detail(self, request: HttpRequest, obj: TransactionRecord) -> dict[str, Any]:
        """What the pile said, what it may belong to, and what was decided."""
        waiting = obj.state == RecordState.QUARANTINED
        found = quarantine.candidates(record=obj) if waiting and self.allowed(request, "view_order") else []
        found = [one for one in found if scope.sees_station(request.user, one.order.station_id)]
        return {
            "record": obj,
            "row": record_row(obj),
            "waiting": waiting,
            "report": report_rows(obj),
            "periods": period_rows(obj),
            "candidates": [
                {
                    "candidate": one,
                    "label": shown.state(one.order, ORDER_TONES),
                    "obstacle": unmatchable_words(one.obstacle) if one.obstacle else "",
                    "same_gun": one.order.connector.code == f"{obj.pile_code}{obj.connector_no}",
                }
                for one in found
            ],
        }

    @action(
        description=_("Match to an order"),
        url_path="match",
        icon="link",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
        dialog={
            "title": _("Match to an order"),
            "description": _(
                "The order is audited and billed by this record, and the driver is charged. It cannot be undone here."
            ),
            "form_class": MatchForm,
            "form_submit_text": _("Match and settle"),
        },
    )
    def match_order(self, request: HttpRequest, form: MatchForm, object_id: str) -> HttpResponse:
        """Settle an order by the record."""
        record, words = self.row(request, object_id), form.cleaned_data
        try:
            with transaction.atomic():
                decided = quarantine.match(
                    record_id=record.pk,
                    order_no=words["order_no"].strip(),
                    reason=words["reason"],
                    actor=staff_actor(request),
                )
                changes = {"state": [record.state, decided.state], "order": [None, words["order_no"].strip()]}
                self.audit(request, "matched", decided, changes=changes, reason=words["reason"])
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, record)
        if decided.state == RecordState.HELD:
            messages.warning(request, _("The audit holds the order: it stays abnormal."))
            return self.back_to(request, record)
        return self.back_to(request, record, _("The order is settled by this record."))

    @action(
        description=_("Reject"),
        url_path="reject",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog={
            "title": _("Reject this record"),
            "description": _("Nothing is billed. The record is kept, with your name and reason."),
            "form_class": RejectForm,
            "form_submit_text": _("Reject"),
        },
    )
    def reject_record(self, request: HttpRequest, form: RejectForm, object_id: str) -> HttpResponse:
        """Close the record without billing it."""
        record, reason = self.row(request, object_id), form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                decided = quarantine.reject(record_id=record.pk, reason=reason, actor=staff_actor(request))
                changes = {"state": [record.state, decided.state]}
                self.audit(request, "rejected", decided, changes=changes, reason=reason)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, record)
        return self.back_to(request, record, _("The record is rejected."))

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may decide; the buttons show while there is something to decide."""
        if not self.allowed(request, "decide_record"):
            return False
        return (
            object_id is None
            or TransactionRecord.objects.filter(pk=object_id, state=RecordState.QUARANTINED).exists()
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[TransactionRecord], search_term: str
    ) -> tuple[QuerySet[TransactionRecord], bool]:
        """By a whole number."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(transaction_no=term) | Q(pile_code=term)), False

    @display(description=_("received at"), ordering="id")
    def received_shown(self, obj: TransactionRecord) -> str:
        """To the second."""
        return shown.moment(obj.received_at)

    @display(description=_("gun"))
    def gun_shown(self, obj: TransactionRecord) -> str:
        """The full code."""
        return f"{obj.pile_code}{obj.connector_no}"

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: TransactionRecord) -> str:
        """As a label."""
        return shown.state(obj, RECORD_TONES)

    @display(description=_("reason"), ordering="reason")
    def reason_shown(self, obj: TransactionRecord) -> str:
        """Why it is in quarantine."""
        return quarantine_words(obj.reason) if obj.reason else shown.EMPTY


# --- What pages of lower apps show of orders --------------------------------------------------------------


def newest(orders: QuerySet[Order]) -> list[dict[str, Any]]:
    """Return the newest orders as lines of a panel."""
    rows = orders.select_related("station", "customer", "connector").order_by("-id")[:10]
    return [{"order": order, "label": shown.state(order, ORDER_TONES)} for order in rows]


def gun_panel(request: HttpRequest, gun: Connector) -> dict[str, Any]:
    """Return the newest orders of a gun."""
    return {"rows": newest(scope.narrow(Order.objects.filter(connector=gun), request.user))}


def customer_panel(request: HttpRequest, customer: Customer) -> dict[str, Any]:
    """Return the newest orders of a customer, and those of the last 30 days as a number."""
    orders = scope.narrow(Order.objects.filter(customer=customer), request.user)
    return {
        "rows": newest(orders),
        "recent": orders.filter(created_at__gte=now() - timedelta(days=30)).count(),
    }


PANELS: Sequence[tuple[Any, Any]] = ((Connector, gun_panel), (Customer, customer_panel))
for model, context in PANELS:
    pages.add_panel(
        model, pages.Panel(_("Newest orders"), "backoffice/newest_orders.html", context, "orders.view_order")
    )


# Pages of their own, found by the admin through this module.
from apps.orders import abnormal_pages, energy_admin, policy_pages  # noqa: E402, F401
