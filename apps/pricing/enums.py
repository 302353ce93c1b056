"""Kinds of days, states of price tasks and of pushes."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class DayKind(models.TextChoices):
    HOLIDAY = "holiday", _("public holiday")
    WORKDAY = "workday", _("working day instead")


class TaskDays(models.TextChoices):
    """When a task's prices apply, between its start and its end."""

    ALL = "all", _("from the start on, without a break")
    HOLIDAYS = "holidays", _("on public holidays")
    REST_DAYS = "rest_days", _("on weekends and public holidays")


class TaskState(models.TextChoices):
    WAITING = "waiting", _("waits for a second person")
    REFUSED = "refused", _("not approved")
    SCHEDULED = "scheduled", _("scheduled")
    RUNNING = "running", _("in force")
    DONE = "done", _("carried out")
    CANCELLED = "cancelled", _("cancelled")
    ROLLED_BACK = "rolled_back", _("rolled back")


class PushState(models.TextChoices):
    PENDING = "pending", _("pending")
    SENT = "sent", _("sent")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")
    SUPERSEDED = "superseded", _("no longer needed")
