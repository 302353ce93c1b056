"""Prices: templates with immutable versions, where each applies from when, and how pushing it went.

What applies at a place is the assignment with the latest start; one with an end (`is_temporary`) goes before those
without. A price task makes the assignments of several places at once, for one time or for the days of a calendar.
"""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.backoffice.models import Approval
from apps.common.fields import PriceField
from apps.common.models import TimeStamped
from apps.piles.models import Pile
from apps.pricing.enums import DayKind, PushState, TaskDays, TaskState
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, prices_from_json
from apps.sites.models import Station


class PriceTemplate(TimeStamped):
    """A named price plan (价格模板). Its numbers live in versions."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    is_active = models.BooleanField(_("active"), default=True)
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("price template")
        verbose_name_plural = _("price templates")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PriceVersion(models.Model):
    """Prices of a template at one moment; never changed, which a database trigger sees to."""

    template = models.ForeignKey(
        PriceTemplate, on_delete=models.PROTECT, related_name="versions", verbose_name=_("template")
    )
    number = models.PositiveIntegerField(_("version"))
    billing_model_no = models.CharField(
        _("billing model number"), max_length=4, unique=True, validators=[RegexValidator(r"^[0-9A-F]{4}$")]
    )
    sharp_electricity = PriceField(_("sharp electricity (yuan/kWh)"))
    sharp_service = PriceField(_("sharp service (yuan/kWh)"))
    peak_electricity = PriceField(_("peak electricity (yuan/kWh)"))
    peak_service = PriceField(_("peak service (yuan/kWh)"))
    flat_electricity = PriceField(_("flat electricity (yuan/kWh)"))
    flat_service = PriceField(_("flat service (yuan/kWh)"))
    valley_electricity = PriceField(_("valley electricity (yuan/kWh)"))
    valley_service = PriceField(_("valley service (yuan/kWh)"))
    deep_valley_electricity = PriceField(_("deep valley electricity (yuan/kWh)"), null=True, blank=True)
    deep_valley_service = PriceField(_("deep valley service (yuan/kWh)"), null=True, blank=True)
    slots = models.CharField(
        _("rate class of each half hour"),
        max_length=48,
        validators=[RegexValidator(r"^[0-4]{48}$")],
        help_text=_("48 digits from 00:00: 0 sharp, 1 peak, 2 flat, 3 valley, 4 deep valley"),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("price version")
        verbose_name_plural = _("price versions")
        ordering = ["template", "-number"]
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="price_version_unique")]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    def to_tariff(self) -> Tariff:
        """Return the prices as the pure value that orders freeze."""
        prices: dict[RateClass, ClassPrice] = {}
        for rate_class in RateClass:
            electricity = getattr(self, f"{rate_class.value}_electricity")
            if electricity is not None:
                service: Any = getattr(self, f"{rate_class.value}_service")
                prices[rate_class] = ClassPrice(electricity=electricity, service=service)
        return Tariff(prices=prices, slots=tuple(RateClass.from_code(int(code)) for code in self.slots))


class Holiday(TimeStamped):
    """A day that is not what its weekday says: a public holiday, or a weekend day that is worked (调休)."""

    day = models.DateField(_("day"), unique=True)
    kind = models.CharField(_("kind"), max_length=8, choices=DayKind)
    name = models.CharField(_("name"), max_length=50)
    created_by = models.CharField(_("created by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("holiday")
        verbose_name_plural = _("holiday calendar")
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"


class PriceTask(TimeStamped):
    """One version at several places: from `starts_at` on, or until `ends_at`, or on some days between both.

    Its assignments are made when it is approved, and made anew for days to come when the calendar changes.
    """

    name = models.CharField(_("name"), max_length=100)
    version = models.ForeignKey(
        PriceVersion, on_delete=models.PROTECT, related_name="tasks", verbose_name=_("price version")
    )
    stations = models.ManyToManyField(
        Station, blank=True, related_name="price_tasks", verbose_name=_("stations")
    )
    piles = models.ManyToManyField(Pile, blank=True, related_name="price_tasks", verbose_name=_("piles"))
    days = models.CharField(_("days"), max_length=16, choices=TaskDays, default=TaskDays.ALL)
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=TaskState, default=TaskState.WAITING)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    approval = models.ForeignKey(
        Approval,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approval"),
    )
    created_by = models.CharField(_("created by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("price task")
        verbose_name_plural = _("price tasks")
        ordering = ["-id"]
        permissions = [
            ("cancel_pricetask", _("Can cancel price tasks that have not begun")),
            ("roll_back_pricetask", _("Can roll price tasks back")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at=None) | models.Q(ends_at__gt=models.F("starts_at")),
                name="price_task_ends_after_start",
            )
        ]

    def __str__(self) -> str:
        return self.name


class PriceAssignment(TimeStamped):
    """A version applies to a station, or to one pile of it, from `starts_at` on. The pile's own goes first.

    With `is_temporary` (a price that was set for a time) it goes before those that were not. `begun_at` and `over_at`
    say when its start and its end were noticed and the piles were queued for what is in force then.
    """

    version = models.ForeignKey(
        PriceVersion, on_delete=models.PROTECT, related_name="assignments", verbose_name=_("price version")
    )
    station = models.ForeignKey(
        Station,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="prices",
        verbose_name=_("station"),
    )
    pile = models.ForeignKey(
        Pile, on_delete=models.CASCADE, null=True, blank=True, related_name="prices", verbose_name=_("pile")
    )
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    is_temporary = models.BooleanField(_("for a time"), default=False, db_default=False)
    task = models.ForeignKey(
        PriceTask,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="assignments",
        verbose_name=_("price task"),
    )
    begun_at = models.DateTimeField(_("start noticed at"), null=True, blank=True)
    over_at = models.DateTimeField(_("end noticed at"), null=True, blank=True)
    created_by = models.CharField(_("created by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("price assignment")
        verbose_name_plural = _("price assignments")
        ordering = ["-starts_at", "-id"]
        permissions = [("approve_assignment", _("Can approve large changes of prices"))]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(station=None, pile__isnull=False)
                | models.Q(pile=None, station__isnull=False),
                name="price_assignment_one_place",
            )
        ]
        indexes = [
            models.Index(fields=["station", "-starts_at"], name="price_by_station"),
            models.Index(fields=["pile", "-starts_at"], name="price_by_pile"),
            models.Index(
                fields=["starts_at"], name="price_not_begun", condition=models.Q(begun_at__isnull=True)
            ),
            models.Index(
                fields=["ends_at"],
                name="price_not_over",
                condition=models.Q(ends_at__isnull=False, over_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} → {self.station or self.pile}"


class RetailPrice(models.Model):
    """What drivers pay at a station from `starts_at` on, by rate class; without prices, what the pile counts by.

    Piles never learn of it (frame 0x58 carries the infrastructure price). Rows are added, never changed, which a
    database trigger sees to.
    """

    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, related_name="retail_prices", verbose_name=_("station")
    )
    starts_at = models.DateTimeField(_("starts at"))
    prices = models.JSONField(
        _("retail prices"),
        default=dict,
        blank=True,
        help_text=_("by rate class; empty: drivers pay the infrastructure prices"),
    )
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("retail price")
        verbose_name_plural = _("retail prices")
        ordering = ["-starts_at", "-id"]
        indexes = [models.Index(fields=["station", "-starts_at", "-id"], name="retail_by_station")]

    def __str__(self) -> str:
        return f"{self.station} {self.starts_at:%Y-%m-%d %H:%M}"

    def by_class(self) -> dict[RateClass, ClassPrice]:
        """Return the prices as values."""
        return prices_from_json(self.prices)


class PricePush(TimeStamped):
    """One pile has to get one version: the result of pushing it, and how often it was tried."""

    pile = models.ForeignKey(
        Pile, on_delete=models.CASCADE, related_name="price_pushes", verbose_name=_("pile")
    )
    version = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, verbose_name=_("price version"))
    state = models.CharField(_("state"), max_length=16, choices=PushState, default=PushState.PENDING)
    reason = models.CharField(_("reason"), max_length=100, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    tried_at = models.DateTimeField(_("tried at"), null=True, blank=True)
    done_at = models.DateTimeField(_("done at"), null=True, blank=True)

    class Meta:
        verbose_name = _("price push")
        verbose_name_plural = _("price pushes")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["pile", "version"], name="price_push_unique")]

    def __str__(self) -> str:
        return f"{self.version} → {self.pile}"
