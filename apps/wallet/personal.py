"""A driver's wallet where the account is deleted, or its data copied (settings.CUSTOMER_*)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from apps.common.time import now
from apps.customers.models import Customer
from apps.wallet import ledger
from apps.wallet.enums import AccountKind, JournalKind, RechargeState
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Recharge, Wallet, WalletRefund
from apps.wallet.models.refunds import OPEN_REFUNDS
from apps.wallet.selectors import statement
from apps.wallet.services import lock_wallet

MOST_LINES = 100_000


def reasons_to_keep(customer: Customer) -> Iterator[tuple[str, Any]]:
    """Say what of a wallet stands against deleting the account. Locks the wallet: nothing is held meanwhile."""
    wallet = lock_wallet(customer_id=customer.pk)
    if wallet.held or wallet.frozen_principal or wallet.frozen_bonus:
        yield "money_held", _("Money is set aside for a charge or a refund; wait until it is settled.")
    if wallet.refunds.filter(state__in=OPEN_REFUNDS).exists():
        yield "refund_open", _("A refund of your balance is under way; wait until it has arrived.")
    if wallet.debt:
        yield "debt", _("A charge is not paid yet; please pay it first.")
    if wallet.principal:
        yield "balance", _("There is money in your wallet; ask for it back first.")
    unpaid = Recharge.objects.filter(wallet=wallet, state=RechargeState.CREATED)
    if unpaid.filter(Q(expires_at__gt=now()) | Q(expires_at=None)).exists():
        yield "recharge_open", _("A top-up is not finished; pay it, or wait until it has run out.")


def give_up_bonus(customer: Customer) -> None:
    """Take the bonus of an account that is being deleted out of the books: nobody can spend it any more."""
    wallet = lock_wallet(customer_id=customer.pk)
    if not wallet.bonus:
        return
    ledger.post(
        key=f"bonus-forfeited:{wallet.pk}",
        kind=JournalKind.BONUS_FORFEITED,
        wallet=wallet,
        reference="",
        lines=[
            debit(AccountKind.CUSTOMER_BONUS, wallet.bonus),
            credit(AccountKind.BONUS_EXPENSE, wallet.bonus),
        ],
    )


def data_of(customer: Customer) -> dict[str, list[dict[str, Any]]]:
    """Return wallet, movements, top-ups and refunds of a driver, yuan."""
    wallet = Wallet.objects.filter(customer=customer).first()
    if wallet is None:
        return {"wallet": [], "wallet-statement": [], "recharges": [], "wallet-refunds": []}
    money = ("principal", "bonus", "held", "frozen_principal", "frozen_bonus", "debt")
    lines = statement(wallet=wallet, limit=MOST_LINES)
    return {
        "wallet": [{name: getattr(wallet, name) for name in money}],
        "wallet-statement": [
            {"at": line.at, "kind": line.kind, "reference": line.reference, "change": line.change}
            for line in lines
        ],
        "recharges": list(
            Recharge.objects.filter(wallet=wallet).values(
                "recharge_no", "amount", "bonus", "channel", "state", "created_at", "paid_at", "refunded"
            )
        ),
        "wallet-refunds": list(
            WalletRefund.objects.filter(wallet=wallet).values(
                "refund_no", "amount", "state", "reason", "created_at", "closed_at"
            )
        ),
    }
