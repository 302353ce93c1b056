"""What waits for a person in the books."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Todo
from apps.common.differences import DifferenceState
from apps.wallet.enums import PartState, RefundState
from apps.wallet.models import ChannelDifference, LedgerCheck, WalletRefund, WalletRefundPart


def _last_check(rows: QuerySet[LedgerCheck]) -> int:
    """The newest check says how many differences there are now."""
    return rows.values_list("differences", flat=True).first() or 0


todo.add(
    Todo(
        _("Wallet refunds to review"),
        "wallet.view_walletrefund",
        "admin:wallet_walletrefund_changelist",
        lambda _request: WalletRefund.objects.filter(state__in=[RefundState.APPLIED, RefundState.RETURNED]),
        "open=review",
    ),
    Todo(
        _("Refunds to transfer by hand"),
        "wallet.view_walletrefundpart",
        "admin:wallet_walletrefundpart_changelist",
        lambda _request: WalletRefundPart.objects.filter(
            state=PartState.MANUAL, refund__state=RefundState.EXECUTING
        ),
        "state__exact=manual",
    ),
    Todo(
        _("Channel differences"),
        "wallet.view_channelday",
        "admin:wallet_channeldifference_changelist",
        lambda _request: ChannelDifference.objects.filter(state=DifferenceState.OPEN),
        "state__exact=open",
    ),
    Todo(
        _("Ledger differences"),
        "wallet.view_ledgercheck",
        "admin:wallet_ledgercheck_changelist",
        lambda _request: LedgerCheck.objects.all(),
        count=_last_check,
    ),
)
