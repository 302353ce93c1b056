"""Tables of the wallet, a module for each part: the ledger, what charges hold and owe, what comes in and goes back."""

from apps.wallet.models.books import AccountDay, DayBalance, DayClosing, LedgerCheck
from apps.wallet.models.charges import Debt, Hold
from apps.wallet.models.ledger import Account, EnterpriseAccount, JournalEntry, Posting, Wallet
from apps.wallet.models.payments import (
    BonusTier,
    BonusUse,
    MerchantAccount,
    PaymentNotice,
    Recharge,
    SandboxTrade,
)
from apps.wallet.models.reconciliation import ChannelBillRow, ChannelDay, ChannelDifference
from apps.wallet.models.refunds import WalletPolicy, WalletRefund, WalletRefundEvent, WalletRefundPart

__all__ = [
    "Account",
    "AccountDay",
    "BonusTier",
    "BonusUse",
    "ChannelBillRow",
    "ChannelDay",
    "ChannelDifference",
    "DayBalance",
    "DayClosing",
    "Debt",
    "EnterpriseAccount",
    "Hold",
    "JournalEntry",
    "LedgerCheck",
    "MerchantAccount",
    "PaymentNotice",
    "Posting",
    "Recharge",
    "SandboxTrade",
    "Wallet",
    "WalletPolicy",
    "WalletRefund",
    "WalletRefundEvent",
    "WalletRefundPart",
]
