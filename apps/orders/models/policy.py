"""How a tenant bills, pays and audits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.orders.audit import DEFAULT_RULES, Rules
from apps.orders.enums import EnergyRule
from apps.wallet.payment import PayOrder

_ZERO_OR_MORE = [MinValueValidator(Decimal(0))]
_PERCENT = [MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(100))]


def _small_energy(name: Any, default: Decimal, help_text: Any) -> models.DecimalField:
    return models.DecimalField(
        name, max_digits=8, decimal_places=4, default=default, validators=_ZERO_OR_MORE, help_text=help_text
    )


def _percent(name: Any, default: Decimal, help_text: Any) -> models.DecimalField:
    return models.DecimalField(
        name, max_digits=5, decimal_places=2, default=default, validators=_PERCENT, help_text=help_text
    )


class BillingPolicy(models.Model):
    """How this tenant bills, pays and audits: one row. An order does not freeze it: what counts is the settlement.

    Defaults are what the field needs (docs: reference of the protocol, 4.4). Read it with `selectors.billing_policy`.
    """

    single = models.BooleanField(default=True, unique=True, editable=False)
    energy_rule = models.CharField(
        _("billed energy"),
        max_length=8,
        choices=EnergyRule,
        default=EnergyRule.METERED,
        help_text=_("A record whose energies with losses are all zero is billed by its metered energy."),
    )
    pay_order = models.CharField(
        _("what pays first"),
        max_length=16,
        choices=[
            (PayOrder.PRINCIPAL_FIRST.value, _("principal, then bonus")),
            (PayOrder.BONUS_FIRST.value, _("bonus, then principal")),
            (PayOrder.RATIO.value, _("both, by ratio")),
        ],
        default=PayOrder.PRINCIPAL_FIRST.value,
    )
    bonus_ratio = models.DecimalField(
        _("bonus share"),
        max_digits=3,
        decimal_places=2,
        default=Decimal("0.00"),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(1))],
        help_text=_("0 to 1; only for “both, by ratio”: 0.30 lets the bonus pay 30 % of a bill"),
    )
    sum_exact_kwh = _small_energy(
        _("periods against total: exact (kWh)"),
        DEFAULT_RULES.sum_exact_kwh,
        _("a larger difference is flagged"),
    )
    sum_tolerance_kwh = _small_energy(
        _("periods against total: tolerance (kWh)"),
        DEFAULT_RULES.sum_tolerance_kwh,
        _("a larger difference is held for a person"),
    )
    meter_tolerance_kwh = _small_energy(
        _("meter against total (kWh)"),
        DEFAULT_RULES.meter_tolerance_kwh,
        _("a larger difference is flagged; a meter that ran backwards is always held"),
    )
    power_margin_percent = _percent(
        _("margin on rated power (%)"),
        DEFAULT_RULES.power_margin_percent,
        _("more energy than the gun's power allows in that time, with this margin, is held"),
    )
    samples_tolerance_kwh = _small_energy(
        _("samples against total (kWh)"),
        DEFAULT_RULES.samples_tolerance_kwh,
        _("the record against the pile's last report while charging; a larger difference is flagged"),
    )
    samples_tolerance_percent = _percent(
        _("samples against total (%)"),
        DEFAULT_RULES.samples_tolerance_percent,
        _("added to the kilowatt-hours"),
    )
    amount_per_period_yuan = models.DecimalField(
        _("amount by period (yuan)"),
        max_digits=6,
        decimal_places=2,
        default=DEFAULT_RULES.amount_per_period_yuan,
        validators=_ZERO_OR_MORE,
        help_text=_("the pile's total against ours: so much for each period with energy"),
    )
    amount_percent = _percent(
        _("amount (%)"), DEFAULT_RULES.amount_percent, _("of our bill, added; a larger difference is flagged")
    )
    clock_exact_s = models.PositiveIntegerField(
        _("clock: exact (s)"),
        default=DEFAULT_RULES.clock_exact_s,
        help_text=_("a clock that is off by more is flagged where it moved energy to another price"),
    )
    clock_tolerance_s = models.PositiveIntegerField(
        _("clock: tolerance (s)"),
        default=DEFAULT_RULES.clock_tolerance_s,
        help_text=_("start and end against what the platform saw; more is flagged"),
    )
    late_after_minutes = models.PositiveIntegerField(
        _("late after (min)"),
        default=DEFAULT_RULES.late_after_minutes,
        help_text=_("a record that comes later after the end is flagged"),
    )
    note = models.CharField(_("note"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("billing policy")
        verbose_name_plural = _("billing policy")
        constraints = [
            models.CheckConstraint(condition=Q(single=True), name="billing_policy_single"),
            models.CheckConstraint(
                condition=Q(bonus_ratio__gte=0, bonus_ratio__lte=1), name="billing_policy_ratio"
            ),
            models.CheckConstraint(
                condition=Q(sum_tolerance_kwh__gte=F("sum_exact_kwh")),
                name="billing_policy_tolerances",
                violation_error_message=_("The tolerance is at least the exact difference."),
            ),
        ]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)

    @property
    def use_loss(self) -> bool:
        """Whether energy with losses is billed."""
        return self.energy_rule == EnergyRule.LOSS

    def rules(self) -> Rules:
        """Return the thresholds as the audit takes them."""
        names = [field for field in Rules.__dataclass_fields__ if field != "use_loss"]
        return Rules(use_loss=self.use_loss, **{name: getattr(self, name) for name in names})
