"""Activities: news for drivers, with coupons to claim."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.models import TimeStamped
from apps.coupons.models import CouponTemplate
from apps.files.models import StoredFile
from apps.marketing import texts
from apps.marketing.enums import ActivityState, BannerLink


class Activity(TimeStamped):
    """A page for drivers (活动), shown while it is published and its period runs. Its text is clean in the database."""

    title = models.CharField(_("headline"), max_length=60)
    summary = models.CharField(
        _("summary"), max_length=120, blank=True, help_text=_("one line below the headline in lists")
    )
    text = models.TextField(_("text"), max_length=20_000, blank=True)
    cover = models.OneToOneField(
        StoredFile, models.PROTECT, null=True, blank=True, related_name="activity", verbose_name=_("cover")
    )
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"))
    coupon_templates = models.ManyToManyField(
        CouponTemplate,
        blank=True,
        related_name="activities",
        verbose_name=_("coupon templates"),
        help_text=_("to be claimed on the page"),
    )
    is_banner = models.BooleanField(
        _("banner"), default=False, help_text=_("its cover is shown at the top of the app")
    )
    banner_link = models.CharField(
        _("banner leads to"),
        max_length=16,
        choices=BannerLink,
        default=BannerLink.ACTIVITY,
        db_default=BannerLink.ACTIVITY,
        blank=True,
    )
    position = models.PositiveSmallIntegerField(
        _("position"), default=100, help_text=_("of banners; small numbers come first")
    )
    is_published = models.BooleanField(_("published"), default=False, editable=False)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("activity")
        verbose_name_plural = _("activities")
        ordering = ["-id"]
        permissions = [("publish_activity", _("Can publish and withdraw activities"))]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="activity_period")
        ]
        indexes = [
            models.Index(fields=["ends_at"], condition=Q(is_published=True), name="activity_published")
        ]

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store nothing but a clean text. Its pictures stay from then on; those that left it go in a day."""
        fields = kwargs.get("update_fields")
        if fields is not None and "text" not in fields:
            super().save(*args, **kwargs)
            return
        with transaction.atomic():
            rows = Activity.objects.select_for_update(of=("self",)).filter(pk=self.pk)
            before = rows.values_list("text", flat=True).first() or ""
            pictures = texts.locked_pictures(before, self.text)
            self.text = texts.with_pictures(self.text, pictures)
            super().save(*args, **kwargs)
            shown = Activity.objects.filter(texts.shows_any(pictures)).values_list("text", flat=True)
            texts.keep(pictures, list(shown))

    def clean(self) -> None:
        """Check what columns say together. Raises ValidationError by field."""
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("It ends before it begins.")})

    def state_at(self, at: datetime) -> ActivityState:
        """Return where it stands."""
        if self.ends_at <= at:
            return ActivityState.OVER
        if not self.is_published:
            return ActivityState.DRAFT
        return ActivityState.COMING if at < self.starts_at else ActivityState.RUNNING
