"""Money that comes in: merchant accounts at payment providers, top-ups, what the providers tell, bonus tiers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.crypto import EncryptedTextField
from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.wallet.enums import ChannelName, NoticeState, NoticeWord, RechargeState
from apps.wallet.models.ledger import Wallet


class MerchantAccount(TimeStamped):
    """The tenant's account at a payment provider (商户号), with its keys.

    `credentials` is JSON whose fields are those of the channel's credentials class beside `merchant_no` and `app_id`;
    it is encrypted, written by `merchants.store_credentials` and never shown.
    """

    channel = models.CharField(_("channel"), max_length=16, choices=ChannelName)
    name = models.CharField(_("name"), max_length=50)
    merchant_no = models.CharField(_("merchant number"), max_length=32)
    app_id = models.CharField(
        _("app id"), max_length=32, blank=True, help_text=_("of the mini-program that drivers pay in")
    )
    base_url = models.CharField(
        _("address of the provider"),
        max_length=200,
        blank=True,
        validators=[URLValidator(["http", "https"])],
        help_text=_("empty: the provider's own"),
    )
    credentials = EncryptedTextField(_("credentials"), blank=True, editable=False)
    is_active = models.BooleanField(_("in use"), default=True)
    is_default = models.BooleanField(
        _("default"), default=False, help_text=_("new top-ups of the channel go to this account")
    )

    class Meta:
        verbose_name = _("merchant account")
        verbose_name_plural = _("merchant accounts")
        ordering = ["channel", "id"]
        permissions = [
            ("switch_merchantaccount", _("Can switch merchant accounts on and off")),
            ("test_merchantaccount", _("Can test the connection of merchant accounts")),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "merchant_no", "app_id"], name="merchant_account_unique"
            ),
            models.UniqueConstraint(
                fields=["channel"], condition=Q(is_default=True), name="merchant_default_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def secrets(self) -> dict[str, Any]:
        """The decrypted credentials; empty where none are stored or the key that encrypted them is lost."""
        try:
            found = json.loads(self.credentials or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def fingerprints(self) -> dict[str, str]:
        """A short hash of each stored credential, to tell one from another without showing it."""
        return {
            name: hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]
            for name, value in self.secrets.items()
            if value
        }


class BonusTier(TimeStamped):
    """Bonus money for a top-up of at least `threshold` yuan (充值赠送), frozen into the top-up when it is made.

    Of the ordinary tiers that fit, the one with the largest bonus counts; tiers that are `additional` come on top.
    """

    name = models.CharField(_("name"), max_length=50)
    threshold = MoneyField(_("for top-ups of at least"))
    bonus = MoneyField(_("bonus"))
    starts_at = models.DateTimeField(_("starts at"), null=True, blank=True)
    ends_at = models.DateTimeField(_("ends at"), null=True, blank=True)
    per_customer = models.PositiveIntegerField(
        _("times per customer"), null=True, blank=True, help_text=_("empty: as often as one likes")
    )
    is_additional = models.BooleanField(
        _("comes on top of others"),
        default=False,
        help_text=_("Otherwise only the tier with the largest bonus counts."),
    )
    is_active = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("bonus tier")
        verbose_name_plural = _("bonus tiers")
        ordering = ["threshold", "id"]
        permissions = [("switch_bonustier", _("Can switch bonus tiers on and off"))]
        constraints = [
            models.CheckConstraint(condition=Q(threshold__gt=0, bonus__gt=0), name="bonus_tier_positive"),
            models.CheckConstraint(
                condition=Q(starts_at=None) | Q(ends_at=None) | Q(starts_at__lt=F("ends_at")),
                name="bonus_tier_period",
            ),
            models.CheckConstraint(
                condition=Q(per_customer=None) | Q(per_customer__gt=0), name="bonus_tier_per_customer"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Say in words what the constraints keep."""
        problems = {}
        for name in ("threshold", "bonus", "per_customer"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                problems[name] = _("A number above zero is needed.")
        if self.starts_at and self.ends_at and self.starts_at >= self.ends_at:
            problems["ends_at"] = _("It ends before it begins.")
        if problems:
            raise ValidationError(problems)


class Recharge(TimeStamped):
    """A top-up (充值) through one payment channel. `recharge_no` is the number that the provider knows it by."""

    recharge_no = models.CharField(_("recharge number"), max_length=32, unique=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="recharges", verbose_name=_("wallet")
    )
    amount = MoneyField(_("amount"))
    bonus = MoneyField(_("bonus"), default=0)
    bonus_rule = models.JSONField(_("bonus tiers"), default=list, blank=True)
    refunded = MoneyField(_("refunded or being refunded"), default=0)
    channel = models.CharField(_("channel"), max_length=16, choices=ChannelName)
    merchant = models.ForeignKey(
        MerchantAccount,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="recharges",
        verbose_name=_("merchant account"),
    )
    payer = models.CharField(_("payer"), max_length=128, blank=True)
    channel_trade_no = models.CharField(_("channel's trade number"), max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=RechargeState, default=RechargeState.CREATED)
    expires_at = models.DateTimeField(_("to be paid by"), null=True, blank=True)
    paid_at = models.DateTimeField(_("paid at"), null=True, blank=True)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    checked_at = models.DateTimeField(_("provider asked at"), null=True, blank=True)
    next_check_at = models.DateTimeField(_("provider asked again at"), null=True, blank=True)
    checks = models.PositiveSmallIntegerField(_("times the provider was asked"), default=0)
    problem = models.CharField(_("problem"), max_length=100, blank=True)
    request_key = models.CharField(max_length=64, editable=False)

    class Meta:
        verbose_name = _("recharge order")
        verbose_name_plural = _("recharge orders")
        ordering = ["-id"]
        permissions = [
            ("query_recharge", _("Can ask the payment provider about a top-up")),
            ("decide_wrong_amount", _("Can propose what becomes of a payment of a wrong amount")),
            ("approve_wrong_amount", _("Can approve what becomes of a payment of a wrong amount")),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0, bonus__gte=0), name="recharge_positive"),
            models.CheckConstraint(
                condition=Q(refunded__gte=0, refunded__lte=F("amount")), name="recharge_refunded_bounds"
            ),
            models.UniqueConstraint(fields=["wallet", "request_key"], name="recharge_request_unique"),
        ]
        indexes = [
            models.Index(
                fields=["next_check_at"], condition=Q(next_check_at__isnull=False), name="recharge_to_check"
            ),
            models.Index(fields=["merchant", "paid_at"], name="recharge_of_merchant"),
        ]

    def __str__(self) -> str:
        return self.recharge_no


class BonusUse(models.Model):
    """A bonus tier that was frozen into a top-up; counted for the limit per customer."""

    tier = models.ForeignKey(
        BonusTier, on_delete=models.PROTECT, related_name="uses", verbose_name=_("bonus tier")
    )
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+", verbose_name=_("wallet"))
    recharge = models.ForeignKey(
        Recharge, on_delete=models.CASCADE, related_name="bonus_uses", verbose_name=_("recharge order")
    )

    class Meta:
        verbose_name = _("use of a bonus tier")
        verbose_name_plural = _("uses of bonus tiers")
        constraints = [models.UniqueConstraint(fields=["recharge", "tier"], name="bonus_use_unique")]
        indexes = [models.Index(fields=["wallet", "tier"], name="bonus_use_of_wallet")]

    def __str__(self) -> str:
        return f"{self.tier} {self.recharge}"


class PaymentNotice(models.Model):
    """A believed message of a payment provider, raw, once however often it is sent (支付通知).

    Headers and body are kept encrypted as they came, so that processing verifies them again.
    """

    channel = models.CharField(_("channel"), max_length=16, choices=ChannelName)
    merchant = models.ForeignKey(
        MerchantAccount, on_delete=models.PROTECT, related_name="notices", verbose_name=_("merchant account")
    )
    event_id = models.CharField(_("event"), max_length=128)
    kind = models.CharField(_("kind"), max_length=16, choices=NoticeWord)
    number = models.CharField(_("recharge number"), max_length=64, blank=True, db_index=True)
    amount = MoneyField(_("amount"), null=True, blank=True)
    headers = EncryptedTextField(_("headers"), editable=False)
    body = EncryptedTextField(_("body"), editable=False)
    received_at = models.DateTimeField(_("received at"), db_index=True)
    times = models.PositiveIntegerField(_("times received"), default=1)
    last_received_at = models.DateTimeField(_("last received at"))
    state = models.CharField(_("state"), max_length=16, choices=NoticeState, default=NoticeState.RECEIVED)
    error = models.CharField(_("error"), max_length=100, blank=True)
    processed_at = models.DateTimeField(_("processed at"), null=True, blank=True)
    recharge = models.ForeignKey(
        Recharge,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="notices",
        verbose_name=_("recharge order"),
    )

    class Meta:
        verbose_name = _("payment notice")
        verbose_name_plural = _("payment notices")
        ordering = ["-id"]
        permissions = [("process_paymentnotice", _("Can have a payment notice processed again"))]
        constraints = [
            models.UniqueConstraint(fields=["channel", "merchant", "event_id"], name="notice_unique")
        ]
        indexes = [
            models.Index(fields=["received_at"], condition=Q(state="received"), name="notice_to_process")
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.number or self.event_id}"


class SandboxTrade(models.Model):
    """The books of the pretend provider behind channel `sandbox`: a payment, or a refund with `out_refund_no`."""

    out_trade_no = models.CharField(max_length=64)
    out_refund_no = models.CharField(max_length=64, blank=True)
    amount = MoneyField()
    state = models.CharField(max_length=16)
    at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        verbose_name = _("trade of the sandbox")
        verbose_name_plural = _("trades of the sandbox")
        constraints = [
            models.UniqueConstraint(fields=["out_trade_no", "out_refund_no"], name="sandbox_trade_unique")
        ]

    def __str__(self) -> str:
        return self.out_refund_no or self.out_trade_no
