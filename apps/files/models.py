"""Files by their place in the storage, and exports that run in the background."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.files.enums import OPEN_STATES, ExportFormat, ExportState, FileState


class StoredFile(models.Model):
    """One file. Its content never changes: another content is another file. The owner is text, of any kind."""

    number = models.UUIDField(_("number"), unique=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(_("kind"), max_length=32)
    state = models.CharField(_("state"), max_length=8, choices=FileState, default=FileState.READY)
    key = models.CharField(_("place in the storage"), max_length=200, unique=True)
    thumbnail_key = models.CharField(_("place of the small picture"), max_length=200, blank=True)
    name = models.CharField(_("file name"), max_length=200)
    media_type = models.CharField(_("type"), max_length=100)
    size = models.PositiveBigIntegerField(_("size (bytes)"))
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    width = models.PositiveIntegerField(_("width (pixels)"), null=True, blank=True)
    height = models.PositiveIntegerField(_("height (pixels)"), null=True, blank=True)
    owner_kind = models.CharField(_("owner's kind"), max_length=16)
    owner_id = models.CharField(_("owner's id"), max_length=64, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    expires_at = models.DateTimeField(_("kept until"), null=True, blank=True)

    class Meta:
        verbose_name = _("file")
        verbose_name_plural = _("files")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["expires_at"], condition=~Q(expires_at=None), name="stored_file_expires")
        ]

    def __str__(self) -> str:
        return self.name


class ExportJob(models.Model):
    """A list that somebody takes away: which one with which filter, how far it is, and its file until it goes.

    Written by `exports` alone. A worker that died leaves `heartbeat_at` behind; `attempt` tells its writes from those
    of the next one.
    """

    number = models.UUIDField(_("number"), unique=True, default=uuid.uuid4, editable=False)
    model = models.CharField(_("list"), max_length=64, help_text="app.model")
    query = models.TextField(_("filter"), blank=True)
    format = models.CharField(_("format"), max_length=8, choices=ExportFormat)
    language = models.CharField(_("language"), max_length=16)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64)
    actor_name = models.CharField(_("actor"), max_length=100)
    state = models.CharField(_("state"), max_length=8, choices=ExportState, default=ExportState.WAITING)
    total = models.PositiveIntegerField(_("rows in all"), null=True, blank=True)
    done = models.PositiveIntegerField(_("rows written"), default=0)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    created_at = models.DateTimeField(_("asked for at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    file = models.OneToOneField(
        StoredFile, models.SET_NULL, null=True, blank=True, related_name="export", verbose_name=_("file")
    )
    error = models.CharField(_("error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("export")
        verbose_name_plural = _("exports")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], condition=Q(state__in=OPEN_STATES), name="export_job_open"),
            models.Index(fields=["actor_kind", "actor_id"], name="export_job_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.model} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        if self.state == ExportState.DONE:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0
