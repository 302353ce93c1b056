"""Debts of orders: paid from money that arrives, taken from money that is there, called off by a refund."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db import transaction

from apps.common.money import ZERO
from apps.common.time import now
from apps.wallet import ledger
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.errors import NothingToRecover
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Debt, Wallet


def recover(wallet: Wallet, cause: str, at: datetime | None = None) -> Decimal:
    """Pay open debts from a locked wallet, oldest first, principal before bonus; return what was taken, yuan.

    `cause` names what brought the money (a top-up, a refund) and makes each payment's key. Without one the key is what
    was recovered before, which only grows.
    """
    taken = ZERO
    if not wallet.debt or not wallet.available:
        return taken
    for debt in Debt.objects.select_for_update().filter(wallet=wallet, closed_at=None).order_by("id"):
        part = min(debt.outstanding, wallet.available)
        if not part:
            break
        principal = min(part, wallet.principal)
        ledger.post(
            key=f"debt:{debt.order_no}:{cause or debt.recovered}",
            kind=JournalKind.DEBT_RECOVERY,
            wallet=wallet,
            reference=debt.order_no,
            lines=[
                debit(AccountKind.CUSTOMER_PRINCIPAL, principal),
                debit(AccountKind.CUSTOMER_BONUS, part - principal),
                credit(AccountKind.CUSTOMER_DEBT, part),
            ],
            at=at,
        )
        debt.recovered += part
        debt.recovered_bonus += part - principal
        _save(debt, at)
        taken += part
    return taken


def recover_now(*, wallet_id: int, at: datetime | None = None) -> Decimal:
    """Take a customer's debts from money that is available, yuan taken. Raises NothingToRecover."""
    with transaction.atomic():
        wallet = Wallet.objects.select_for_update().get(pk=wallet_id)
        taken = recover(wallet, "", at)
        if not taken:
            raise NothingToRecover(debt=wallet.debt, available=wallet.available)
    return taken


def cancel(
    wallet: Wallet, order_no: str, most: Decimal, at: datetime | None = None
) -> tuple[Decimal, Debt | None]:
    """Call off up to `most` yuan of an order's open debt, in a locked wallet; return how much, and the order's debt.

    The caller posts the entry, which also moves `wallet.debt`.
    """
    debt = Debt.objects.select_for_update().filter(wallet=wallet, order_no=order_no).first()
    if debt is None:
        return ZERO, None
    part = min(most, debt.outstanding)
    if part:
        debt.cancelled += part
        _save(debt, at)
    return part, debt


def _save(debt: Debt, at: datetime | None) -> None:
    if not debt.outstanding:
        debt.closed_at = at or now()
    debt.save(update_fields=["recovered", "recovered_bonus", "cancelled", "closed_at", "updated_at"])
