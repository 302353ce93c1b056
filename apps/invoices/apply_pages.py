"""Applying for an invoice on behalf of a driver, from the driver's page: whose title, which orders, by whose leave."""

from __future__ import annotations

import re
from datetime import date
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminEmailInputWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import audit, pages, scope
from apps.backoffice.object_pages import ObjectPage
from apps.backoffice.people import client_address, staff_actor
from apps.common.errors import DomainError
from apps.common.money import ZERO
from apps.customers.models import Customer, CustomerState
from apps.invoices import services
from apps.invoices.enums import InvoiceKind, TitleKind
from apps.invoices.errors import SpecialNeedsCompany, SpecialNotOffered, TaxNumberInvalid, TitleIncomplete
from apps.invoices.models import InvoiceApplication, InvoicePolicy, InvoiceTitle
from apps.invoices.selectors import invoice_policy, invoiceable, parts_of
from apps.orders.errors import OrderNotFound
from apps.orders.models import Order

PAGE = "invoices_customer_apply"
SEE_CUSTOMERS = "customers.view_customer"
NEW = "new"
MOST_SHOWN = 200
"""Orders on the page, newest first: as many as one invoice may ever take. Days narrow them."""

_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,32}", re.ASCII)
_FIELD_OF: dict[type[DomainError], str] = {
    TaxNumberInvalid: "tax_no",
    TitleIncomplete: "name",
    SpecialNotOffered: "kind",
    SpecialNeedsCompany: "kind",
}
"""Where the form shows what is wrong."""


def _text(label: Any, most: int, help_text: Any = "", **attributes: str) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=False,
        help_text=help_text,
        widget=UnfoldAdminTextInputWidget(attrs=attributes),
    )


class OrderNumbers(forms.MultipleChoiceField):
    """Numbers of orders. Which of them can be invoiced is the service's to say: it names the one that cannot."""

    def validate(self, value: list[str]) -> None:
        """One at least, and nothing that is no number."""
        if not value:
            raise forms.ValidationError(_("Choose one order at least."))
        if not all(_NUMBER.fullmatch(one) for one in value):
            raise forms.ValidationError(str(OrderNotFound()))


class ApplyForm(forms.Form):
    """To whom, of which kind, over which orders. Fields of `NEW_TITLE` count where the title is a new one."""

    NEW_TITLE = ("title_kind", "name", "tax_no", "address", "phone", "bank", "bank_account")

    title = forms.ChoiceField(label=pgettext_lazy("invoice", "title"), widget=UnfoldAdminSelectWidget)
    title_kind = forms.ChoiceField(
        label=_("kind of title"), choices=TitleKind, required=False, widget=UnfoldAdminSelectWidget
    )
    name = _text(_("whole name"), 100, _("of the company as on its licence, or of the person"))
    tax_no = _text(
        _("tax number"),
        20,
        _("18 characters; a company's alone"),
        autocomplete="off",
        autocapitalize="characters",
    )
    address = _text(_("address"), 100)
    phone = _text(_("company's phone"), 30)
    bank = _text(_("bank"), 100)
    bank_account = _text(_("bank account"), 40, inputmode="numeric")
    kind = forms.ChoiceField(label=_("kind"), choices=InvoiceKind, widget=UnfoldAdminSelectWidget)
    email = forms.EmailField(
        label=_("e-mail"),
        max_length=254,
        required=False,
        help_text=_("Empty: that of the title."),
        widget=UnfoldAdminEmailInputWidget,
    )
    remark = _text(_("remark"), 100)
    orders = OrderNumbers(label=_("orders"), required=False)
    request_key = forms.RegexField(r"\A[0-9a-f]{32}\Z", widget=forms.HiddenInput)

    def __init__(self, *args: Any, titles: list[InvoiceTitle], policy: InvoicePolicy, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found: Any = self.fields
        found["title"].choices = [
            *((str(one.pk), f"{one.name} · {one.tax_no or one.get_kind_display()}") for one in titles),
            (NEW, gettext("a new title")),
        ]
        if not policy.allows_special:
            found["kind"].choices = [(InvoiceKind.ORDINARY.value, InvoiceKind.ORDINARY.label)]

    def clean(self) -> dict[str, Any]:
        """A page that has lost its key is to be loaded anew: without it a second press would be a second request."""
        words = super().clean() or {}
        if self.errors.pop("request_key", None):
            raise forms.ValidationError(_("Please load the page anew."))
        if words.get("title") == NEW and not words.get("title_kind"):
            self.add_error("title_kind", self.fields["title_kind"].error_messages["required"])
        return words

    @property
    def new_title(self) -> dict[str, str] | None:
        """Fields of a new title, None for one that is there."""
        words = self.cleaned_data
        if words["title"] != NEW:
            return None
        values = {name: words[name] for name in self.NEW_TITLE}
        return {**values, "kind": values.pop("title_kind"), "email": words["email"]}


class ApplyPage(ObjectPage):
    """The driver's titles, and the orders that this person sees and that can be invoiced."""

    permission_required = (services.APPLY, SEE_CUSTOMERS)
    title = _("Apply for an invoice")
    template_name = "backoffice/invoice_apply.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The form, the orders with their amounts, and why there are none."""
        customer, policy = self.object, invoice_policy()
        form = kwargs.pop("form", None) or self._form(policy)
        chosen = set(form.data.getlist("orders")) if form.is_bound else set()
        first, last = self._day("from"), self._day("to")
        rows = invoiceable(customer=customer, policy=policy)
        if first:
            rows = rows.filter(settled_at__date__gte=first)
        if last:
            rows = rows.filter(settled_at__date__lte=last)
        found = list(scope.narrow(rows, self.request.user).order_by("-id")[: MOST_SHOWN + 1])
        orders = []
        for order in found[:MOST_SHOWN]:
            electricity, service = parts_of(order)
            orders.append(
                {
                    "order": order,
                    "electricity": electricity,
                    "service": service,
                    "amount": electricity + service,
                    "is_chosen": order.order_no in chosen,
                }
            )
        ticked = [one["amount"] for one in orders if one["is_chosen"]]
        return super().get_context_data(
            form=form,
            new_title=[form[name] for name in ApplyForm.NEW_TITLE],
            policy=policy,
            is_deleted=customer.state == CustomerState.DELETED,
            orders=orders,
            most_shown=MOST_SHOWN,
            has_more=len(found) > MOST_SHOWN,
            count=len(ticked),
            total=sum(ticked, ZERO),
            first=first,
            last=last,
            request_key=uuid4().hex,  # a new one: what was refused has made nothing
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Apply, and go to the application; what is wrong is said on the page, and what was chosen stays."""
        form = self._form(invoice_policy(), request.POST)
        made = self._apply(request, form) if form.is_valid() else None
        if made is None:
            return self.render_to_response(self.get_context_data(form=form, **kwargs))
        text = gettext("The invoice %(number)s over %(amount)s yuan is applied for.")
        messages.success(request, text % {"number": made.application_no, "amount": f"{made.amount:.2f}"})
        if request.user.has_perm(services.VIEW):  # type: ignore[union-attr]
            return HttpResponseRedirect(reverse("admin:invoices_invoiceapplication_change", args=[made.pk]))
        return HttpResponseRedirect(request.path)

    def _apply(self, request: HttpRequest, form: ApplyForm) -> InvoiceApplication | None:
        """Apply once, however often the button is pressed, and write the log; None and the form's error if refused."""
        words, actor, customer = form.cleaned_data, staff_actor(request), self.object
        new_title = form.new_title
        try:
            self._check_seen(words["orders"])
            with transaction.atomic():
                made, is_new = services.apply_for(
                    customer=customer,
                    title_id=None if new_title else int(words["title"]),
                    new_title=new_title,
                    order_nos=words["orders"],
                    kind=words["kind"],
                    email=words["email"],
                    remark=words["remark"],
                    applied_by=actor,
                    request_key=f"staff-{actor.id}-{words['request_key']}",
                )
                if is_new:
                    audit.record(
                        actor,
                        "invoices.invoiceapplication_applied",
                        made,
                        changes={
                            "customer": [None, customer.masked_phone],
                            "title": [None, made.title],
                            "kind": [None, made.get_kind_display()],
                            "orders": [None, sorted(set(words["orders"]))],
                            "amount": [None, made.amount],
                        },
                        reason=made.reason,
                        address=client_address(request),
                    )
        except DomainError as error:
            form.add_error(_FIELD_OF.get(type(error)), str(error))
            return None
        return made

    def _check_seen(self, numbers: list[str]) -> None:
        """Orders out of this person's scope are not there for them. Raises OrderNotFound."""
        rows = Order.objects.filter(customer=self.object, order_no__in=numbers)
        if scope.narrow(rows, self.request.user).count() != len(set(numbers)):
            raise OrderNotFound

    def _form(self, policy: InvoicePolicy, data: Any = None) -> ApplyForm:
        titles = list(InvoiceTitle.objects.filter(customer=self.object))
        return ApplyForm(data, titles=titles, policy=policy)

    def _day(self, name: str) -> date | None:
        text = self.request.GET.get(name, "").strip()
        try:
            return date.fromisoformat(text) if text else None
        except ValueError:
            messages.warning(self.request, gettext("%(text)s is no date.") % {"text": text[:20]})
            return None


pages.add_page(Customer, pages.Page("<path:object_id>/invoice/", PAGE, ApplyPage))
pages.add_tab(Customer, pages.Tab(ApplyPage.title, PAGE, services.APPLY, place=40))
