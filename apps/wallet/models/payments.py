"""Money that comes in: top-ups through payment channels."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.wallet.enums import RechargeState
from apps.wallet.models.ledger import Wallet


class Recharge(TimeStamped):
    """A top-up (充值) through one payment channel."""

    recharge_no = models.CharField(_("recharge number"), max_length=32, unique=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="recharges", verbose_name=_("wallet")
    )
    amount = MoneyField(_("amount"))
    bonus = MoneyField(_("bonus"), default=0)
    channel = models.CharField(_("channel"), max_length=16)
    channel_trade_no = models.CharField(_("channel's trade number"), max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=RechargeState, default=RechargeState.CREATED)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("recharge order")
        verbose_name_plural = _("recharge orders")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, bonus__gte=0), name="recharge_positive"),
            models.UniqueConstraint(fields=["wallet", "request_key"], name="recharge_request_unique"),
        ]

    def __str__(self) -> str:
        return self.recharge_no
