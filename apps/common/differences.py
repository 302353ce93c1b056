"""Differences between our books and somebody else's figures: found by a run, kept over later runs, closed by a person.

A run hands over all that it finds; `keep` compares that with what earlier runs found. What is no longer there is
cleared, and what a person has closed opens again as soon as its figures are others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.common.models import TimeStamped


class DifferenceState(models.TextChoices):
    OPEN = "open", pgettext_lazy("difference", "open")
    RESOLVED = "resolved", pgettext_lazy("difference", "resolved")
    CLEARED = "cleared", _("cleared: a later run found none")


class Difference(TimeStamped):
    """What every kind of difference has. Subclasses add what it is about, and the sum that it is of."""

    subject = models.CharField(_("subject"), max_length=64)
    figures = models.JSONField(_("figures"), default=dict, blank=True)
    state = models.CharField(
        _("state"), max_length=16, choices=DifferenceState, default=DifferenceState.OPEN, db_index=True
    )
    resolution = models.CharField(_("resolution"), max_length=200, blank=True)
    resolved_by = models.CharField(_("resolved by"), max_length=100, blank=True)
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)
    reopened = models.PositiveIntegerField(
        _("times reopened"), default=0, help_text=_("a later run found other figures than were resolved")
    )

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.subject

    def close(self, *, reason: str, by: str, at: datetime) -> None:
        """Set what a person's decision leaves; the caller saves."""
        self.state = DifferenceState.RESOLVED
        self.resolution = reason[:200]
        self.resolved_by = by[:100]
        self.resolved_at = at


@dataclass(frozen=True, slots=True)
class Found:
    """One difference of a run. `figures` decide whether it is still the same one; `columns` are the model's own.

    With `decided_by` it needs nobody: a person decided the matter elsewhere, with `decision` as reason.
    """

    kind: str
    subject: str
    figures: Mapping[str, str]
    columns: Mapping[str, Any]
    decided_by: str = ""
    decision: str = ""


def keep(model: type[Any], owner: Mapping[str, Any], found: Sequence[Found], at: datetime) -> int:
    """Bring the stored differences of `owner` (columns that name it) up to a run's; return how many are open.

    Inside `atomic()`, and no other run of the same owner meanwhile. What is stored is locked, so that decisions wait.
    """
    stored = {
        (row.kind, row.subject): row
        for row in model.objects.select_for_update(of=["self"]).filter(**owner).order_by("pk")
    }
    made: list[Any] = []
    changed: list[Any] = []
    for item in found:
        row = stored.pop((item.kind, item.subject), None)
        if row is None:
            row = model(**owner, kind=item.kind, subject=item.subject, created_at=at)
            made.append(row)
        elif row.state != DifferenceState.CLEARED and row.figures == dict(item.figures):
            _decide_elsewhere(row, item, at, changed)
            continue
        else:
            row.reopened += row.state == DifferenceState.RESOLVED
            changed.append(row)
        row.figures = dict(item.figures)
        row.state = DifferenceState.OPEN
        row.resolution, row.resolved_by, row.resolved_at = "", "", None
        row.updated_at = at
        for name, value in item.columns.items():
            setattr(row, name, value)
        _decide_elsewhere(row, item, at)
    for row in stored.values():
        if row.state != DifferenceState.CLEARED:
            row.state = DifferenceState.CLEARED
            row.updated_at = at
            changed.append(row)
    model.objects.bulk_create(made, batch_size=1_000)
    own = [field.name for field in model._meta.concrete_fields if not field.primary_key]
    model.objects.bulk_update(changed, own, batch_size=500)
    return int(model.objects.filter(**owner, state=DifferenceState.OPEN).count())


def _decide_elsewhere(row: Any, item: Found, at: datetime, changed: list[Any] | None = None) -> None:
    if item.decided_by and row.state == DifferenceState.OPEN:
        row.close(reason=item.decision, by=item.decided_by, at=at)
        if changed is not None:
            changed.append(row)
