"""Invoices in the back office: the list, the review, the page where an issued one is entered, the company's rule."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import pages, scope, shown
from apps.backoffice.days import DayField
from apps.backoffice.dialogs import NoteForm, ReasonForm, dialog_button
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.one_row import OneRowAdmin
from apps.backoffice.people import staff_actor
from apps.backoffice.review_pages import ReviewAdmin
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.customers.admin import by_phone, driver_by_phone
from apps.files import links
from apps.invoices import apply_pages, following, services
from apps.invoices.enums import InvoiceState
from apps.invoices.errors import AmountsChanged
from apps.invoices.models import InvoiceApplication, InvoiceItem, InvoicePolicy
from apps.orders.models import Order

S = InvoiceState
TONES = {
    S.APPLIED: "warning",
    S.APPROVED: "info",
    S.ISSUED: "success",
    S.FAILED: "danger",
    S.REJECTED: "neutral",
    S.CANCELLED: "neutral",
    S.NEEDS_RED: "danger",
    S.RED: "neutral",
}
CHIPS = (S.APPLIED, S.APPROVED, S.FAILED, S.NEEDS_RED)
VIEW = services.VIEW


class RedForm(NoteForm):
    """The red invoice that the tax bureau has issued."""

    red_no = forms.CharField(
        label=_("number of the red invoice"),
        max_length=20,
        help_text=_("20 digits"),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )


class ForWhomForm(BaseDialogForm):
    """The driver who is applied for, by a whole phone number."""

    phone = forms.CharField(
        label=_("driver's phone number"),
        max_length=16,
        help_text=_("The whole number."),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "tel", "autocomplete": "off"}),
    )

    def clean_phone(self) -> Any:
        """The driver."""
        return driver_by_phone(self.cleaned_data["phone"])


@admin.register(InvoiceApplication, site=tenant_site)
class InvoiceApplicationAdmin(ReviewAdmin):
    """Applications for invoices, their review, and what became of them."""

    operation = services.OPERATION.code
    review_permission = "review_invoiceapplication"
    number = "application_no"

    list_display = [
        "application_no",
        "created_shown",
        "customer_shown",
        "title",
        "kind",
        "electricity",
        "service",
        "order_count",
        "state_shown",
        "invoice_no",
        "issued_on",
    ]
    list_select_related = ["customer"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("title_kind", ChoicesDropdownFilter),
        ("created_at", TimeFilter),
        ("issued_on", RangeDateFilter),
    ]
    list_before_template = "backoffice/invoice_chips.html"
    search_fields = ["application_no"]
    search_help_text = _(
        "Application, invoice or order number, title, tax number, nickname, or a whole phone number"
    )
    actions_list = ["apply_for_driver", *ReviewAdmin.actions_list]
    actions_detail = ["approve_invoice", "reject_invoice", "not_issued", "mark_red", "enter_red"]
    change_form_template = "backoffice/invoice.html"
    export = [
        (_("application number"), "application_no"),
        (_("created at"), "created_at"),
        (_("customer"), "customer.masked_phone"),
        (_("kind"), "get_kind_display"),
        (pgettext_lazy("invoice", "title"), "title"),
        (_("tax number"), "tax_no"),
        (_("orders"), "order_count"),
        (_("electricity fee"), "electricity"),
        (_("service fee"), "service"),
        (_("amount"), "amount"),
        (_("tax"), "tax"),
        (_("state"), "get_state_display"),
        (_("reviewed by"), "reviewed_by"),
        (_("reviewer's reason"), "review_reason"),
        (_("invoice number"), "invoice_no"),
        (_("day of issue"), "issued_on"),
        (_("issued by"), "issued_by"),
        (_("number of the red invoice"), "red_no"),
        (_("reversed at"), "red_at"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """How many wait for somebody, above the list."""
        rows = scope.narrow(InvoiceApplication.objects.filter(state__in=CHIPS), request.user)
        found = dict(rows.order_by().values_list("state").annotate(Count("pk")))
        chips = [
            {
                "label": state.label,
                "query": f"?state__exact={state}",
                "number": found.get(state, 0),
                "tone": TONES[state],
            }
            for state in CHIPS
        ]
        return super().changelist_view(request, {"chips": chips, **(extra_context or {})})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InvoiceApplication], search_term: str
    ) -> tuple[QuerySet[InvoiceApplication], bool]:
        """By a whole number, the title or the customer."""
        term = search_term.strip()
        if not term:
            return queryset, False
        number = term.upper()
        items = InvoiceItem.objects.filter(order__order_no=number).values("application")
        numbers = (
            Q(application_no=number)
            | Q(invoice_no=term)
            | Q(red_no=term)
            | Q(tax_no=number)
            | Q(pk__in=items)
        )
        who = Q(customer__phone=by_phone(term)) | Q(customer__nickname__icontains=term)
        return queryset.filter(numbers | who | Q(title__icontains=term)), False

    def detail(self, request: HttpRequest, obj: InvoiceApplication) -> dict[str, Any]:
        """The lines with their tax, the orders, the file, and what may be done."""
        items = list(obj.items.select_related("order__station"))
        seen = scope.stations_of(request.user)
        return {
            "invoice": obj,
            "lines": obj.lines(),
            "items": [
                {"item": item, "linked": seen is None or item.order.station_id in seen} for item in items
            ],
            "state_label": shown.state(obj, TONES),
            "waits_for_another": obj.state == S.APPLIED and self.is_own(request, obj),
            "file_link": links.path(obj.file) if obj.file else "",
            "may_issue": self.allowed(request, "issue_invoiceapplication")
            and obj.state in (S.APPROVED, S.FAILED),
            "issue_link": reverse("admin:invoices_invoiceapplication_issue", args=[obj.pk]),
        }

    # --- Buttons ---

    @action(
        description=_("Apply for a driver"),
        url_path="apply-for",
        icon="post_add",
        variant=ActionVariant.PRIMARY,
        permissions=["apply"],
        dialog={
            "title": _("Apply for a driver"),
            "description": _("Title and orders are chosen on the page that follows."),
            "form_class": ForWhomForm,
            "form_submit_text": _("Go on"),
        },
    )
    def apply_for_driver(self, request: HttpRequest, form: ForWhomForm) -> HttpResponse:
        """Go to the driver's page where it is done."""
        page = reverse(f"admin:{apply_pages.PAGE}", args=[form.cleaned_data["phone"].pk])
        return HttpResponse(headers={"HX-Redirect": page})

    def has_apply_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may apply on behalf of drivers, and look them up."""
        person: Any = request.user
        return self.allowed(request, "apply_invoiceapplication") and person.has_perm(
            apply_pages.SEE_CUSTOMERS
        )

    @dialog_button(
        _("Approve"),
        url="approve",
        icon="check",
        permission="review",
        text=_("Look at title, tax number and amounts. The invoice is then to be issued."),
        form=NoteForm,
        variant=ActionVariant.PRIMARY,
    )
    def approve_invoice(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Let it be issued."""
        row = self.row(request, object_id)
        if following.catch_up(row.application_no):  # kept, whatever becomes of the rest
            messages.error(request, str(AmountsChanged()))
            return self.back_to(request, row)
        reason = form.cleaned_data["reason"]
        return self.decide(
            request, object_id, services.approve, "approved", reason, _("The invoice is to be issued.")
        )

    @dialog_button(
        _("Reject"),
        url="reject",
        icon="block",
        permission="reject",
        text=_("The driver reads the reason and may apply again: the orders are free."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def reject_invoice(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Say no."""
        reason = form.cleaned_data["reason"]
        return self.decide(
            request, object_id, services.reject, "rejected", reason, _("The application is rejected.")
        )

    @dialog_button(
        _("Could not be issued"),
        url="not-issued",
        icon="error",
        permission="fail",
        text=_("Say why, as the tax bureau says it. It can be issued later, or rejected."),
        form=ReasonForm,
    )
    def not_issued(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Note what went wrong."""
        reason = form.cleaned_data["reason"]
        return self._move(request, object_id, services.fail, "not_issued", reason, _("Noted."), reason=reason)

    @dialog_button(
        _("Needs a red invoice"),
        url="mark-red",
        icon="undo",
        permission="mark_red",
        text=_("For an invoice with a mistake in it. A refund of one of its orders marks it by itself."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def mark_red(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Mark it."""
        reason = form.cleaned_data["reason"]
        return self._move(
            request, object_id, services.mark_red, "red_marked", reason, _("It is marked."), reason=reason
        )

    @dialog_button(
        _("Enter the red invoice"),
        url="enter-red",
        icon="receipt_long",
        permission="enter_red",
        text=_("The red invoice reverses all of this one. What is left of its orders may be invoiced anew."),
        form=RedForm,
        variant=ActionVariant.PRIMARY,
    )
    def enter_red(self, request: HttpRequest, form: RedForm, object_id: str) -> HttpResponse:
        """Enter its number."""
        words = form.cleaned_data
        return self._move(
            request,
            object_id,
            services.enter_red,
            "reversed",
            words["reason"],
            _("The invoice is reversed."),
            red_no=words["red_no"].strip(),
        )

    def _move(  # noqa: PLR0917 - the buttons differ in just these
        self,
        request: HttpRequest,
        object_id: str,
        move: Any,
        deed: str,
        why: str,
        message: Any,
        **words: Any,
    ) -> HttpResponse:
        row = self.row(request, object_id)
        try:
            with transaction.atomic():
                moved = move(application_no=row.application_no, **words)
                changes = {"state": [row.state, moved.state]}
                if "red_no" in words:
                    changes["red_no"] = ["", words["red_no"]]
                self.audit(request, deed, moved, changes=changes, reason=why)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, row)
        return self.back_to(request, row, message)

    def has_review_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may approve; the button shows while there is something that this person may decide."""
        return self.reviewable(request, object_id, Q(state=S.APPLIED))

    def has_reject_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may reject: as long as there is no invoice."""
        return self.reviewable(request, object_id, Q(state__in=[S.APPLIED, S.APPROVED, S.FAILED]))

    def has_fail_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may say that it could not be issued."""
        return self._may_issue(request, object_id, S.APPROVED)

    def has_mark_red_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may mark an issued one."""
        return self._may_issue(request, object_id, S.ISSUED)

    def has_enter_red_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may enter the red invoice."""
        return self._may_issue(request, object_id, S.NEEDS_RED)

    def _may_issue(self, request: HttpRequest, object_id: Any, state: InvoiceState) -> bool:
        if not self.allowed(request, "issue_invoiceapplication"):
            return False
        return object_id is None or InvoiceApplication.objects.filter(pk=object_id, state=state).exists()

    # --- Columns ---

    @display(description=_("created at"), ordering="id")
    def created_shown(self, obj: InvoiceApplication) -> str:
        """To the minute."""
        return shown.minute(obj.created_at)

    @display(description=_("customer"), ordering="customer")
    def customer_shown(self, obj: InvoiceApplication) -> str:
        """Nickname or masked number."""
        return str(obj.customer)

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: InvoiceApplication) -> str:
        """As a label."""
        return shown.state(obj, TONES)


class IssueForm(forms.Form):
    """What the tax bureau's page gave."""

    invoice_no = forms.CharField(
        label=_("invoice number"),
        max_length=20,
        help_text=_("20 digits"),
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    issued_on = DayField(label=_("day of issue"), widget=UnfoldAdminSingleDateWidget)
    file = forms.FileField(
        label=_("file"),
        help_text=_("PDF or OFD, 5 MB at most. The driver downloads it in the app."),
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".pdf,.ofd,application/pdf"}),
    )


class IssuePage(ObjectPage):
    """Where an invoice is entered that was issued on the tax bureau's page."""

    permission_required = ("invoices.issue_invoiceapplication",)
    title = _("Enter the invoice")
    template_name = "backoffice/invoice_issue.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With what has to be typed there."""
        form = kwargs.pop("form", None) or IssueForm(initial={"issued_on": business_day(now())})
        return super().get_context_data(
            invoice=self.object,
            lines=self.object.lines(),
            form=form,
            is_open=self.object.state in (S.APPROVED, S.FAILED),
            state_label=shown.state(self.object, TONES),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Store the file, then the number; go back to the application."""
        row: InvoiceApplication = self.object
        if not self.model_admin.has_view_permission(request, row):
            raise PermissionDenied
        form = IssueForm(request.POST, request.FILES)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        words = form.cleaned_data
        try:
            done = services.issue(
                application_no=row.application_no,
                invoice_no=words["invoice_no"].strip(),
                issued_on=words["issued_on"],
                file=words["file"],
                name=words["file"].name,
                actor=staff_actor(request),
            )
        except DomainError as error:
            form.add_error(None, str(error))
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        changes = {
            "state": [row.state, done.state],
            "invoice_no": ["", done.invoice_no],
            "issued_on": [None, done.issued_on],
            "file": [None, words["file"].name],
        }
        self.model_admin.audit(request, "issued", done, changes=changes)
        messages.success(request, gettext("The invoice is entered. The driver can download it."))
        return HttpResponseRedirect(reverse("admin:invoices_invoiceapplication_change", args=[row.pk]))


pages.add_page(
    InvoiceApplication, pages.Page("<path:object_id>/issue/", "invoices_invoiceapplication_issue", IssuePage)
)


@admin.register(InvoicePolicy, site=tenant_site)
class InvoicePolicyAdmin(OneRowAdmin):
    """How the company invoices."""

    list_display = ["is_enabled", "allows_special", "electricity_rate", "service_rate", "updated_at"]
    fieldsets = [
        (
            _("What drivers may ask for"),
            {
                "fields": [
                    ("is_enabled", "allows_special"),
                    ("minimum_amount", "most_orders"),
                    "days",
                    "notice",
                ]
            },
        ),
        (
            _("Lines of an invoice"),
            {
                "fields": [
                    ("electricity_name", "service_name"),
                    ("electricity_code", "service_code"),
                    ("electricity_rate", "service_rate"),
                ],
                "description": _(
                    "Your accountant decides on codes and rates. An application keeps those it was made with."
                ),
            },
        ),
        (None, {"fields": ["note"]}),
    ]


def order_invoices(request: HttpRequest, order: Order) -> dict[str, Any]:
    """Return the applications that an order is or was in, newest first."""
    items = order.invoice_items.select_related("application").order_by("-id")
    seen = scope.narrow(InvoiceApplication.objects.filter(items__order=order), request.user)
    visible = set(seen.values_list("pk", flat=True))
    return {
        "rows": [
            {
                "item": item,
                "invoice": item.application,
                "label": shown.state(item.application, TONES),
                "url": reverse("admin:invoices_invoiceapplication_change", args=[item.application_id]),
            }
            for item in items
            if item.application_id in visible
        ]
    }


pages.add_panel(
    Order,
    pages.Panel(pgettext_lazy("panel", "Invoices"), "backoffice/order_invoices.html", order_invoices, VIEW),
)
