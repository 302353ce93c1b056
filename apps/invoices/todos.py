"""What waits for a person at invoices."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Todo
from apps.invoices.enums import InvoiceState
from apps.invoices.models import InvoiceApplication

_PERMISSION = "invoices.view_invoiceapplication"
_PAGE = "admin:invoices_invoiceapplication_changelist"


def _waiting(title: object, state: InvoiceState) -> Todo:
    return Todo(
        title,
        _PERMISSION,
        _PAGE,
        lambda _request: InvoiceApplication.objects.filter(state=state),
        f"state__exact={state}",
        follows_place=False,  # an invoice is over orders of several places
    )


todo.add(
    _waiting(_("Invoices to review"), InvoiceState.APPLIED),
    _waiting(_("Invoices to issue"), InvoiceState.APPROVED),
    _waiting(_("Red invoices to make"), InvoiceState.NEEDS_RED),
)
