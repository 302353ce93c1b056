"""Money that goes back: principal of a wallet to the payments it came from, and the tenant's rule for the bonus."""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.ids import Actor
from apps.common.models import Reviewed, TimeStamped
from apps.wallet.enums import BonusOnRefund, PartState, RefundState
from apps.wallet.models.ledger import Wallet
from apps.wallet.models.payments import Recharge

OPEN_REFUNDS = (RefundState.APPLIED, RefundState.APPROVED, RefundState.EXECUTING, RefundState.RETURNED)
AT_CHANNEL = (PartState.WAITING, PartState.ASKED, PartState.PROCESSING, PartState.SHORT)
"""Parts that the payment channel is asked about until there is an answer."""
OFF = (PartState.GIVEN_BACK, PartState.REPLACED)
"""Parts that do not count any more."""


class WalletPolicy(TimeStamped):
    """The tenant's rules for wallets: one row. Read it with `refunds.policy`."""

    single = models.BooleanField(default=True, unique=True, editable=False)
    bonus_on_refund = models.CharField(
        _("bonus on a refund"),
        max_length=16,
        choices=BonusOnRefund,
        default=BonusOnRefund.FORFEIT,
        help_text=_("Fixed for each refund when it is applied for, taken when it is paid."),
    )
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("wallet rules")
        verbose_name_plural = _("wallet rules")
        constraints = [models.CheckConstraint(condition=Q(single=True), name="wallet_policy_single")]

    def __str__(self) -> str:
        return str(self._meta.verbose_name)


class WalletRefund(Reviewed):
    """Principal that goes back to the payments it came from, newest first, once a person agreed.

    The amount, and the bonus that is forfeited with it, are frozen from the application on. `paid` went out,
    `given_back` returned to the wallet; closed, both add up to the amount.
    """

    refund_no = models.CharField(_("refund number"), max_length=32, unique=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="refunds", verbose_name=_("wallet")
    )
    amount = MoneyField(_("amount"))
    bonus_forfeited = MoneyField(_("bonus that is forfeited"), default=0)
    paid = MoneyField(_("paid out"), default=0)
    given_back = MoneyField(_("given back to the wallet"), default=0)
    bonus_taken = MoneyField(_("bonus taken"), default=0)
    state = models.CharField(_("state"), max_length=16, choices=RefundState, default=RefundState.APPLIED)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("wallet refund")
        verbose_name_plural = _("wallet refunds")
        ordering = ["-id"]
        permissions = [
            ("apply_walletrefund", _("Can apply for refunds of wallets")),
            ("review_walletrefund", _("Can approve or reject refunds of wallets")),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount__gt=0,
                    paid__gte=0,
                    given_back__gte=0,
                    paid__lte=F("amount") - F("given_back"),
                    bonus_taken__gte=0,
                    bonus_taken__lte=F("bonus_forfeited"),
                ),
                name="wallet_refund_bounds",
            ),
            models.UniqueConstraint(fields=["wallet", "request_key"], name="wallet_refund_request_unique"),
            models.UniqueConstraint(
                fields=["wallet"], condition=Q(state__in=OPEN_REFUNDS), name="wallet_refund_one_open"
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(state=RefundState.APPROVED), name="wallet_refund_approved"
            )
        ]

    def __str__(self) -> str:
        return self.refund_no

    @property
    def open_amount(self) -> Decimal:
        """What is frozen for it, yuan of principal."""
        return self.amount - self.paid - self.given_back


class WalletRefundPart(TimeStamped):
    """What of a refund goes back to one payment, under a number of its own that never stands for another try.

    A part that the provider refused is replaced by one with a new number; an unclear answer never is.
    """

    refund = models.ForeignKey(
        WalletRefund, on_delete=models.PROTECT, related_name="parts", verbose_name=_("wallet refund")
    )
    recharge = models.ForeignKey(
        Recharge, on_delete=models.PROTECT, related_name="refund_parts", verbose_name=_("recharge order")
    )
    out_refund_no = models.CharField(_("number at the channel"), max_length=64, unique=True)
    amount = MoneyField(_("amount"))
    state = models.CharField(_("state"), max_length=16, choices=PartState, default=PartState.WAITING)
    manual = models.BooleanField(_("transferred by hand"), default=False)
    tries = models.PositiveIntegerField(_("times the channel was asked"), default=0)
    sent_at = models.DateTimeField(_("first sent at"), null=True, blank=True)
    next_try_at = models.DateTimeField(_("next try at"), null=True, blank=True)
    unclear_since = models.DateTimeField(_("without a clear answer since"), null=True, blank=True)
    done_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    channel_refund_no = models.CharField(_("channel's refund number"), max_length=64, blank=True)
    notify_url = models.CharField(max_length=200, blank=True, editable=False)
    problem = models.CharField(_("what the channel said"), max_length=200, blank=True)
    transfer_no = models.CharField(_("reference number of the transfer"), max_length=64, blank=True)
    transfer_to = models.CharField(_("transferred to"), max_length=100, blank=True)
    transferred_by_id = models.CharField(max_length=64, blank=True, editable=False)
    transferred_by = models.CharField(_("transferred by"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("part of a refund")
        verbose_name_plural = _("parts of refunds")
        ordering = ["id"]
        permissions = [("transfer_part", _("Can mark refunds as transferred by hand"))]
        constraints = [models.CheckConstraint(condition=Q(amount__gt=0), name="refund_part_positive")]
        indexes = [
            models.Index(fields=["next_try_at"], condition=Q(state__in=AT_CHANNEL), name="refund_part_due"),
            models.Index(fields=["id"], condition=Q(state=PartState.MANUAL), name="refund_part_by_hand"),
        ]

    def __str__(self) -> str:
        return self.out_refund_no


class WalletRefundEvent(models.Model):
    """One step in the life of a wallet refund."""

    refund = models.ForeignKey(
        WalletRefund, on_delete=models.CASCADE, related_name="events", verbose_name=_("wallet refund")
    )
    at = models.DateTimeField(_("time"))
    kind = models.CharField(_("event"), max_length=32)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)

    class Meta:
        verbose_name = _("event of a wallet refund")
        verbose_name_plural = _("events of wallet refunds")
        ordering = ["id"]

    def __str__(self) -> str:
        return self.kind

    @property
    def actor(self) -> Actor:
        """Who did it."""
        return Actor(self.actor_kind, self.actor_id, self.actor_name)
