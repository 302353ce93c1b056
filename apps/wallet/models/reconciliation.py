"""The payment channels' own bills, day by day, and where they say something else than our top-ups and refunds."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.common.differences import Difference
from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.wallet.enums import BillRowState, BillState, ChannelDifferenceKind, TradeKind
from apps.wallet.models.payments import MerchantAccount, Recharge
from apps.wallet.models.refunds import WalletRefundPart


class ChannelDay(TimeStamped):
    """One merchant account's business day: its bill, what we booked, and how far that was reconciled.

    `digest` is taken over the bill's rows. Another digest at a later download makes a new `revision`: the rows before
    it stay, superseded.
    """

    merchant = models.ForeignKey(
        MerchantAccount,
        on_delete=models.PROTECT,
        related_name="channel_days",
        verbose_name=_("merchant account"),
    )
    day = models.DateField(_("business day"), db_index=True)
    state = models.CharField(_("state"), max_length=16, choices=BillState, default=BillState.WAITING)
    problem = models.CharField(_("problem"), max_length=200, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    next_try_at = models.DateTimeField(_("next try"), null=True, blank=True)
    downloaded_at = models.DateTimeField(_("bill downloaded at"), null=True, blank=True)
    reconciled_at = models.DateTimeField(_("reconciled at"), null=True, blank=True)
    digest = models.CharField(_("digest"), max_length=64, blank=True)
    revision = models.PositiveSmallIntegerField(
        _("revision of the bill"), default=0, help_text=_("more than 1: the provider changed its bill")
    )
    # Theirs by the bill of the day; ours by when the provider says that it was paid or given back.
    their_payments = models.PositiveIntegerField(_("payments by the bill"), default=0)
    their_paid = MoneyField(_("paid by the bill"), default=0)
    our_payments = models.PositiveIntegerField(_("our top-ups"), default=0)
    our_paid = MoneyField(_("paid by our top-ups"), default=0)
    their_refunds = models.PositiveIntegerField(_("refunds by the bill"), default=0)
    their_refunded = MoneyField(_("refunded by the bill"), default=0)
    our_refunds = models.PositiveIntegerField(_("our refunds"), default=0)
    our_refunded = MoneyField(_("refunded by us"), default=0)
    fee = models.DecimalField(
        _("fee by the bill"), max_digits=16, decimal_places=5, default=0, help_text=_("before rounding")
    )
    fee_booked = MoneyField(_("fee booked"), default=0)
    differences_found = models.PositiveIntegerField(_("differences"), default=0)
    differences_open = models.PositiveIntegerField(_("open differences"), default=0)

    class Meta:
        verbose_name = _("channel reconciliation")
        verbose_name_plural = _("channel reconciliation")
        ordering = ["-day", "merchant"]
        permissions = [("reconcile_channel", _("Can reconcile payment channels and resolve differences"))]
        constraints = [models.UniqueConstraint(fields=["merchant", "day"], name="channel_day_unique")]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(next_try_at__isnull=False), name="channel_day_to_try"
            ),
            models.Index(fields=["day"], condition=Q(differences_open__gt=0), name="channel_day_open"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.merchant}"


class ChannelBillRow(models.Model):
    """One line of a provider's bill as it was downloaded, never changed. `out_no` is our number of it."""

    channel_day = models.ForeignKey(
        ChannelDay,
        on_delete=models.PROTECT,
        related_name="rows",
        verbose_name=_("channel reconciliation"),
    )
    merchant = models.ForeignKey(
        MerchantAccount,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("merchant account"),
        db_index=False,
    )
    revision = models.PositiveSmallIntegerField(_("revision of the bill"))
    superseded = models.BooleanField(_("superseded by a later revision"), default=False)
    kind = models.CharField(_("kind"), max_length=8, choices=TradeKind)
    out_no = models.CharField(_("our number"), max_length=64)
    out_trade_no = models.CharField(_("our number of the payment"), max_length=64)
    channel_trade_no = models.CharField(_("channel's trade number"), max_length=64)
    channel_refund_no = models.CharField(_("channel's refund number"), max_length=64, blank=True)
    amount = MoneyField(_("amount"))
    fee = models.DecimalField(_("fee"), max_digits=14, decimal_places=5)
    at = models.DateTimeField(_("time"))
    state = models.CharField(
        _("state"),
        max_length=12,
        choices=BillRowState,
        default=BillRowState.DONE,
        db_default=BillRowState.DONE,
    )

    class Meta:
        verbose_name = _("row of a channel's bill")
        verbose_name_plural = _("rows of channels' bills")
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["merchant", "kind", "out_no"],
                condition=Q(superseded=False),
                name="channel_bill_row_number",
            )
        ]

    def __str__(self) -> str:
        return self.out_no


class ChannelDifference(Difference):
    """One payment or refund of which the provider and we say different things."""

    channel_day = models.ForeignKey(
        ChannelDay,
        on_delete=models.CASCADE,
        related_name="differences",
        verbose_name=_("channel reconciliation"),
    )
    kind = models.CharField(_("kind"), max_length=24, choices=ChannelDifferenceKind)
    trade_kind = models.CharField(_("payment or refund"), max_length=8, choices=TradeKind)
    out_no = models.CharField(_("our number"), max_length=64, db_index=True)
    channel_no = models.CharField(_("channel's number"), max_length=64, blank=True)
    ours = MoneyField(_("ours"), null=True, blank=True)
    theirs = MoneyField(_("the channel's"), null=True, blank=True)
    at = models.DateTimeField(_("time"))
    recharge = models.ForeignKey(
        Recharge,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="channel_differences",
        verbose_name=_("recharge order"),
    )
    refund_part = models.ForeignKey(
        WalletRefundPart,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="channel_differences",
        verbose_name=_("part of a refund"),
    )

    class Meta:
        verbose_name = _("channel difference")
        verbose_name_plural = _("channel differences")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel_day", "kind", "subject"], name="channel_difference_unique"
            )
        ]
        permissions = [("approve_channeldifference", _("Can approve the resolution of channel differences"))]

    def __str__(self) -> str:
        return self.out_no

    @property
    def difference(self) -> Decimal:
        """What the channel says beyond us, yuan."""
        return (self.theirs or Decimal(0)) - (self.ours or Decimal(0))
