"""Refunds of wallets: the review, the parts with what the channel says, transfers by hand, the rule for the bonus."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import NoteForm, ReasonForm
from apps.backoffice.one_row import OneRowAdmin
from apps.backoffice.people import ActorKindFilter, staff_actor
from apps.backoffice.review_pages import ReviewAdmin
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.common.time import now
from apps.customers.admin import by_phone
from apps.wallet import refunds
from apps.wallet.admin.common import OfCustomer
from apps.wallet.enums import PartState, RefundState
from apps.wallet.models import (
    JournalEntry,
    Wallet,
    WalletPolicy,
    WalletRefund,
    WalletRefundPart,
)
from apps.wallet.wording import event_detail, problem_words, refund_event_words

REFUND_TONES = {
    RefundState.APPLIED: "warning",
    RefundState.APPROVED: "info",
    RefundState.EXECUTING: "info",
    RefundState.RETURNED: "danger",
    RefundState.DONE: "success",
    RefundState.REJECTED: "neutral",
    RefundState.CANCELLED: "neutral",
}
PART_TONES = {
    PartState.WAITING: "neutral",
    PartState.ASKED: "warning",
    PartState.PROCESSING: "info",
    PartState.SHORT: "danger",
    PartState.MANUAL: "warning",
    PartState.DONE: "success",
    PartState.FAILED: "danger",
    PartState.ABNORMAL: "danger",
}
TO_REVIEW = (RefundState.APPLIED, RefundState.RETURNED)
UNCLEAR_FOR = timedelta(hours=1)
"""A part without a clear answer for this long is shown as an alarm."""


def unclear() -> Q:
    """Parts that the channel has not answered clearly for too long."""
    return Q(state__in=[PartState.ASKED, PartState.PROCESSING], unclear_since__lt=now() - UNCLEAR_FOR)


class ApplyForm(BaseDialogForm):
    """How much goes back, and why. The form's key makes a double click one application."""

    amount = forms.DecimalField(
        label=_("amount (yuan)"),
        max_digits=14,
        decimal_places=2,
        min_value=Decimal("0.01"),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)
    key = forms.CharField(max_length=36, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = str(uuid4())
        wallet = Wallet.objects.filter(pk=whole_number(self.object_id))
        self.fields["amount"].initial = wallet.values_list("principal", flat=True).first()


class TransferForm(BaseDialogForm):
    """The bank's reference number, and whom the money went to."""

    transfer_no = forms.CharField(
        label=_("reference number of the transfer"), max_length=64, widget=UnfoldAdminTextInputWidget
    )
    transfer_to = forms.CharField(
        label=_("transferred to (name and account)"), max_length=100, widget=UnfoldAdminTextInputWidget
    )


class WalletRefundButton(BackofficeAdmin):
    """The button "Refund" of a wallet's page."""

    @action(
        description=_("Refund"),
        url_path="refund",
        icon="undo",
        permissions=["refund"],
        dialog={
            "title": _("Refund principal to the payments it came from"),
            "description": _(
                "The money is frozen now and goes back when a second person approves: the newest payment first, never "
                "more than each brought. Bonus goes by the wallet rules."
            ),
            "form_class": ApplyForm,
            "form_submit_text": _("Apply for the refund"),
        },
    )
    def apply_refund(self, request: HttpRequest, form: ApplyForm, object_id: str) -> HttpResponse:
        """Ask for it; a second person decides."""
        wallet, words = self.row(request, object_id), form.cleaned_data
        try:
            with transaction.atomic():
                refund = refunds.apply(
                    customer=wallet.customer,
                    amount=words["amount"],
                    reason=words["reason"],
                    applied_by=staff_actor(request),
                    request_key=f"staff {words['key'] or uuid4()}",
                )
                changes = {"refund": [None, refund.refund_no], "amount": [None, refund.amount]}
                self.audit(request, "refund_applied", wallet, changes=changes, reason=words["reason"])
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, wallet)
        return self.back_to(request, wallet, _("The refund waits for review by a second person."))

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may apply; the button shows while there is principal."""
        if not self.allowed(request, "apply_walletrefund"):
            return False
        return object_id is None or Wallet.objects.filter(pk=object_id, principal__gt=0).exists()


class ReviewFilter(admin.SimpleListFilter):
    """What waits for a person, for the first time or again."""

    title = _("to review")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """One choice."""
        return [("review", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those."""
        return queryset.filter(state__in=TO_REVIEW) if self.value() == "review" else queryset


@admin.register(WalletRefund, site=tenant_site)
class WalletRefundAdmin(OfCustomer, ReviewAdmin):
    """Refunds of wallets, with the review."""

    operation = refunds.REFUND.code
    review_permission = "review_walletrefund"
    number_field = "refund_no"
    list_display = [
        "refund_no",
        "created_shown",
        "customer_shown",
        "amount",
        "paid",
        "state_shown",
        "applied_by",
        "reviewed_by",
        "closed_shown",
    ]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ReviewFilter,
        ("created_at", TimeFilter),
        ("closed_at", TimeFilter),
        ("applied_by_kind", ActorKindFilter),
    ]
    list_before_template = "backoffice/refund_chips.html"
    search_fields = ["refund_no"]
    search_help_text = _("Refund number, nickname, or a whole phone number")
    actions_detail = ["approve_refund", "by_hand", "reject_refund"]
    change_form_template = "backoffice/wallet_refund.html"
    export = [
        (_("refund number"), "refund_no"),
        (_("customer"), "wallet.customer.masked_phone"),
        (_("created at"), "created_at"),
        (_("amount"), "amount"),
        (_("paid out"), "paid"),
        (_("given back to the wallet"), "given_back"),
        (_("bonus taken"), "bonus_taken"),
        (_("state"), "get_state_display"),
        (_("applied by"), "applied_by"),
        (_("reason"), "reason"),
        (_("reviewed by"), "reviewed_by"),
        (_("reviewer's reason"), "review_reason"),
        (_("closed at"), "closed_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """What waits for a person, above the list."""
        rows, parts = WalletRefund.objects, WalletRefundPart.objects
        part_list = reverse("admin:wallet_walletrefundpart_changelist")
        chips = [
            {
                "label": RefundState.APPLIED.label,
                "number": rows.filter(state=RefundState.APPLIED).count(),
                "query": "?state__exact=applied",
                "tone": "warning",
            },
            {
                "label": RefundState.RETURNED.label,
                "number": rows.filter(state=RefundState.RETURNED).count(),
                "query": "?state__exact=returned",
                "tone": "danger",
            },
            {
                "label": PartState.MANUAL.label,
                "number": parts.filter(state=PartState.MANUAL, refund__state=RefundState.EXECUTING).count(),
                "query": f"{part_list}?state__exact=manual",
                "tone": "warning",
            },
            {
                "label": PartState.SHORT.label,
                "number": parts.filter(state=PartState.SHORT).count(),
                "query": f"{part_list}?state__exact=short",
                "tone": "danger",
            },
            {
                "label": _("no clear answer for an hour"),
                "number": parts.filter(unclear()).count(),
                "query": f"{part_list}?unclear=yes",
                "tone": "danger",
            },
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    def detail(self, request: HttpRequest, obj: WalletRefund) -> dict[str, Any]:
        """The application, its parts with what the channel said, its steps and entries."""
        refund = WalletRefund.objects.select_related("wallet__customer").get(pk=obj.pk)
        parts = [part_row(part) for part in refund.parts.select_related("recharge__merchant").order_by("id")]
        return {
            "refund": refund,
            "wallet": refund.wallet,
            "state_label": shown.state(refund, REFUND_TONES),
            "waits_for_another": refund.state in TO_REVIEW and self.is_own(request, refund),
            "parts": parts,
            "is_short": any(row["part"].state == PartState.SHORT for row in parts),
            "events": [
                {
                    "at": event.at,
                    "words": refund_event_words(event.kind),
                    "detail": event_detail(event.data),
                    "actor": event.actor_name if event.actor_kind != "system" else "",
                }
                for event in refund.events.all()
            ],
            "entries": list(
                JournalEntry.objects.filter(reference=refund.refund_no)
                .prefetch_related("postings__account")
                .order_by("id")
            ),
        }

    @action(
        description=_("Approve"),
        url_path="approve",
        icon="check",
        variant=ActionVariant.PRIMARY,
        permissions=["review"],
        dialog={
            "title": _("Approve this refund"),
            "description": _(
                "The money is sent to the payments it came from. What the channel refused before is sent again; what "
                "the driver's account did not accept is asked about again."
            ),
            "form_class": NoteForm,
            "form_submit_text": _("Approve"),
        },
    )
    def approve_refund(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Let it be paid."""
        reason = form.cleaned_data["reason"]
        return self.decide(
            request, object_id, refunds.approve, "approved", reason, _("The refund is being paid.")
        )

    @action(
        description=_("Transfer by hand"),
        url_path="by-hand",
        icon="account_balance",
        permissions=["failed"],
        dialog={
            "title": _("Transfer the refused parts by hand"),
            "description": _(
                "They go to the list of transfers by hand, where a second person enters the bank's reference number."
            ),
            "form_class": ReasonForm,
            "form_submit_text": _("Transfer by hand"),
        },
    )
    def by_hand(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Put the refused parts on the list."""
        reason = form.cleaned_data["reason"]
        message = _("The refused parts are on the list of transfers by hand.")
        return self.decide(request, object_id, refunds.transfer_by_hand, "by_hand", reason, message)

    @action(
        description=_("Reject"),
        url_path="reject",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["reject"],
        dialog={
            "title": _("Reject this refund"),
            "description": _("What was not paid goes back to the wallet. The driver reads the reason."),
            "form_class": ReasonForm,
            "form_submit_text": _("Reject"),
        },
    )
    def reject_refund(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Give back what was not paid."""
        reason = form.cleaned_data["reason"]
        message = _("The money is back in the wallet.")
        return self.decide(request, object_id, refunds.reject, "rejected", reason, message)

    def has_review_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may review; the button shows while there is something to decide."""
        return self.reviewable(request, object_id, Q(state__in=TO_REVIEW))

    def has_failed_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may review, where the channel refused a part."""
        return self.reviewable(request, object_id, Q(state=RefundState.RETURNED))

    def has_reject_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may review, also while parts wait for a transfer by hand."""
        by_hand = Q(state=RefundState.EXECUTING, parts__state=PartState.MANUAL)
        return self.reviewable(request, object_id, Q(state__in=TO_REVIEW) | by_hand)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: WalletRefund) -> str:
        """As a label."""
        return shown.state(obj, REFUND_TONES)


def part_row(part: WalletRefundPart) -> dict[str, Any]:
    """Return a part as a line of its refund's page."""
    return {
        "part": part,
        "label": shown.state(part, PART_TONES),
        "channel": part.recharge.merchant or part.recharge.get_channel_display(),
        "problem": problem_words(part.problem),
        "url": reverse("admin:wallet_walletrefundpart_change", args=[part.pk]),
    }


class UnclearFilter(admin.SimpleListFilter):
    """Parts that the channel has not answered clearly for an hour."""

    title = _("no clear answer for an hour")
    parameter_name = "unclear"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """One choice."""
        return [("yes", _("yes"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those."""
        return queryset.filter(unclear()) if self.value() == "yes" else queryset


@admin.register(WalletRefundPart, site=tenant_site)
class WalletRefundPartAdmin(OfCustomer):
    """What goes back to each payment, and the list of transfers by hand."""

    number_field = "out_refund_no"
    list_display = [
        "out_refund_no",
        "customer_shown",
        "amount",
        "channel_shown",
        "paid_at_shown",
        "state_shown",
        "problem_shown",
        "transfer_no",
        "transferred_by",
    ]
    list_select_related = ("refund__wallet__customer", "recharge__merchant")
    list_filter = [
        ("state", ChoicesDropdownFilter),
        UnclearFilter,
        "manual",
        "recharge__channel",
        ("created_at", TimeFilter),
    ]
    list_before_template = "backoffice/refund_chips.html"
    search_fields = ["out_refund_no"]
    search_help_text = _(
        "Number at the channel, refund, recharge or transfer number, nickname, whole phone number"
    )
    actions_detail = ["mark_transferred"]
    fields = [
        ("out_refund_no", "refund"),
        ("customer_shown", "recharge"),
        ("amount", "state_shown"),
        ("channel_shown", "paid_at_shown"),
        ("channel_refund_no", "problem_shown"),
        ("tries", "sent_shown"),
        ("next_shown", "done_shown"),
        ("transfer_no", "transfer_to"),
        "transferred_by",
    ]
    export = [
        (_("number at the channel"), "out_refund_no"),
        (_("refund number"), "refund.refund_no"),
        (_("recharge number"), "recharge.recharge_no"),
        (_("customer"), "refund.wallet.customer.masked_phone"),
        (_("amount"), "amount"),
        (_("channel"), "recharge.channel"),
        (_("state"), "get_state_display"),
        (_("what the channel said"), lambda row: problem_words(row.problem)),
        (_("channel's refund number"), "channel_refund_no"),
        (_("reference number of the transfer"), "transfer_no"),
        (_("transferred to"), "transfer_to"),
        (_("transferred by"), "transferred_by"),
        (_("paid at"), "done_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How many wait for a transfer by hand, above the list."""
        waiting = WalletRefundPart.objects.filter(state=PartState.MANUAL).count()
        chips = [
            {
                "label": PartState.MANUAL.label,
                "query": "?state__exact=manual",
                "number": waiting,
                "tone": "warning",
            }
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """By a whole number or the customer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        number = (
            Q(out_refund_no=term)
            | Q(refund__refund_no=term)
            | Q(recharge__recharge_no=term)
            | Q(transfer_no=term)
        )
        customer = "refund__wallet__customer"
        of_customer = Q(**{f"{customer}__phone": by_phone(term)}) | Q(
            **{f"{customer}__nickname__icontains": term}
        )
        return queryset.filter(number | of_customer), False

    @action(
        description=_("Mark as transferred"),
        url_path="transferred",
        icon="account_balance",
        variant=ActionVariant.PRIMARY,
        permissions=["transfer"],
        dialog={
            "title": _("Mark as transferred by hand"),
            "description": _(
                "Only after the money has left the company's bank account. Another person than the one who approved "
                "the refund enters it. It cannot be undone."
            ),
            "form_class": TransferForm,
            "form_submit_text": _("Mark as transferred"),
        },
    )
    def mark_transferred(self, request: HttpRequest, form: TransferForm, object_id: str) -> HttpResponse:
        """Book the transfer."""
        part, words = self.row(request, object_id), form.cleaned_data
        try:
            with transaction.atomic():
                marked = refunds.mark_transferred(
                    part_id=part.pk,
                    actor=staff_actor(request),
                    transfer_no=words["transfer_no"],
                    transfer_to=words["transfer_to"],
                )
                changes = {
                    "state": [part.state, marked.state],
                    "amount": [None, marked.amount],
                    "transfer": [None, marked.transfer_no],
                }
                self.audit(request, "transferred", marked, changes=changes)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, part)
        return self.back_to(request, part, _("The transfer is booked."))

    def has_transfer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may mark transfers; the button shows while one waits for somebody who neither applied nor approved."""
        if not self.allowed(request, "transfer_part"):
            return False
        if object_id is None:
            return True
        rows = WalletRefundPart.objects.filter(state=PartState.MANUAL, refund__state=RefundState.EXECUTING)
        part = rows.select_related("refund").filter(pk=object_id).first()
        return part is not None and refunds.may_transfer(part, staff_actor(request))

    @display(description=_("customer"), ordering="refund__wallet__customer")
    def customer_shown(self, obj: WalletRefundPart) -> str:
        """Nickname or masked number."""
        return str(obj.refund.wallet.customer)

    @display(description=_("channel"), ordering="recharge__channel")
    def channel_shown(self, obj: WalletRefundPart) -> str:
        """The merchant account, or the channel's name."""
        return str(obj.recharge.merchant or obj.recharge.get_channel_display())

    @display(description=_("topped up at"), ordering="recharge__paid_at")
    def paid_at_shown(self, obj: WalletRefundPart) -> str:
        """When the payment was made."""
        return shown.minute(obj.recharge.paid_at)

    @display(description=_("first sent at"), ordering="sent_at")
    def sent_shown(self, obj: WalletRefundPart) -> str:
        """To the second."""
        return shown.moment(obj.sent_at)

    @display(description=_("next try at"), ordering="next_try_at")
    def next_shown(self, obj: WalletRefundPart) -> str:
        """To the second."""
        return shown.moment(obj.next_try_at)

    @display(description=_("paid at"), ordering="done_at")
    def done_shown(self, obj: WalletRefundPart) -> str:
        """To the second."""
        return shown.moment(obj.done_at)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: WalletRefundPart) -> str:
        """As a label."""
        return shown.state(obj, PART_TONES)

    @display(description=_("what the channel said"))
    def problem_shown(self, obj: WalletRefundPart) -> str:
        """In words where it is one of ours."""
        return problem_words(obj.problem) or shown.EMPTY


@admin.register(WalletPolicy, site=tenant_site)
class WalletPolicyAdmin(OneRowAdmin):
    """The tenant's rules for wallets."""

    list_display = ["__str__", "bonus_on_refund", "note"]
    fields = ["bonus_on_refund", "note"]
