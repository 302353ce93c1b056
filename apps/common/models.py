"""Abstract models."""

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.common.ids import Actor


class TimeStamped(models.Model):
    """Rows that say when they were made and last changed."""

    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False, db_index=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        abstract = True


class Reviewed(TimeStamped):
    """Rows that one person asks for and another decides. Both are kept as text, since either may be of any kind."""

    applied_by_kind = models.CharField(_("applicant kind"), max_length=16)
    applied_by_id = models.CharField(_("applicant id"), max_length=64, blank=True)
    applied_by = models.CharField(_("applied by"), max_length=100, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    reviewed_by_kind = models.CharField(_("reviewer kind"), max_length=16, blank=True)
    reviewed_by_id = models.CharField(_("reviewer id"), max_length=64, blank=True)
    reviewed_by = models.CharField(_("reviewed by"), max_length=100, blank=True)
    reviewed_at = models.DateTimeField(_("reviewed at"), null=True, blank=True)
    review_reason = models.CharField(_("reviewer's reason"), max_length=200, blank=True)

    class Meta:
        abstract = True

    @property
    def applicant(self) -> Actor:
        """Who asked for it."""
        return Actor(self.applied_by_kind, self.applied_by_id, self.applied_by)

    @property
    def reviewer(self) -> Actor:
        """Who decided; without a kind, nobody yet."""
        return Actor(self.reviewed_by_kind, self.reviewed_by_id, self.reviewed_by)

    def decided_by(self, reviewer: Actor, reason: str, at: datetime) -> None:
        """Note who decided, when and why; the caller saves the row."""
        self.reviewed_by_kind, self.reviewed_by_id = reviewer.kind, reviewer.id
        self.reviewed_by, self.review_reason = str(reviewer)[:100], reason[:200]
        self.reviewed_at = at
