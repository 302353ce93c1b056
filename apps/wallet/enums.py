"""Words of the ledger."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class AccountKind(models.TextChoices):
    """The chart of accounts. CUSTOMER_* accounts exist once per wallet, the others once per tenant (or channel)."""

    CUSTOMER_PRINCIPAL = "customer_principal", _("customer principal")
    CUSTOMER_BONUS = "customer_bonus", _("customer bonus")
    HELD_PRINCIPAL = "held_principal", _("held principal")
    HELD_BONUS = "held_bonus", _("held bonus")
    CUSTOMER_DEBT = "customer_debt", _("customer debt")
    CHANNEL_CLEARING = "channel_clearing", _("payment channel clearing")
    REVENUE_ELECTRICITY = "revenue_electricity", _("revenue electricity")
    REVENUE_SERVICE = "revenue_service", _("revenue service")
    BONUS_EXPENSE = "bonus_expense", _("bonus expense")


WALLET_ACCOUNTS = frozenset(
    {
        AccountKind.CUSTOMER_PRINCIPAL,
        AccountKind.CUSTOMER_BONUS,
        AccountKind.HELD_PRINCIPAL,
        AccountKind.HELD_BONUS,
        AccountKind.CUSTOMER_DEBT,
    }
)
DEBIT_NORMAL = frozenset({AccountKind.CUSTOMER_DEBT, AccountKind.CHANNEL_CLEARING, AccountKind.BONUS_EXPENSE})


class JournalKind(models.TextChoices):
    RECHARGE = "recharge", _("top-up")
    HOLD = "hold", _("hold")
    CHARGE = "charge", pgettext_lazy("journal", "charge")
    RELEASE = "release", _("release of a hold")
    DEBT_RECOVERY = "debt_recovery", _("debt paid from a top-up")


class HoldState(models.TextChoices):
    OPEN = "open", pgettext_lazy("hold", "open")
    SETTLED = "settled", _("settled")
    RELEASED = "released", _("released")


class RechargeState(models.TextChoices):
    CREATED = "created", _("waiting for payment")
    PAID = "paid", _("paid")
    CLOSED = "closed", pgettext_lazy("recharge", "closed")
