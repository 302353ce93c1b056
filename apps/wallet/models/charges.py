"""What running orders hold of a wallet, and what ended ones still owe."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.wallet.enums import HoldState
from apps.wallet.models.ledger import Wallet


class Hold(TimeStamped):
    """Money set aside for one running order, principal and bonus apart. Amount 0 for orders that others pay."""

    order_no = models.CharField(_("order number"), max_length=32, unique=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="holds", verbose_name=_("wallet")
    )
    principal = MoneyField(_("principal"))
    bonus = MoneyField(_("bonus"))
    state = models.CharField(_("state"), max_length=16, choices=HoldState, default=HoldState.OPEN)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(principal__gte=0, bonus__gte=0), name="hold_not_negative")
        ]

    def __str__(self) -> str:
        return self.order_no

    @property
    def amount(self) -> Decimal:
        """The whole hold, yuan."""
        return self.principal + self.bonus


class Debt(TimeStamped):
    """What one order could not be paid with; blocks the next start, taken first from the next top-up.

    `recovered` was paid later (`recovered_bonus` of it from bonus); `cancelled` is not asked for any more, since the
    order was refunded.
    """

    order_no = models.CharField(_("order number"), max_length=32, unique=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="debts", verbose_name=_("wallet")
    )
    amount = MoneyField(_("amount"))
    recovered = MoneyField(_("recovered"), default=0)
    recovered_bonus = MoneyField(_("recovered from bonus"), default=0, db_default=0)
    cancelled = MoneyField(_("cancelled by a refund"), default=0, db_default=0)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("debt")
        verbose_name_plural = _("debts")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    recovered__gte=0,
                    recovered_bonus__gte=0,
                    recovered_bonus__lte=F("recovered"),
                    cancelled__gte=0,
                    recovered__lte=F("amount") - F("cancelled"),
                ),
                name="debt_bounds",
            )
        ]
        permissions = [("recover_debt", _("Can take debts from available money"))]

    def __str__(self) -> str:
        return self.order_no

    @property
    def outstanding(self) -> Decimal:
        """What is still owed, yuan."""
        return self.amount - self.recovered - self.cancelled
