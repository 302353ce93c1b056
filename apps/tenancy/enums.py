"""States of tenants, of their opening, and of visits to them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class TenantState(models.TextChoices):
    OPENING = "opening", _("opening")
    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")
    CLOSED = "closed", pgettext_lazy("tenant", "closed")


WORKING = (TenantState.ACTIVE, TenantState.SUSPENDED)
"""Running charges of a suspended tenant end and settle, so its piles and its background work go on."""


class Suspension(models.TextChoices):
    """Who suspended a tenant: one that ran out is active again as soon as it is renewed."""

    STAFF = "staff", _("a person")
    EXPIRY = "expiry", _("end of the term")


class SecondLogin(models.TextChoices):
    """What to do when a pile that is connected logs in a second time."""

    NEWEST_WINS = "newest", _("the newer connection wins")
    CHALLENGE = "challenge", _("the older connection stays if it still answers")


class OpeningState(models.TextChoices):
    WAITING = "waiting", pgettext_lazy("opening", "waiting")
    RUNNING = "running", pgettext_lazy("opening", "under way")
    DONE = "done", pgettext_lazy("opening", "open")
    FAILED = "failed", pgettext_lazy("opening", "failed")


class OpeningStep(models.TextChoices):
    """How far an opening is; each is a share of the whole (PERCENT)."""

    WAITING = "waiting", _("waits for a worker")
    TEMPLATE = "template", _("the template is brought up to date")
    QUEUE = "queue", _("waits for another opening to end")
    SCHEMA = "schema", _("the schema is copied")
    ROWS = "rows", _("roles and first rows are written")
    DONE = "done", pgettext_lazy("opening", "done")


PERCENT = {
    OpeningStep.WAITING: 5,
    OpeningStep.TEMPLATE: 15,
    OpeningStep.QUEUE: 25,
    OpeningStep.SCHEMA: 40,
    OpeningStep.ROWS: 85,
    OpeningStep.DONE: 100,
}


class SupportEnd(models.TextChoices):
    """What ended a support visit."""

    PERSON = "person", _("the visitor")
    PLATFORM = "platform", _("the platform")
    TIME = "time", _("time was over")
    NEXT = "next", _("a newer visit")
