"""Refunds of orders in the back office: the button of an order, the list, and the review of each application."""

from __future__ import annotations

from collections.abc import Sequence
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
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminDecimalFieldWidget, UnfoldAdminTextInputWidget

from apps.backoffice import pages, scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import NoteForm, ReasonForm
from apps.backoffice.people import ActorKindFilter, staff_actor
from apps.backoffice.review_pages import ReviewAdmin
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.customers.admin import by_phone
from apps.orders import refunds
from apps.orders.enums import OrderRefundState, OrderState
from apps.orders.models import Order, OrderRefund
from apps.wallet.models import JournalEntry

REFUND_TONES = {
    OrderRefundState.APPLIED: "warning",
    OrderRefundState.DONE: "success",
    OrderRefundState.REJECTED: "danger",
    OrderRefundState.CANCELLED: "neutral",
}


class ApplyForm(BaseDialogForm):
    """How much of each fee goes back, and why. The form's key makes a double click one application."""

    electricity = forms.DecimalField(
        label=_("electricity fee (yuan)"),
        max_digits=14,
        decimal_places=2,
        min_value=Decimal(0),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    service = forms.DecimalField(
        label=_("service fee (yuan)"),
        max_digits=14,
        decimal_places=2,
        min_value=Decimal(0),
        widget=UnfoldAdminDecimalFieldWidget,
    )
    reason = forms.CharField(label=_("reason"), max_length=200, widget=UnfoldAdminTextInputWidget)
    key = forms.CharField(max_length=36, required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["key"].initial = str(uuid4())
        order = Order.objects.filter(pk=whole_number(self.object_id)).first()
        if order is not None:
            self.fields["electricity"].initial = order.refundable_electricity
            self.fields["service"].initial = order.refundable_service


class RefundButton(BackofficeAdmin):
    """The button "Refund" of an order's page."""

    @action(
        description=_("Refund"),
        url_path="refund",
        icon="undo",
        permissions=["refund"],
        dialog={
            "title": _("Refund this charge"),
            "description": _(
                "What is still owed for it is called off first; the rest goes back to principal and bonus in the "
                "shares that paid, or to the enterprise that paid. A coupon that was used is not given back. A second "
                "person approves it."
            ),
            "form_class": ApplyForm,
            "form_submit_text": _("Apply for the refund"),
        },
    )
    def apply_refund(self, request: HttpRequest, form: ApplyForm, object_id: str) -> HttpResponse:
        """Ask for it; a second person decides."""
        order, words = self.row(request, object_id), form.cleaned_data
        try:
            with transaction.atomic():
                refund = refunds.apply(
                    order_no=order.order_no,
                    electricity=words["electricity"],
                    service=words["service"],
                    reason=words["reason"],
                    applied_by=staff_actor(request),
                    request_key=f"staff {words['key'] or uuid4()}",
                )
                changes = {"refund": [None, refund.refund_no], "amount": [None, refund.amount]}
                self.audit(request, "refund_applied", order, changes=changes, reason=words["reason"])
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, order)
        return self.back_to(request, order, _("The refund waits for review by a second person."))

    def has_refund_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may apply; the button shows while something can be refunded."""
        if not self.allowed(request, "apply_orderrefund"):
            return False
        if object_id is None:
            return True
        order = Order.objects.filter(pk=object_id, state=OrderState.COMPLETED).first()
        return order is not None and bool(order.refundable_electricity + order.refundable_service)


@admin.register(OrderRefund, site=tenant_site)
class OrderRefundAdmin(ReviewAdmin):
    """Applications for refunds of orders, with approve and reject."""

    operation = refunds.OPERATION.code
    review_permission = "review_orderrefund"

    list_display = [
        "refund_no",
        "created_shown",
        "order",
        "customer_shown",
        "electricity",
        "service",
        "state_shown",
        "applied_by",
        "reviewed_by",
        "closed_shown",
    ]
    list_select_related = ["order__customer", "order__station"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("created_at", TimeFilter),
        ("order__station", RelatedDropdownFilter),
        ("applied_by_kind", ActorKindFilter),
    ]
    list_before_template = "backoffice/refund_chips.html"
    search_fields = ["refund_no"]
    search_help_text = _("Refund or order number, nickname, or a whole phone number")
    actions_detail = ["approve_refund", "reject_refund"]
    change_form_template = "backoffice/order_refund.html"
    export = [
        (_("refund number"), "refund_no"),
        (_("order number"), "order.order_no"),
        (_("station"), "order.station.name"),
        (_("customer"), "order.customer.masked_phone"),
        (_("created at"), "created_at"),
        (_("electricity fee"), "electricity"),
        (_("service fee"), "service"),
        (_("to principal"), "principal"),
        (_("to bonus"), "bonus"),
        (_("off the debt"), "debt"),
        (_("state"), "get_state_display"),
        (_("applied by"), "applied_by"),
        (_("reason"), "reason"),
        (_("reviewed by"), "reviewed_by"),
        (_("reviewer's reason"), "review_reason"),
        (_("closed at"), "closed_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How many wait for review, above the list."""
        waiting = scope.narrow(
            OrderRefund.objects.filter(state=OrderRefundState.APPLIED), request.user
        ).count()
        chips = [
            {
                "label": _("waits for review"),
                "query": "?state__exact=applied",
                "number": waiting,
                "tone": "warning",
            }
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[OrderRefund], search_term: str
    ) -> tuple[QuerySet[OrderRefund], bool]:
        """By a whole number or the customer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q(refund_no=term.upper()) | Q(order__order_no=term.upper())
        of_customer = Q(order__customer__phone=by_phone(term)) | Q(order__customer__nickname__icontains=term)
        return queryset.filter(wanted | of_customer), False

    def detail(self, request: HttpRequest, obj: OrderRefund) -> dict[str, Any]:
        """The application, what the order was paid with, and the entries it made."""
        order = Order.objects.select_related("customer", "station").get(pk=obj.order_id)
        return {
            "refund": obj,
            "order": order,
            "state_label": shown.state(obj, REFUND_TONES),
            "waits_for_another": obj.state == OrderRefundState.APPLIED and self.is_own(request, obj),
            "others": [
                {"refund": other, "label": shown.state(other, REFUND_TONES)}
                for other in order.refunds.exclude(pk=obj.pk)
            ],
            "entries": list(
                JournalEntry.objects.filter(reference=obj.refund_no)
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
            "description": _("The money goes back to who paid at once. It cannot be undone."),
            "form_class": NoteForm,
            "form_submit_text": _("Approve"),
        },
    )
    def approve_refund(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Give the money back."""
        reason = form.cleaned_data["reason"]
        return self.decide(
            request, object_id, refunds.approve, "approved", reason, _("The money is back with who paid.")
        )

    @action(
        description=_("Reject"),
        url_path="reject",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["review"],
        dialog={
            "title": _("Reject this refund"),
            "description": _("No money moves. The driver reads the reason."),
            "form_class": ReasonForm,
            "form_submit_text": _("Reject"),
        },
    )
    def reject_refund(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Say no."""
        reason = form.cleaned_data["reason"]
        return self.decide(
            request, object_id, refunds.reject, "rejected", reason, _("The refund is rejected.")
        )

    def has_review_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may review; the buttons show while there is something that this person may decide."""
        return self.reviewable(request, object_id, Q(state=OrderRefundState.APPLIED))

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: OrderRefund) -> str:
        """To the minute."""
        return shown.minute(obj.created_at)

    @display(description=_("closed at"), ordering="closed_at")
    def closed_shown(self, obj: OrderRefund) -> str:
        """To the minute."""
        return shown.minute(obj.closed_at)

    @display(description=_("customer"), ordering="order__customer")
    def customer_shown(self, obj: OrderRefund) -> str:
        """Nickname or masked number."""
        return str(obj.order.customer)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: OrderRefund) -> str:
        """As a label."""
        return shown.state(obj, REFUND_TONES)


def refund_rows(order: Order) -> Sequence[dict[str, Any]]:
    """Return an order's refunds as lines of its page."""
    return [
        {
            "refund": refund,
            "label": shown.state(refund, REFUND_TONES),
            "url": reverse("admin:orders_orderrefund_change", args=[refund.pk]),
        }
        for refund in order.refunds.all()
    ]


def refund_panel(request: HttpRequest, order: Order) -> dict[str, Any]:
    """Return an order's refunds, newest first."""
    return {"rows": refund_rows(order)}


pages.add_panel(
    Order, pages.Panel(_("Refunds"), "backoffice/order_refunds.html", refund_panel, "orders.view_orderrefund")
)
