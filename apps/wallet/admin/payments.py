"""Top-ups, and what payment providers told."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeNumericFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminSelectWidget

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin, ReadOnlyInline
from apps.backoffice.dialogs import ConfirmForm, ReasonForm
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.wallet import notices, recharges, wrong_amounts
from apps.wallet.admin.common import OfCustomer
from apps.wallet.channels.base import Mismatch
from apps.wallet.enums import NoticeState, RechargeState
from apps.wallet.models import PaymentNotice, Recharge
from apps.wallet.wrong_amounts import Decision

RECHARGE_TONES = {
    RechargeState.PAID: "success",
    RechargeState.CREATED: "warning",
    RechargeState.CLOSED: "neutral",
}
NOTICE_TONES = {
    NoticeState.DONE: "success",
    NoticeState.RECEIVED: "warning",
    NoticeState.IGNORED: "neutral",
    NoticeState.FAILED: "danger",
}


class WrongAmountForm(ReasonForm):
    """What becomes of the money, and why."""

    decision = forms.ChoiceField(
        label=_("decision"), choices=Decision.choices, widget=UnfoldAdminSelectWidget
    )


class HasProblem(admin.SimpleListFilter):
    """Top-ups that a person has to look at."""

    title = _("problem")
    parameter_name = "has_problem"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """One choice beside all."""
        return [("1", _("with a problem"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those that say one."""
        return queryset.exclude(problem="") if self.value() else queryset


class NoticeInline(ReadOnlyInline):
    """What the provider told of a top-up."""

    model = PaymentNotice
    fields = ["received_shown", "kind", "amount", "times", "state", "error"]
    readonly_fields = fields
    ordering = ["id"]

    @display(description=_("received at"))
    def received_shown(self, obj: PaymentNotice) -> str:
        """To the second."""
        return shown.moment(obj.received_at)


@admin.register(Recharge, site=tenant_site)
class RechargeAdmin(OfCustomer):
    """Top-ups."""

    number_field = "recharge_no"
    list_select_related = ("wallet__customer", "merchant")
    list_display = [
        "recharge_no",
        "customer_shown",
        "amount",
        "bonus",
        "refunded",
        "channel_shown",
        "state_shown",
        "created_shown",
        "paid_shown",
    ]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        HasProblem,
        ("amount", RangeNumericFilter),
        ("created_at", TimeFilter),
        ("paid_at", TimeFilter),
    ]
    search_fields = ["recharge_no", "channel_trade_no"]
    search_help_text = _("Recharge number, channel's trade number, nickname, or a whole phone number")
    fields = [
        ("recharge_no", "customer_shown"),
        ("state_shown", "problem_shown"),
        ("amount", "bonus"),
        ("refunded", "bonus_shown"),
        ("channel_shown", "merchant"),
        ("channel_trade_no", "payer_shown"),
        ("created_shown", "expires_shown"),
        ("paid_shown", "closed_shown"),
        ("checked_shown", "checks"),
    ]
    inlines = [NoticeInline]
    actions_detail = ["query_now", "wrong_amount"]
    export = [
        (_("recharge number"), "recharge_no"),
        (_("customer"), "wallet.customer"),
        (_("amount"), "amount"),
        (_("bonus"), "bonus"),
        (_("refunded or being refunded"), "refunded"),
        (_("channel"), "get_channel_display"),
        (_("merchant number"), "merchant.merchant_no"),
        (_("channel's trade number"), "channel_trade_no"),
        (_("state"), "get_state_display"),
        (_("created at"), "created_at"),
        (_("paid at"), "paid_at"),
        (_("closed at"), "closed_at"),
        (_("problem"), "problem"),
    ]

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Also by the number that the provider gave."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found, distinct = super().get_search_results(request, queryset, term)
        return found | queryset.filter(channel_trade_no=term), distinct

    @action(
        description=_("Query now"),
        url_path="query",
        icon="sync",
        permissions=["query"],
        dialog={
            "title": _("Query now"),
            "description": _(
                "The payment provider is asked what became of this top-up, and it is booked or closed."
            ),
            "form_class": ConfirmForm,
            "form_submit_text": _("Query now"),
        },
    )
    def query_now(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """Ask the provider."""
        recharge = self.row(request, object_id)
        before = recharge.state
        try:
            recharge = recharges.check_recharge(recharge_no=recharge.recharge_no)
        except (DomainError, Mismatch) as error:
            text = (
                _("The provider tells of another payment than this top-up. Nothing was booked.")
                if isinstance(error, Mismatch)
                else str(error)
            )
            messages.error(request, text)
            self.audit(request, "queried", recharge)
            return self.back_to(request, recharge)
        self.audit(request, "queried", recharge, changes={"state": [before, recharge.state]})
        return self.back_to(
            request,
            recharge,
            _("The provider's answer: %(state)s.") % {"state": recharge.get_state_display()},
        )

    @action(
        description=_("Decide on the wrong amount"),
        url_path="wrong-amount",
        icon="gavel",
        variant=ActionVariant.DANGER,
        permissions=["wrong"],
        dialog={
            "title": _("A payment of another amount than this top-up"),
            "description": _(
                "The provider is asked what was paid. A second person approves it: then that amount is booked without "
                "a bonus, or nothing is booked and you give the money back at the provider."
            ),
            "form_class": WrongAmountForm,
            "form_submit_text": _("Ask for approval"),
        },
    )
    def wrong_amount(self, request: HttpRequest, form: WrongAmountForm, object_id: str) -> HttpResponse:
        """Propose what becomes of it."""
        recharge, words = self.row(request, object_id), form.cleaned_data
        try:
            approval = wrong_amounts.request_decision(
                recharge_no=recharge.recharge_no,
                decision=Decision(words["decision"]),
                actor=staff_actor(request),
                reason=words["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, recharge)
        changes = {"approval": [None, approval.pk], "amount": [recharge.amount, approval.amount]}
        self.audit(request, "wrong_amount", recharge, changes=changes, reason=words["reason"])
        if approval.state == ApprovalState.EXECUTED:
            return self.back_to(request, recharge, _("It is decided."))
        messages.warning(request, gettext("Asked for. It waits for a second person to approve it."))
        return self.back_to(request, recharge)

    def has_wrong_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may propose; the button shows where the provider told of another amount."""
        if not self.allowed(request, "decide_wrong_amount"):
            return False
        rows = Recharge.objects.exclude(state=RechargeState.PAID).filter(problem__startswith="amount")
        return object_id is None or rows.filter(pk=object_id).exists()

    def has_query_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask the provider."""
        return self.allowed(request, "query_recharge")

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Recharge) -> str:
        """As a label."""
        return shown.state(obj, RECHARGE_TONES)

    @display(description=_("channel"), ordering="channel")
    def channel_shown(self, obj: Recharge) -> str:
        """By name."""
        return obj.get_channel_display()

    @display(description=_("problem"))
    def problem_shown(self, obj: Recharge) -> str:
        """What a person has to look at."""
        return obj.problem or shown.EMPTY

    @display(description=_("bonus tiers"))
    def bonus_shown(self, obj: Recharge) -> str:
        """The tiers that were frozen into it."""
        names = [
            f"{rule['name']} +{rule['bonus']}" + (f" ({_('used up')})" if rule.get("used_up") else "")
            for rule in obj.bonus_rule
        ]
        return ", ".join(names) or shown.EMPTY

    @display(description=_("payer"))
    def payer_shown(self, obj: Recharge) -> str:
        """The driver's id at the provider, masked."""
        return f"{obj.payer[:4]}…{obj.payer[-4:]}" if len(obj.payer) > 10 else obj.payer or shown.EMPTY

    @display(description=_("paid at"), ordering="paid_at")
    def paid_shown(self, obj: Recharge) -> str:
        """To the second."""
        return shown.moment(obj.paid_at)

    @display(description=_("to be paid by"))
    def expires_shown(self, obj: Recharge) -> str:
        """To the second."""
        return shown.moment(obj.expires_at)

    @display(description=_("provider asked at"))
    def checked_shown(self, obj: Recharge) -> str:
        """To the second."""
        return shown.moment(obj.checked_at)


@admin.register(PaymentNotice, site=tenant_site)
class PaymentNoticeAdmin(ReadOnlyAdmin):
    """Messages of payment providers, each once, with what became of it. What they say of people is not shown."""

    list_display = [
        "received_shown",
        "channel",
        "merchant",
        "kind",
        "number",
        "amount",
        "times",
        "state_shown",
        "error",
    ]
    list_select_related = ["merchant"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        ("received_at", TimeFilter),
    ]
    search_fields = ["number", "event_id"]
    search_help_text = _("Recharge number or the provider's event")
    fields = [
        ("channel", "merchant"),
        ("kind", "event_id"),
        ("number", "amount"),
        ("state_shown", "error"),
        ("received_shown", "times"),
        ("processed_shown", "recharge"),
    ]
    actions_detail = ["process_again"]
    export = [
        (_("received at"), "received_at"),
        (_("channel"), "get_channel_display"),
        (_("merchant account"), "merchant.name"),
        (_("kind"), "get_kind_display"),
        (_("recharge number"), "number"),
        (_("amount"), "amount"),
        (_("times received"), "times"),
        (_("state"), "get_state_display"),
        (_("error"), "error"),
        (_("processed at"), "processed_at"),
    ]

    @action(
        description=_("Process again"),
        url_path="process",
        icon="replay",
        permissions=["process"],
        dialog={
            "title": _("Process again"),
            "description": _(
                "The notice is verified and processed once more. What it asks for happens once."
            ),
            "form_class": ConfirmForm,
            "form_submit_text": _("Process again"),
        },
    )
    def process_again(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """After what was wrong has been mended."""
        row = self.row(request, object_id)
        before = row.state
        row = notices.process_notice(notice_id=row.pk)
        self.audit(request, "processed", row, changes={"state": [before, row.state]})
        return self.back_to(
            request, row, _("The notice is now: %(state)s.") % {"state": row.get_state_display()}
        )

    def has_process_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may have it processed again."""
        return self.allowed(request, "process_paymentnotice")

    @display(description=_("received at"), ordering="received_at")
    def received_shown(self, obj: PaymentNotice) -> str:
        """To the second."""
        return shown.moment(obj.received_at)

    @display(description=_("processed at"), ordering="processed_at")
    def processed_shown(self, obj: PaymentNotice) -> str:
        """To the second."""
        return shown.moment(obj.processed_at)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: PaymentNotice) -> str:
        """As a label."""
        return shown.state(obj, NOTICE_TONES)
