"""The queue of abnormal orders, and the workbench of one: its figures side by side, and the ways to close it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, pgettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.backoffice import approvals, scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm
from apps.backoffice.enums import ApprovalState
from apps.backoffice.models import Approval
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.time import now
from apps.orders import abnormal
from apps.orders.admin.orders import OrderAdmin
from apps.orders.admin.rows import VERDICT_TONES, curve_panel, event_row, record_row
from apps.orders.enums import OrderState
from apps.orders.models import AbnormalOrder, Order, OrderEvent
from apps.orders.selectors import billing_policy
from apps.orders.settlement import SettlementError, settle
from apps.orders.wording import event_words, finding_words
from apps.pricing.bar import CLASS_NAMES
from apps.pricing.tariff import RateClass
from apps.wallet.enums import HoldState
from apps.wallet.models import Hold

WHY = ("held_for_review", "record_missing", "force_ended")
OLD = timedelta(hours=24)


class WhyFilter(admin.SimpleListFilter):
    """Why orders are abnormal."""

    title = _("why it waits")
    parameter_name = "why"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """The events that make an order abnormal."""
        return [(kind, event_words(kind)) for kind in WHY]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By one of them."""
        return queryset.filter(why=self.value()) if self.value() else queryset


class AgeFilter(admin.SimpleListFilter):
    """For how long they have waited."""

    title = pgettext_lazy("duration", "waits for")
    parameter_name = "age"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Longer or shorter than a day."""
        return [("old", _("more than a day")), ("new", _("less than a day"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """By age."""
        limit = now() - OLD
        if self.value() == "old":
            return queryset.filter(since__lt=limit)
        return queryset.filter(since__gte=limit) if self.value() == "new" else queryset


class EnergyForm(BaseDialogForm):
    """The energies that a person bills, and why."""

    def __init__(self, request: HttpRequest, object_id: Any = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, object_id, *args, **kwargs)
        order = (
            AbnormalOrder.objects.select_related("connector__pile").filter(pk=whole_number(object_id)).first()
        )
        if order is not None:
            found = abnormal.evidence(order=order)
            known = found.assessment.energies if found.assessment else found.sampled
            for rate_class in order.frozen_retail_tariff().prices:
                self.fields[rate_class.value] = forms.DecimalField(
                    label=_("%(name)s (kWh)") % {"name": CLASS_NAMES[rate_class]},
                    min_value=0,
                    max_digits=11,
                    decimal_places=4,
                    initial=known.get(rate_class, Decimal("0.0000")),
                    widget=UnfoldAdminTextInputWidget,
                )
        self.fields["reason"] = forms.CharField(
            label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget
        )

    def energies(self) -> dict[str, str]:
        """Return {class: kWh} as text."""
        return {
            rate_class.value: f"{self.cleaned_data[rate_class.value]:f}"
            for rate_class in RateClass
            if rate_class.value in self.cleaned_data
        }


@admin.register(AbnormalOrder, site=tenant_site)
class AbnormalOrderAdmin(ReadOnlyAdmin):
    """Orders that wait for a person."""

    show_full_result_count = False
    list_display = [
        "order_no",
        "age_shown",
        "why_shown",
        "station",
        "customer_shown",
        "held_shown",
        "proposal_shown",
        "findings_shown",
        "asked_shown",
    ]
    list_select_related = ["station", "connector", "customer"]
    list_filter = [
        WhyFilter,
        AgeFilter,
        ("station", RelatedDropdownFilter),
        ("created_at", TimeFilter),
    ]
    search_fields = ["order_no"]
    search_help_text = OrderAdmin.search_help_text
    change_form_template = "backoffice/abnormal_order.html"
    actions_detail = ["recompute", "settle_as_proposed", "adjust", "close_unbilled"]
    export = [
        (_("order number"), "order_no"),
        (_("transaction number"), "transaction_no"),
        (_("abnormal since"), "since"),
        (_("why it waits"), lambda row: event_words(row.why or "")),
        (_("station"), "station.name"),
        (_("gun"), "connector.code"),
        (_("customer"), "customer.masked_phone"),
        (_("hold"), lambda row: row.held if row.held is not None else ""),
        (_("proposal (yuan)"), lambda row: proposal_of(row) or ""),
        (_("audit findings"), lambda row: " ".join(finding_words(one) for one in row.findings)),
    ]
    get_search_results = OrderAdmin.get_search_results

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbnormalOrder]:
        """With when and why each became abnormal, its proposal and its held money; the oldest first."""
        became = (
            OrderEvent.objects.filter(order=OuterRef("pk"), to_state=OrderState.ABNORMAL)
            .exclude(from_state=OrderState.ABNORMAL)
            .order_by("-id")
        )
        hold = Hold.objects.filter(order_no=OuterRef("order_no"), state=HoldState.OPEN)
        rows = AbnormalOrder.objects.annotate(
            since=Subquery(became.values("at")[:1]),
            why=Subquery(became.values("kind")[:1]),
            told=Subquery(became.values("data")[:1]),
            held=Subquery(hold.annotate(total=F("principal") + F("bonus")).values("total")[:1]),
        ).order_by("since", "id")
        # Not the base's: it would order by columns that are not there yet.
        return scope.narrow(rows, request.user)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Who has waited longest comes first."""
        return ("since", "id")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Waiting approvals of the rows of this page, in one query."""
        response = super().changelist_view(request, extra_context)
        changes = (getattr(response, "context_data", None) or {}).get("cl")
        if changes is not None:
            rows = list(changes.result_list)
            asked = pending_of([row.pk for row in rows])
            for row in rows:
                row.asked = asked.get(str(row.pk))
        return response

    # --- The workbench ---

    def detail(self, request: HttpRequest, obj: AbnormalOrder) -> dict[str, Any]:
        """All figures of the order side by side."""
        order = Order.objects.select_related("station", "connector__pile", "customer", "price_version").get(
            pk=obj.pk
        )
        found = abnormal.evidence(order=order)
        policy = billing_policy()
        findings = (
            [one.to_json() for one in found.assessment.findings] if found.assessment else order.findings
        )
        approvals_of = Approval.objects.filter(object_kind="orders.order", object_id=str(order.pk))
        return {
            "order": order,
            "row": obj,
            "why": event_words(obj.why or ""),  # type: ignore[attr-defined]
            "age": now() - obj.since if obj.since else None,  # type: ignore[attr-defined]
            "held": obj.held,  # type: ignore[attr-defined]
            "verdict_label": shown.label(
                found.assessment.verdict.label, VERDICT_TONES.get(found.assessment.verdict, "neutral")
            )
            if found.assessment
            else "",
            "findings": [
                {"text": finding_words(finding), "tone": VERDICT_TONES.get(finding["verdict"], "neutral")}
                for finding in findings
            ],
            "classes": class_rows(order, found),
            "totals": total_rows(order, found),
            "policy": policy,
            "records": [record_row(record) for record in found.records],
            "missing": not abnormal.is_complete(order, found.records),
            "curve": curve_panel(order),
            "events": [event_row(event) for event in order.events.all()],
            "requests": [
                {
                    "approval": one,
                    "title": approvals.title_of(one.operation),
                    "label": shown.state(one, REQUEST_TONES),
                }
                for one in approvals_of[:10]
            ],
        }

    @action(
        description=_("Recompute"),
        url_path="recompute",
        icon="refresh",
        permissions=["decide"],
        dialog={
            "title": _("Audit and settle anew?"),
            "description": _(
                "By its records and the billing policy of now, after the policy or the records changed. What the audit "
                "still holds stays here."
            ),
            "form_class": ReasonForm,
            "form_submit_text": _("Recompute"),
        },
    )
    def recompute(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Ask for a settlement by the rules of now."""
        return self._ask(request, object_id, form, abnormal.request_recompute)

    @action(
        description=_("Settle as proposed"),
        url_path="settle",
        icon="price_check",
        variant=ActionVariant.PRIMARY,
        permissions=["decide"],
        dialog={
            "title": _("Settle as proposed?"),
            "description": _("The records are billed by the frozen prices, although the audit holds them."),
            "form_class": ReasonForm,
            "form_submit_text": _("Ask for it"),
        },
    )
    def settle_as_proposed(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Ask for a settlement by the records."""
        return self._ask(request, object_id, form, abnormal.request_settlement)

    @action(
        description=_("Enter energies"),
        url_path="adjust",
        icon="edit",
        permissions=["decide"],
        dialog={
            "title": _("Bill other energies"),
            "description": _("Energies by class, billed at the prices that were frozen at the start."),
            "form_class": EnergyForm,
            "form_submit_text": _("Ask for it"),
        },
    )
    def adjust(self, request: HttpRequest, form: EnergyForm, object_id: str) -> HttpResponse:
        """Ask for a settlement by other energies."""
        return self._ask(request, object_id, form, abnormal.request_adjustment, energies=form.energies())

    @action(
        description=_("Close without a bill"),
        url_path="close",
        icon="money_off",
        variant=ActionVariant.DANGER,
        permissions=["decide"],
        dialog={
            "title": _("Close without a bill?"),
            "description": _("The driver pays nothing; the held money and the coupon are given back."),
            "form_class": ReasonForm,
            "form_submit_text": _("Ask for it"),
        },
    )
    def close_unbilled(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Ask for a closing without a bill."""
        return self._ask(request, object_id, form, abnormal.request_closing)

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        form: BaseDialogForm,
        ask: Callable[..., Approval],
        **words: Any,
    ) -> HttpResponse:
        order = self.row(request, object_id)
        try:
            approval = ask(
                order_no=order.order_no,
                actor=staff_actor(request),
                reason=form.cleaned_data["reason"],
                address=client_address(request),
                **words,
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, order)
        if approval.state == ApprovalState.PENDING:
            messages.warning(request, gettext("Asked for. It waits for a second person to approve it."))
        elif AbnormalOrder.objects.filter(pk=order.pk).exists():
            messages.warning(request, gettext("The audit still holds the order: it stays abnormal."))
        else:
            messages.success(request, gettext("The order is closed."))
        return self.back_to(request, order)

    def back_to(self, request: HttpRequest, obj: Any, message: Any = "") -> HttpResponse:
        """Back to the workbench, or to the order's own page once it is closed."""
        if AbnormalOrder.objects.filter(pk=obj.pk).exists():
            return super().back_to(request, obj, message)
        if message:
            messages.success(request, message)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:orders_order_change", args=[obj.pk])})

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for a decision."""
        return self.allowed(request, "decide_abnormalorder")

    # --- Columns ---

    @display(description=pgettext_lazy("duration", "waits for"))
    def age_shown(self, obj: Any) -> str:
        """For how long."""
        return shown.duration(now() - obj.since) if obj.since else shown.EMPTY

    @display(description=_("why it waits"))
    def why_shown(self, obj: Any) -> str:
        """In words."""
        return event_words(obj.why or "") or shown.EMPTY

    @display(description=_("customer"), ordering="customer")
    def customer_shown(self, obj: Any) -> str:
        """Nickname or masked number."""
        return str(obj.customer)

    @display(description=_("held (yuan)"))
    def held_shown(self, obj: Any) -> str:
        """Money that the customer cannot use meanwhile."""
        return shown.yuan(obj.held)

    @display(description=_("proposal (yuan)"))
    def proposal_shown(self, obj: Any) -> str:
        """What its records would be billed."""
        return shown.yuan(proposal_of(obj))

    @display(description=_("audit findings"))
    def findings_shown(self, obj: Any) -> SafeString | str:
        """The first two, in words."""
        if not obj.findings:
            return shown.EMPTY
        return format_html_join("", "<div>{}</div>", ((finding_words(one),) for one in obj.findings[:2]))

    @display(description=_("asked for"))
    def asked_shown(self, obj: Any) -> str:
        """What waits for a second person."""
        code = getattr(obj, "asked", None)
        return shown.label(approvals.title_of(code), "warning") if code else shown.EMPTY


REQUEST_TONES = {
    ApprovalState.PENDING: "warning",
    ApprovalState.EXECUTED: "success",
    ApprovalState.STALE: "danger",
    ApprovalState.FAILED: "danger",
}


def proposal_of(row: Any) -> Decimal | None:
    """Return what the records would be billed, as it was worked out when the order became abnormal."""
    proposal = (row.told or {}).get("proposal") or {}
    return sum((Decimal(fee) for fee in proposal.values()), Decimal(0)) if proposal else None


def class_rows(order: Order, found: abnormal.Evidence) -> list[dict[str, Any]]:
    """Return each rate class with the records' figures, our bill, the samples and both tariffs side by side."""
    reports = [record.decoded for record in found.records]
    tariff, retail = order.frozen_tariff(), order.frozen_retail_tariff()
    bill = found.assessment.bill if found.assessment else None
    lines = {line.rate_class: line for line in bill.lines} if bill else {}
    rows = []
    for rate_class in RateClass:
        periods = [
            report.periods[rate_class.value] for report in reports if rate_class.value in report.periods
        ]
        if rate_class not in tariff.prices and not periods:
            continue
        line = lines.get(rate_class)
        rows.append(
            {
                "rate_class": rate_class.value,
                "name": CLASS_NAMES[rate_class],
                "energy": sum((period.energy_kwh for period in periods), Decimal(0)) if periods else None,
                "loss": sum((period.loss_energy_kwh for period in periods), Decimal(0)) if periods else None,
                "sampled": found.sampled.get(rate_class),
                "pile_price": periods[0].price if periods else None,
                "tariff": tariff.prices[rate_class].total if rate_class in tariff.prices else None,
                "retail": retail.prices[rate_class].total if rate_class in retail.prices else None,
                "pile_amount": sum((period.amount for period in periods), Decimal(0)) if periods else None,
                "ours": line.electricity_fee + line.service_fee if line else None,
            }
        )
    return rows


def total_rows(order: Order, found: abnormal.Evidence) -> list[tuple[Any, Any, str]]:
    """Return the totals that should agree: (name, figure, unit)."""
    reports = [record.decoded for record in found.records]
    zero = Decimal(0)
    sampled = sum(found.sampled.values(), zero)
    rows: list[tuple[Any, Any, str]] = []
    if reports:
        periods = sum((one.energy_kwh for report in reports for one in report.periods.values()), zero)
        rows += [
            (
                _("total of the record"),
                sum((report.total_energy_kwh for report in reports), zero),
                pgettext("unit", "kWh"),
            ),
            (_("sum of the periods"), periods, pgettext("unit", "kWh")),
            (
                _("meter, end less start"),
                sum((report.meter_end - report.meter_start for report in reports), zero),
                pgettext("unit", "kWh"),
            ),
        ]
    rows.append((_("reported while charging"), sampled if found.sampled else None, pgettext("unit", "kWh")))
    if reports:
        rows += [
            (
                _("pile's amount"),
                sum((report.total_amount for report in reports), zero),
                gettext("yuan"),
            ),
            (_("by the infrastructure tariff"), _at(order, found), gettext("yuan")),
        ]
    bill = found.assessment.bill if found.assessment else None
    rows.append((_("our bill (proposal)"), bill.total if bill else None, gettext("yuan")))
    return rows


def _at(order: Order, found: abnormal.Evidence) -> Decimal | None:
    if found.assessment is None:
        return None
    try:
        return settle(found.assessment.energies, order.frozen_tariff()).total
    except SettlementError:
        return None


def pending_of(order_ids: list[int]) -> dict[str, str]:
    """Return {order id: operation} of the requests that wait, in one query."""
    waiting = Approval.objects.filter(
        object_kind="orders.order",
        object_id__in=[str(pk) for pk in order_ids],
        state=ApprovalState.PENDING,
    )
    return dict(waiting.values_list("object_id", "operation"))
