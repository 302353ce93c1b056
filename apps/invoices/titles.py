"""Invoice titles that a driver keeps."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.customers.models import Customer
from apps.invoices.enums import TitleKind
from apps.invoices.errors import TaxNumberInvalid, TitleIncomplete, TooManyTitles
from apps.invoices.models import InvoiceTitle
from apps.invoices.rules import is_tax_number
from apps.invoices.selectors import title_of

MOST_TITLES = 20
_COMPANY_ONLY = ("address", "phone", "bank", "bank_account")


def add_title(*, customer: Customer, values: dict[str, Any], keeps: bool = False) -> InvoiceTitle:
    """Keep a title (fields of InvoiceTitle). The same title again is the one that is there, with the other fields new;
    the default stays the default where `values` do not say. With `keeps`, fields that are empty now stay as they were.

    Raises TitleIncomplete, TaxNumberInvalid, TooManyTitles.
    """
    says_default = "is_default" in values
    values = _checked(values)
    same = {name: values[name] for name in ("kind", "name", "tax_no")}
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        titles = InvoiceTitle.objects.filter(customer=customer)
        title = titles.filter(**same).first()
        if title is None:
            if titles.count() >= MOST_TITLES:
                raise TooManyTitles(limit=MOST_TITLES)
            title = InvoiceTitle(customer=customer)
        if keeps:
            values |= {name: getattr(title, name) for name in (*_COMPANY_ONLY, "email") if not values[name]}
        if not says_default:
            values["is_default"] = title.is_default
        return _save(title, values)


def change_title(*, customer: Customer, title_id: int, values: dict[str, Any]) -> InvoiceTitle:
    """Write all fields of a title anew; invoices that were applied for keep theirs.

    Another title that says the same goes. Raises TitleNotFound, TitleIncomplete, TaxNumberInvalid.
    """
    with transaction.atomic():
        Customer.objects.select_for_update(no_key=True).get(pk=customer.pk)
        title = title_of(customer=customer, title_id=title_id)
        values = _checked(values)
        same = {name: values[name] for name in ("kind", "name", "tax_no")}
        InvoiceTitle.objects.filter(customer=customer, **same).exclude(pk=title.pk).delete()
        return _save(title, values)


def remove_title(*, customer: Customer, title_id: int) -> None:
    """Forget a title. Raises TitleNotFound."""
    title_of(customer=customer, title_id=title_id).delete()


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    values = {
        "tax_no": "",
        "email": "",
        "is_default": False,
        **dict.fromkeys(_COMPANY_ONLY, ""),
        **values,
    }
    values["name"] = str(values["name"]).strip()
    values["tax_no"] = str(values["tax_no"]).strip().upper()
    company = values["kind"] == TitleKind.COMPANY
    if not values["name"] or company != bool(values["tax_no"]):
        raise TitleIncomplete
    if company and not is_tax_number(values["tax_no"]):
        raise TaxNumberInvalid
    if not company:
        values |= dict.fromkeys(_COMPANY_ONLY, "")
    return values


def _save(title: InvoiceTitle, values: dict[str, Any]) -> InvoiceTitle:
    if values["is_default"]:
        others = InvoiceTitle.objects.filter(customer=title.customer, is_default=True)
        others.exclude(pk=title.pk).update(is_default=False)
    for name, value in values.items():
        setattr(title, name, value)
    title.save()
    return title
