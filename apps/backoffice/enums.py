"""How operations that need a second person are decided."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class ApprovalRule(models.TextChoices):
    """When an operation needs a second person."""

    ALWAYS = "always", _("always")
    ABOVE = "above", _("above a threshold")
    NEVER = "never", _("never")


class ApprovalState(models.TextChoices):
    PENDING = "pending", _("waits for a second person")
    EXECUTED = "executed", _("executed")
    REJECTED = "rejected", _("rejected")
    WITHDRAWN = "withdrawn", _("withdrawn")
    STALE = "stale", _("void: the object changed")
    FAILED = "failed", pgettext_lazy("approval", "failed")
