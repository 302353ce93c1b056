"""A driver's invoices where the account is deleted, or its data copied (settings.CUSTOMER_*).

Invoices themselves are kept: 发票管理办法 asks for five years at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from apps.customers.models import Customer
from apps.invoices.enums import NOT_ISSUED
from apps.invoices.models import InvoiceApplication, InvoiceTitle


def reasons_to_keep(customer: Customer) -> Iterator[tuple[str, Any]]:
    """Say whether an invoice is under way."""
    if InvoiceApplication.objects.filter(customer=customer, state__in=NOT_ISSUED).exists():
        yield "invoice_open", _("An invoice is under way; wait until it is issued, or withdraw it.")


def forget_titles(customer: Customer) -> None:
    """Forget the titles that the driver kept."""
    InvoiceTitle.objects.filter(customer=customer).delete()


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return titles and applications of a driver; yuan."""
    return {
        "invoice-titles": list(
            InvoiceTitle.objects.filter(customer=customer)
            .order_by("id")
            .values("kind", "name", "tax_no", "address", "phone", "bank", "bank_account", "email")
        ),
        "invoices": list(
            InvoiceApplication.objects.filter(customer=customer)
            .order_by("id")
            .values(
                "application_no",
                "kind",
                "title",
                "tax_no",
                "email",
                "electricity",
                "service",
                "state",
                "invoice_no",
                "issued_on",
                "created_at",
            )
        ),
    }
