"""Words of the ledger."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class AccountKind(models.TextChoices):
    """The chart of accounts. Those of WALLET_ACCOUNTS exist once per wallet, the others once per tenant (or channel).

    Revenue is booked before discounts; what an enterprise's discount or a coupon took off stands beside it as a debit.
    Frozen money waits for a refund to the payment channels. An enterprise's account has the last two of the customers'
    kinds: what is free of it, below zero where a post-paid one owes, and what running charges hold.
    """

    CUSTOMER_PRINCIPAL = "customer_principal", _("customer principal")
    CUSTOMER_BONUS = "customer_bonus", _("customer bonus")
    HELD_PRINCIPAL = "held_principal", _("held principal")
    HELD_BONUS = "held_bonus", _("held bonus")
    FROZEN_PRINCIPAL = "frozen_principal", _("frozen principal")
    FROZEN_BONUS = "frozen_bonus", _("frozen bonus")
    CUSTOMER_DEBT = "customer_debt", _("customer debt")
    ENTERPRISE_BALANCE = "enterprise_balance", _("enterprise balance")
    ENTERPRISE_HELD = "enterprise_held", _("held of enterprises")
    CHANNEL_CLEARING = "channel_clearing", _("payment channel clearing")
    REVENUE_ELECTRICITY = "revenue_electricity", _("revenue electricity")
    REVENUE_SERVICE = "revenue_service", _("revenue service")
    BONUS_EXPENSE = "bonus_expense", _("bonus expense")
    ENTERPRISE_DISCOUNT = "enterprise_discount", _("enterprise discount")
    COUPON_DISCOUNT = "coupon_discount", _("coupon discount")
    CHANNEL_FEE = "channel_fee", _("payment channel fee")
    MANUAL_TRANSFER = "manual_transfer", _("transferred by hand")


WALLET_ACCOUNTS = frozenset(
    {
        AccountKind.CUSTOMER_PRINCIPAL,
        AccountKind.CUSTOMER_BONUS,
        AccountKind.HELD_PRINCIPAL,
        AccountKind.HELD_BONUS,
        AccountKind.FROZEN_PRINCIPAL,
        AccountKind.FROZEN_BONUS,
        AccountKind.CUSTOMER_DEBT,
        AccountKind.ENTERPRISE_BALANCE,
        AccountKind.ENTERPRISE_HELD,
    }
)
DEBIT_NORMAL = frozenset(
    {
        AccountKind.CUSTOMER_DEBT,
        AccountKind.CHANNEL_CLEARING,
        AccountKind.BONUS_EXPENSE,
        AccountKind.ENTERPRISE_DISCOUNT,
        AccountKind.COUPON_DISCOUNT,
        AccountKind.CHANNEL_FEE,
    }
)
"""Accounts that grow by debits. Money is taken from MANUAL_TRANSFER's bank account, so that one grows by credits; what
enterprises transfer to it stands there as debits."""


class JournalKind(models.TextChoices):
    RECHARGE = "recharge", _("top-up")
    HOLD = "hold", _("hold")
    CHARGE = "charge", pgettext_lazy("journal", "charge")
    RELEASE = "release", _("release of a hold")
    DEBT_RECOVERY = "debt_recovery", _("debt paid from a top-up")
    REFUND_FREEZE = "refund_freeze", _("frozen for a refund")
    REFUND_BACK = "refund_back", _("refund called off")
    REFUND_PAID = "refund_paid", _("refund")
    ORDER_REFUND = "order_refund", _("refund of a charge")
    CHANNEL_FEE = "channel_fee", _("payment channel fee")
    BONUS_FORFEITED = "bonus_forfeited", _("bonus given up")
    ENTERPRISE_DEPOSIT = "enterprise_deposit", _("top-up of an enterprise")
    ENTERPRISE_WITHDRAWAL = "enterprise_withdrawal", _("withdrawal of an enterprise")


class HoldState(models.TextChoices):
    OPEN = "open", pgettext_lazy("hold", "open")
    SETTLED = "settled", _("settled")
    RELEASED = "released", _("released")


class ChannelName(models.TextChoices):
    """Payment channels. `sandbox` is a provider that only pretends, for demonstrations and tests."""

    WECHATPAY = "wechatpay", _("WeChat Pay")
    ALIPAY = "alipay", _("Alipay")
    SANDBOX = "sandbox", _("sandbox")


def channel_label(name: str) -> str:
    """Return a channel's name in words; what is no channel as it is."""
    return str(ChannelName(name).label) if name in ChannelName.values else name


class NoticeWord(models.TextChoices):
    """What a message of a payment provider is about; values of channels.base.NoticeKind."""

    PAYMENT = "payment", pgettext_lazy("notice", "payment")
    REFUND = "refund", pgettext_lazy("notice", "refund")
    OTHER = "other", pgettext_lazy("notice", "other")


class NoticeState(models.TextChoices):
    """What became of a message of a payment provider."""

    RECEIVED = "received", pgettext_lazy("notice", "waiting")
    DONE = "done", pgettext_lazy("notice", "processed")
    IGNORED = "ignored", pgettext_lazy("notice", "of no interest")
    FAILED = "failed", pgettext_lazy("notice", "needs a look")


class RechargeState(models.TextChoices):
    CREATED = "created", _("waiting for payment")
    PAID = "paid", _("paid")
    CLOSED = "closed", pgettext_lazy("recharge", "closed")


class TradeKind(models.TextChoices):
    PAYMENT = "payment", pgettext_lazy("trade", "payment")
    REFUND = "refund", pgettext_lazy("trade", "refund")


class BillRowState(models.TextChoices):
    """What a provider's bill says of one of its lines: a refund is listed when it is asked for, not when it is done."""

    DONE = "done", _("done")
    PROCESSING = "processing", _("under way")
    FAILED = "failed", _("no money moved")


class BillState(models.TextChoices):
    """Of a merchant account's day: whether its bill came, and was matched."""

    WAITING = "waiting", _("bill not there yet")
    FAILED = "failed", _("bill cannot be had")
    RECONCILED = "reconciled", _("reconciled")


class ChannelDifferenceKind(models.TextChoices):
    ONLY_OURS = "only_ours", _("only in our books")
    ONLY_THEIRS = "only_theirs", _("only in the channel's bill")
    AMOUNT_DIFFERS = "amount_differs", _("amounts differ")
    STATE_DIFFERS = "state_differs", _("done there, not here")


class BonusOnRefund(models.TextChoices):
    """What happens to a wallet's bonus when principal is refunded."""

    FORFEIT = "forfeit", _("forfeited in proportion")
    KEEP = "keep", _("stays in the wallet")


class RefundState(models.TextChoices):
    """A wallet refund. RETURNED: the channel refused a part, a person decides again."""

    APPLIED = "applied", _("waits for review")
    APPROVED = "approved", _("approved")
    EXECUTING = "executing", _("being paid")
    RETURNED = "returned", _("back in review")
    DONE = "done", pgettext_lazy("refund", "refunded")
    REJECTED = "rejected", pgettext_lazy("refund", "rejected")
    CANCELLED = "cancelled", pgettext_lazy("refund", "withdrawn")


class PartState(models.TextChoices):
    """What goes back to one payment."""

    WAITING = "waiting", pgettext_lazy("part of a refund", "not sent yet")
    ASKED = "asked", pgettext_lazy("part of a refund", "no clear answer yet")
    PROCESSING = "processing", pgettext_lazy("part of a refund", "the channel is at it")
    SHORT = "short", pgettext_lazy("part of a refund", "merchant account is short")
    MANUAL = "manual", pgettext_lazy("part of a refund", "to be transferred by hand")
    DONE = "done", pgettext_lazy("part of a refund", "paid")
    FAILED = "failed", pgettext_lazy("part of a refund", "refused")
    ABNORMAL = "abnormal", pgettext_lazy("part of a refund", "not accepted by the driver's account")
    GIVEN_BACK = "given_back", pgettext_lazy("part of a refund", "given back to the wallet")
    REPLACED = "replaced", pgettext_lazy("part of a refund", "replaced by a new number")
