"""Records as piles sent them, and the workbench of those in quarantine."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextInputWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.orders import quarantine
from apps.orders.admin.rows import ORDER_TONES, RECORD_TONES, record_row
from apps.orders.enums import RecordState
from apps.orders.errors import OrderNotFound
from apps.orders.models import Order, TransactionRecord
from apps.orders.wording import QUARANTINE, quarantine_words, unmatchable_words


class MatchForm(ReasonForm):
    """Which order a record belongs to, and why."""

    order_no = forms.CharField(label=_("order number"), max_length=32, widget=UnfoldAdminTextInputWidget)

    def clean_order_no(self) -> str:
        """Of an order that the person sees: its driver is going to pay."""
        number: str = self.cleaned_data["order_no"]
        if not scope.narrow(Order.objects.filter(order_no=number), self.request.user).exists():
            raise forms.ValidationError(OrderNotFound.message)
        return number


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
        ("received_at", TimeFilter),
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
                    order_no=words["order_no"],
                    reason=words["reason"],
                    actor=staff_actor(request),
                )
                changes = {"state": [record.state, decided.state], "order": [None, words["order_no"]]}
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
            "form_class": ReasonForm,
            "form_submit_text": _("Reject"),
        },
    )
    def reject_record(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
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
