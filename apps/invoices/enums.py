"""Kinds and states of invoices."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class TitleKind(models.TextChoices):
    COMPANY = "company", pgettext_lazy("invoice title", "company")
    PERSONAL = "personal", pgettext_lazy("invoice title", "personal")


class InvoiceKind(models.TextChoices):
    ORDINARY = "ordinary", _("digital ordinary invoice")
    SPECIAL = "special", _("digital special invoice")


class InvoiceState(models.TextChoices):
    APPLIED = "applied", pgettext_lazy("invoice", "waits for review")
    APPROVED = "approved", pgettext_lazy("invoice", "to be issued")
    ISSUED = "issued", pgettext_lazy("invoice", "issued")
    FAILED = "failed", pgettext_lazy("invoice", "could not be issued")
    REJECTED = "rejected", pgettext_lazy("invoice", "rejected")
    CANCELLED = "cancelled", pgettext_lazy("invoice", "withdrawn")
    NEEDS_RED = "needs_red", pgettext_lazy("invoice", "needs a red invoice")
    RED = "red", pgettext_lazy("invoice", "reversed")


NOT_ISSUED = (InvoiceState.APPLIED, InvoiceState.APPROVED, InvoiceState.FAILED)
"""There is no invoice yet: amounts may still follow a refund."""

LIVING = (*NOT_ISSUED, InvoiceState.ISSUED, InvoiceState.NEEDS_RED)
"""Its orders are taken: no other application may have them."""


class Fee(models.TextChoices):
    """What a line of an invoice is for."""

    ELECTRICITY = "electricity", _("electricity fee")
    SERVICE = "service", _("service fee")
