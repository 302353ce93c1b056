"""Energy reconciliation: a pile's days, and what two sources say differently."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.differences import Difference
from apps.common.fields import EnergyField
from apps.common.models import TimeStamped
from apps.orders.enums import EnergyDifferenceKind
from apps.orders.models.orders import Order
from apps.piles.models import Pile


class EnergyDay(TimeStamped):
    """What a pile delivered on one business day by its records, its bills, its meters and its telemetry, kWh.

    A charge belongs to the day on which its record arrived (without a record: on which it was started).
    """

    pile = models.ForeignKey(
        Pile, on_delete=models.PROTECT, related_name="energy_days", verbose_name=_("pile")
    )
    day = models.DateField(_("business day"), db_index=True)
    charges = models.PositiveIntegerField(_("charges"), default=0)
    recorded_kwh = EnergyField(_("by records (kWh)"), default=0)
    billed_kwh = EnergyField(_("billed (kWh)"), default=0)
    metered_kwh = EnergyField(_("by meters (kWh)"), default=0)
    gap_kwh = EnergyField(_("between charges (kWh)"), default=0)
    sampled_kwh = EnergyField(_("by telemetry (kWh)"), default=0)
    differences_found = models.PositiveIntegerField(_("differences"), default=0)
    differences_open = models.PositiveIntegerField(_("open differences"), default=0)
    reconciled_at = models.DateTimeField(_("reconciled at"))

    class Meta:
        verbose_name = _("energy reconciliation")
        verbose_name_plural = _("energy reconciliation")
        ordering = ["-day", "pile"]
        permissions = [("reconcile_energy", _("Can reconcile energy and resolve differences"))]
        constraints = [models.UniqueConstraint(fields=["day", "pile"], name="energy_day_unique")]
        indexes = [models.Index(fields=["day"], condition=Q(differences_open__gt=0), name="energy_day_open")]

    def __str__(self) -> str:
        return f"{self.day} {self.pile}"


class EnergyDifference(Difference):
    """One charge, or one step of a meter, of which two sources say different things."""

    energy_day = models.ForeignKey(
        EnergyDay,
        on_delete=models.CASCADE,
        related_name="differences",
        verbose_name=_("energy reconciliation"),
    )
    kind = models.CharField(_("kind"), max_length=24, choices=EnergyDifferenceKind)
    connector_no = models.CharField(_("connector number"), max_length=2, blank=True)
    transaction_no = models.CharField(_("transaction number"), max_length=32, blank=True, db_index=True)
    order = models.ForeignKey(
        Order,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="energy_differences",
        verbose_name=_("order"),
    )
    ours_kwh = EnergyField(_("ours (kWh)"), default=0)
    theirs_kwh = EnergyField(_("the pile's (kWh)"), default=0)

    class Meta:
        verbose_name = _("energy difference")
        verbose_name_plural = _("energy differences")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["energy_day", "kind", "subject"], name="energy_difference_unique")
        ]

    @property
    def difference_kwh(self) -> Decimal:
        """What the pile says beyond us, kWh."""
        return self.theirs_kwh - self.ours_kwh
