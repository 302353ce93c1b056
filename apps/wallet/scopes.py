"""Money of customers and the books belong to no station: who has the permission sees them all."""

from apps.backoffice import scope
from apps.wallet import models

scope.by_permission(
    models.Wallet,
    models.EnterpriseAccount,
    models.Account,
    models.JournalEntry,
    models.DayClosing,
    models.LedgerCheck,
    models.Hold,
    models.Debt,
    models.MerchantAccount,
    models.BonusTier,
    models.Recharge,
    models.PaymentNotice,
    models.ChannelDay,
    models.ChannelBillRow,
    models.ChannelDifference,
    models.WalletPolicy,
    models.WalletRefund,
    models.WalletRefundPart,
)
