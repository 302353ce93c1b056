"""Stations: where piles stand."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.accounts.models import Department, User
from apps.common.models import TimeStamped


class StationState(models.TextChoices):
    OPEN = "open", pgettext_lazy("station", "open")
    MAINTENANCE = "maintenance", _("under maintenance")
    CLOSED = "closed", pgettext_lazy("station", "closed")


class Station(TimeStamped):
    """A charging station (站点). Coordinates are GCJ-02, as every map in China shows them."""

    station_no = models.CharField(_("station number"), max_length=20, unique=True)
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(_("state"), max_length=16, choices=StationState, default=StationState.OPEN)
    is_published = models.BooleanField(_("shown to drivers"), default=True)
    province = models.CharField(_("province"), max_length=20, blank=True)
    city = models.CharField(_("city"), max_length=20, blank=True)
    district = models.CharField(_("district"), max_length=20, blank=True)
    area_code = models.CharField(_("area code"), max_length=6, blank=True)
    address = models.CharField(_("address"), max_length=200, blank=True)
    latitude = models.DecimalField(
        _("latitude"),
        max_digits=9,
        decimal_places=6,
        validators=[MinValueValidator(-90), MaxValueValidator(90)],
    )
    longitude = models.DecimalField(
        _("longitude"),
        max_digits=9,
        decimal_places=6,
        validators=[MinValueValidator(-180), MaxValueValidator(180)],
    )
    opening_hours = models.CharField(_("opening hours"), max_length=50, default="00:00-24:00")
    service_phone = models.CharField(_("service phone"), max_length=20, blank=True)
    parking_note = models.CharField(_("parking"), max_length=200, blank=True)
    notice = models.CharField(_("notice to drivers"), max_length=200, blank=True)
    department = models.ForeignKey(
        Department,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="stations",
        verbose_name=_("department"),
        help_text=_("who has it or one above it as scope sees the station"),
    )
    keeper = models.ForeignKey(
        User,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="kept_stations",
        verbose_name=_("looked after by"),
    )
    qr_prefix = models.CharField(
        _("start of QR codes"),
        max_length=200,
        blank=True,
        validators=[RegexValidator(r"^[!-~]*$", _("ASCII characters without blanks are needed."))],
        help_text=_("what piles with a screen put before the gun code; empty: the tenant's"),
    )

    class Meta:
        verbose_name = _("station")
        verbose_name_plural = _("stations")
        ordering = ["station_no"]

    def __str__(self) -> str:
        return self.name
