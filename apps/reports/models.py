"""Sums of orders by business day, so that nobody who reads a report adds up orders."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from apps.accounts.models import User
from apps.common.fields import EnergyField, MoneyField
from apps.common.models import TimeStamped
from apps.orders.enums import OrderSource
from apps.piles.models import Connector
from apps.reports.enums import CustomerKind, Grain, Group, Period, Rhythm
from apps.sites.models import Station


class Figures(models.Model):
    """What is summed up, all of it additive. Money in yuan, before and after what the ledger booked on that day."""

    orders = models.PositiveIntegerField(_("orders"), default=0)
    energy_kwh = EnergyField(_("energy (kWh)"), default=0)
    electricity_fee = MoneyField(_("electricity fee"), default=0)
    service_fee = MoneyField(_("service fee"), default=0)
    enterprise_discount = MoneyField(_("enterprise discount"), default=0)
    coupon_discount = MoneyField(_("coupon discount"), default=0)
    platform_borne = MoneyField(_("discount borne by the platform"), default=0)
    station_borne = MoneyField(_("discount borne by the station"), default=0)
    paid_principal = MoneyField(_("paid from principal"), default=0)
    paid_bonus = MoneyField(_("paid from bonus"), default=0)
    paid_enterprise = MoneyField(_("paid by enterprises"), default=0, db_default=0)
    debt = MoneyField(_("debt"), default=0)
    recovered_principal = MoneyField(_("debts paid from principal"), default=0)
    recovered_bonus = MoneyField(_("debts paid from bonus"), default=0)
    refunded_electricity = MoneyField(_("electricity fee refunded"), default=0)
    refunded_service = MoneyField(_("service fee refunded"), default=0)
    refunded_principal = MoneyField(_("refunded to principal"), default=0)
    refunded_bonus = MoneyField(_("refunded to bonus"), default=0)
    refunded_enterprise = MoneyField(_("refunded to enterprises"), default=0, db_default=0)
    refunded_debt = MoneyField(_("refunded off debts"), default=0)
    channel_fee = MoneyField(_("payment channel fee"), default=0)
    charging_s = models.PositiveBigIntegerField(_("time charging (s)"), default=0)
    available_s = models.PositiveBigIntegerField(_("time that guns were there (s)"), default=0)

    class Meta:
        abstract = True


class Rollup(Figures):
    """The figures of one business day (or month) of one station, source and kind of customer; gun; or hour.

    Money and energy belong to the day on which the ledger booked them: an order to that of its settlement, a refund to
    its own. Time charging belongs to the days and hours in which guns were in use. `rolled_day` is the day whose orders
    a row came from: what a late record adds to earlier days stands in rows of its own, so a day is rolled again by
    taking its rows away and writing them anew. `apps.reports.rollups` writes, `apps.reports.finance` reads.
    """

    period = models.CharField(_("period"), max_length=5, choices=Period)
    grain = models.CharField(_("grain"), max_length=7, choices=Grain)
    rolled_day = models.DateField(_("came from"))
    day = models.DateField(_("business day"))
    station = models.ForeignKey(
        Station,
        on_delete=models.CASCADE,
        null=True,
        related_name="rollups",
        verbose_name=_("station"),
        db_index=False,
        help_text=_("empty: a channel's fee on a day without a payment that could bear it"),
    )
    connector = models.ForeignKey(
        Connector,
        on_delete=models.CASCADE,
        null=True,
        related_name="rollups",
        verbose_name=_("connector"),
    )
    hour = models.PositiveSmallIntegerField(_("hour"), null=True, help_text=_("in which the charge began"))
    source = models.CharField(_("source"), max_length=16, choices=OrderSource, blank=True)
    customer_kind = models.CharField(_("kind of customer"), max_length=10, choices=CustomerKind, blank=True)

    class Meta:
        verbose_name = _("rollup")
        verbose_name_plural = _("rollups")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=[
                    "period",
                    "rolled_day",
                    "grain",
                    "day",
                    "station",
                    "connector",
                    "hour",
                    "source",
                    "customer_kind",
                ],
                name="rollup_unique",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(period=Period.DAY) | Q(rolled_day=models.F("day")), name="rollup_month"
            ),
        ]
        indexes = [models.Index(fields=["grain", "period", "day", "station"], name="rollup_by_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.grain} {self.station_id or ''}"


class FinanceReport(Rollup):
    """The rollups as people read them: grouped, with a total."""

    class Meta:
        proxy = True
        verbose_name = _("finance report")
        verbose_name_plural = _("finance reports")
        default_permissions = ("view",)
        permissions = [("roll_financereport", _("Can have days summed up again"))]


class RolledPeriod(models.Model):
    """That a day, or a month up to `through`, was rolled up, and when. A month without one is read by its days."""

    period = models.CharField(_("period"), max_length=5, choices=Period)
    day = models.DateField(_("first day"))
    through = models.DateField(_("last day"))
    orders = models.PositiveIntegerField(_("orders"), default=0)
    rolled_at = models.DateTimeField(_("rolled up at"))

    class Meta:
        verbose_name = _("rolled-up period")
        verbose_name_plural = _("rolled-up periods")
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["period", "day"], name="rolled_period_unique")]

    def __str__(self) -> str:
        return f"{self.period} {self.day}"


class ReportSchedule(TimeStamped):
    """A finance report that is mailed by itself. It shows what its owner may see at the time of sending."""

    name = models.CharField(_("name"), max_length=50)
    rhythm = models.CharField(_("rhythm"), max_length=8, choices=Rhythm, default=Rhythm.DAILY)
    group = models.CharField(
        pgettext_lazy("report", "grouped"), max_length=10, choices=Group, default=Group.STATION
    )
    station = models.ForeignKey(
        Station,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("station"),
        help_text=_("empty: all that its owner sees"),
    )
    recipients = models.TextField(_("recipients"), help_text=_("mail addresses, one a line"))
    owner = models.ForeignKey(
        User, on_delete=models.CASCADE, related_name="+", verbose_name=_("owner"), editable=False
    )
    is_active = models.BooleanField(_("in use"), default=True, editable=False)
    sent_through = models.DateField(_("sent through"), null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(_("last sent at"), null=True, blank=True, editable=False)
    error = models.CharField(_("what went wrong"), max_length=200, blank=True, editable=False)

    class Meta:
        verbose_name = _("report by mail")
        verbose_name_plural = _("reports by mail")
        ordering = ["name", "id"]
        permissions = [("send_reportschedule", _("Can send reports by mail at once and switch them"))]

    def __str__(self) -> str:
        return self.name

    @property
    def addresses(self) -> list[str]:
        """The recipients, each once."""
        return list(dict.fromkeys(self.recipients.split()))


class OwnPackage(Rollup):
    """Has no rows: the page on which a tenant sees what it has bought needs a permission of its own."""

    class Meta:
        proxy = True
        verbose_name = _("own package")
        verbose_name_plural = _("own package")
        default_permissions = ()
        permissions = [("view_ownpackage", _("Can see the package, its limits and until when it is good"))]


FIGURES = tuple(field.name for field in Figures._meta.fields)
"""The columns that are summed up."""
NOTHING = {name: Decimal(0) if name not in ("orders", "charging_s", "available_s") else 0 for name in FIGURES}
"""All of them for a day on which nothing happened."""
