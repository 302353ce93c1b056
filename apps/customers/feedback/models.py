"""A driver's question or complaint with all that was said about it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.common.models import TimeStamped
from apps.files.models import StoredFile
from apps.sites.models import Station


class FeedbackKind(models.TextChoices):
    CHARGING = "charging", pgettext_lazy("feedback", "charging")
    BILL = "bill", pgettext_lazy("feedback", "bill and refund")
    DEVICE = "device", pgettext_lazy("feedback", "broken device")
    STATION = "station", pgettext_lazy("feedback", "station and parking")
    ADVICE = "advice", pgettext_lazy("feedback", "suggestion")
    OTHER = "other", pgettext_lazy("feedback", "other")


class FeedbackState(models.TextChoices):
    OPEN = "open", pgettext_lazy("feedback", "to be answered")
    ANSWERED = "answered", pgettext_lazy("feedback", "answered")
    CLOSED = "closed", pgettext_lazy("feedback", "closed")


class EntryKind(models.TextChoices):
    ASKED = "asked", pgettext_lazy("feedback", "driver wrote")
    ANSWERED = "answered", pgettext_lazy("feedback", "staff answered")
    ASSIGNED = "assigned", pgettext_lazy("feedback", "assigned")
    NOTED = "noted", pgettext_lazy("feedback", "internal note")
    CLOSED = "closed", pgettext_lazy("feedback", "closed")


SEEN_BY_DRIVERS = (EntryKind.ASKED, EntryKind.ANSWERED, EntryKind.CLOSED)


class Feedback(TimeStamped):
    """One matter of a driver. Order and gun are numbers: their tables are above this app."""

    feedback_no = models.CharField(_("feedback number"), max_length=32, unique=True)
    customer = models.ForeignKey(
        "customers.Customer", on_delete=models.PROTECT, related_name="feedback", verbose_name=_("customer")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=FeedbackKind)
    state = models.CharField(_("state"), max_length=16, choices=FeedbackState, default=FeedbackState.OPEN)
    text = models.TextField(_("text"), max_length=1000)
    station = models.ForeignKey(
        Station,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="feedback",
        verbose_name=_("station"),
    )
    order_no = models.CharField(_("order number"), max_length=32, blank=True, db_index=True)
    connector_code = models.CharField(_("gun"), max_length=16, blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="feedback",
        verbose_name=_("assigned to"),
    )
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("answer_feedback", _("Can answer, assign and close feedback"))]
        constraints = [
            models.UniqueConstraint(fields=["customer", "request_key"], name="feedback_request_unique")
        ]
        indexes = [
            models.Index(fields=["customer", "-id"], name="feedback_of_customer"),
            models.Index(fields=["state", "-id"], name="feedback_state"),
        ]

    def __str__(self) -> str:
        return self.feedback_no


class FeedbackEntry(models.Model):
    """One thing that was said or done; entries never change."""

    feedback = models.ForeignKey(
        Feedback, on_delete=models.CASCADE, related_name="entries", verbose_name=_("feedback")
    )
    at = models.DateTimeField(_("time"))
    kind = models.CharField(_("kind"), max_length=16, choices=EntryKind)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)
    text = models.TextField(_("text"), max_length=1000, blank=True)
    request_key = models.CharField(max_length=64, blank=True, editable=False)

    class Meta:
        verbose_name = _("entry of a feedback")
        verbose_name_plural = _("entries of feedback")
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["feedback", "request_key"],
                condition=~models.Q(request_key=""),
                name="feedback_entry_request_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.feedback_id} {self.kind}"


class FeedbackPhoto(models.Model):
    """A picture that a driver sent with an entry."""

    entry = models.ForeignKey(
        FeedbackEntry, on_delete=models.CASCADE, related_name="photos", verbose_name=_("entry")
    )
    file = models.OneToOneField(
        StoredFile, on_delete=models.PROTECT, related_name="feedback_photo", verbose_name=_("file")
    )

    class Meta:
        verbose_name = _("photo of a feedback")
        verbose_name_plural = _("photos of feedback")
        ordering = ["id"]
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.file_id)
