"""What a refund of a charge gives back to the wallet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from apps.common.money import ZERO
from apps.customers.models import Customer
from apps.wallet import debts, ledger
from apps.wallet.enums import AccountKind, HoldState, JournalKind
from apps.wallet.errors import ChargeRunning
from apps.wallet.ledger import credit, debit
from apps.wallet.models import Hold, Wallet
from apps.wallet.payment import Share, give_back
from apps.wallet.services import lock_accounts, lock_wallet


@dataclass(frozen=True, slots=True)
class Returned:
    """Where the money of a refund went, yuan: to the wallet, off the order's open debt, or to an enterprise."""

    principal: Decimal
    bonus: Decimal
    debt: Decimal
    enterprise: Decimal = ZERO


def charges_now(wallet: Wallet) -> bool:
    """Return whether the wallet has an open hold, of whatever amount."""
    return Hold.objects.filter(wallet=wallet, state=HoldState.OPEN).exists()


def must_not_charge(wallet: Wallet) -> None:
    """Raise ChargeRunning while the wallet has an open hold."""
    if charges_now(wallet):
        raise ChargeRunning


def return_charge(
    *,
    customer: Customer,
    order_no: str,
    refund_no: str,
    electricity: Decimal,
    service: Decimal,
    paid: Share,
    given: Share,
    at: datetime | None = None,
) -> Returned:
    """Give fees of a settled order back (yuan), in the shares that `paid`; `given` went back before.

    First comes off what the order still owes. What a debt was paid with later counts as paid. Other open debts of the
    customer are then paid with what is in the wallet. The caller has locked the order and makes sure of once per
    `refund_no`. Raises ChargeRunning, and PaymentError for more than was paid.
    """
    with transaction.atomic():
        wallet = lock_wallet(customer_id=customer.pk)
        must_not_charge(wallet)
        off, debt = debts.cancel(wallet, order_no, electricity + service, at)
        if debt is not None:
            paid = Share(
                paid.principal + debt.recovered - debt.recovered_bonus, paid.bonus + debt.recovered_bonus
            )
        share = give_back(electricity + service - off, paid, given)
        ledger.post(
            key=f"order-refund:{refund_no}",
            kind=JournalKind.ORDER_REFUND,
            wallet=wallet,
            reference=refund_no,
            lines=[
                debit(AccountKind.REVENUE_ELECTRICITY, electricity),
                debit(AccountKind.REVENUE_SERVICE, service),
                credit(AccountKind.CUSTOMER_DEBT, off),
                credit(AccountKind.CUSTOMER_PRINCIPAL, share.principal),
                credit(AccountKind.CUSTOMER_BONUS, share.bonus),
            ],
            at=at,
            memo=order_no,
        )
        if share.total:
            debts.recover(wallet, refund_no, at)
    return Returned(share.principal, share.bonus, off)


def return_to_enterprise(
    *,
    enterprise_id: int,
    order_no: str,
    refund_no: str,
    electricity: Decimal,
    service: Decimal,
    at: datetime | None = None,
) -> Returned:
    """Give fees of a settled order back (yuan) to the account of the enterprise that paid it.

    Charges of its members go on meanwhile: what they hold stays held. The caller has locked the order, and makes sure
    of once per `refund_no` and of no more than was paid.
    """
    with transaction.atomic():
        account = lock_accounts([enterprise_id])[enterprise_id]
        ledger.post(
            key=f"order-refund:{refund_no}",
            kind=JournalKind.ORDER_REFUND,
            wallet=account,
            reference=refund_no,
            lines=[
                debit(AccountKind.REVENUE_ELECTRICITY, electricity),
                debit(AccountKind.REVENUE_SERVICE, service),
                credit(AccountKind.ENTERPRISE_BALANCE, electricity + service),
            ],
            at=at,
            memo=order_no,
        )
    return Returned(ZERO, ZERO, ZERO, enterprise=electricity + service)
