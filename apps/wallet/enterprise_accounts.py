"""The account of an enterprise that pays for its members' charges (docs/adr/0010): holds, and money in and out.

Money comes and goes by bank transfer, so people book it: with the bank's number, a reason, and a second person where
the tenant's rule asks for one. `services.Till` takes what charges cost, `returns` gives refunds back.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.money import ZERO, AmountError, to_fen
from apps.common.schema import current_schema
from apps.customers.models import Enterprise
from apps.tenancy import features
from apps.wallet import ledger
from apps.wallet.accounts import balances_before
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.errors import (
    AmountNotAllowed,
    EnterpriseShort,
    NotInAccount,
    TransferBooked,
    TransferElsewhere,
)
from apps.wallet.ledger import credit, debit
from apps.wallet.models import EnterpriseAccount, Hold, JournalEntry, Posting, Wallet
from apps.wallet.services import lock_accounts, place_hold

log = structlog.get_logger(__name__)

LARGEST = Decimal("100000000.00")
"""Yuan: what is more is a slip of the pen."""
_LOCK = 7_203_414  # any number that no other advisory lock of ours has


def spendable(account: Wallet, enterprise: Enterprise) -> Decimal:
    """Return what new charges may hold, yuan: the balance and what is left of the credit; below zero for neither."""
    return account.principal + enterprise.credit


def open_hold(
    *,
    account: Wallet,
    enterprise: Enterprise,
    order_no: str,
    amount: Decimal | None,
    maximum: Decimal,
    at: datetime | None = None,
) -> Hold:
    """Set money of a locked account aside for an order: `amount` yuan, or all that may be held up to `maximum`.

    Raises EnterpriseShort, AmountNotAllowed; nothing is held then.
    """
    if amount is not None and (amount <= 0 or amount > maximum):
        raise AmountNotAllowed(reason=f"0.01–{maximum}")
    free = spendable(account, enterprise)
    wanted = amount if amount is not None else min(free, maximum)
    if wanted <= 0 or free < wanted:
        raise EnterpriseShort
    return place_hold(account, order_no, wanted, ZERO, at)


@dataclass(frozen=True, slots=True)
class Month:
    """An account over a calendar month of business days, yuan: balances with what is held, and what moved them."""

    opening: Decimal
    transferred: Decimal
    withdrawn: Decimal
    charged: Decimal
    refunded: Decimal

    @property
    def closing(self) -> Decimal:
        """The balance after the last day; below zero the enterprise owes it."""
        return self.opening + self.transferred - self.withdrawn - self.charged + self.refunded


def month_of(*, account: Wallet, first: date) -> Month:
    """Return the statement of the month that begins on `first`."""
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    ids = list(account.accounts.values_list("pk", flat=True))
    opening = ZERO - sum(balances_before(ids, first).values(), ZERO)
    postings = Posting.objects.filter(account__in=ids, business_day__range=(first, last)).order_by()
    moved = defaultdict(lambda: ZERO)
    for kind, amount in postings.values_list("entry__kind").annotate(Sum("amount")):
        moved[kind] -= amount
    return Month(
        opening=opening,
        transferred=moved[JournalKind.ENTERPRISE_DEPOSIT],
        withdrawn=ZERO - moved[JournalKind.ENTERPRISE_WITHDRAWAL],
        charged=ZERO - moved[JournalKind.CHARGE],
        refunded=moved[JournalKind.ORDER_REFUND],
    )


# --- Bank transfers ---------------------------------------------------------------------------------------


def request_deposit(
    *, account: Wallet, amount: Decimal, number: str, actor: Actor, reason: str, address: str | None = None
) -> Approval:
    """Ask to book what an enterprise transferred (yuan) under the bank's `number`, once for each number.

    What was booked for another enterprise by mistake is withdrawn there under the same number first. Raises
    AmountNotAllowed, TransferBooked, TransferElsewhere, FeatureMissing, and what `approvals.request` raises.
    """
    features.require("enterprises")
    return _request(DEPOSIT, account, amount, number, actor, reason, address)


def request_withdrawal(
    *, account: Wallet, amount: Decimal, number: str, actor: Actor, reason: str, address: str | None = None
) -> Approval:
    """Ask to book what goes back to an enterprise (yuan) under the bank's `number`, at most the balance.

    What charges hold and the credit cannot be had. Raises AmountNotAllowed, NotInAccount, TransferBooked, and what
    `approvals.request` raises.
    """
    return _request(WITHDRAWAL, account, amount, number, actor, reason, address)


def _request(  # noqa: PLR0917 - the parts of a transfer
    operation: approvals.Operation,
    account: Wallet,
    amount: Decimal,
    number: str,
    actor: Actor,
    reason: str,
    address: str | None,
) -> Approval:
    _check_amount(amount)
    number = number.strip()
    with transaction.atomic():
        row = EnterpriseAccount.objects.select_for_update(of=("self",)).get(pk=account.pk)
        signed = amount if operation is DEPOSIT else -amount
        _check(operation, row, amount, number)
        return approvals.request(
            operation,
            row,
            {"amount": str(amount), "number": number},
            actor,
            reason,
            amount=amount,
            changes={
                gettext_noop("balance (yuan)"): [row.principal, row.principal + signed],
                gettext_noop("bank's number"): [None, number],
            },
            address=address,
        )


def _check_amount(amount: Decimal) -> None:
    try:
        to_fen(amount)
    except AmountError:
        raise AmountNotAllowed(reason=str(amount)) from None
    if not 0 < amount <= LARGEST:
        raise AmountNotAllowed(reason=f"0.01–{LARGEST}")


def _check(operation: approvals.Operation, account: Wallet, amount: Decimal, number: str) -> None:
    if JournalEntry.objects.filter(key=_key(operation, account, number)).exists():
        raise TransferBooked(number=number)
    if operation is WITHDRAWAL and amount > account.principal:
        raise NotInAccount(balance=account.principal)
    if operation is DEPOSIT:
        _check_others(account, number)


def _check_others(account: Wallet, number: str) -> None:
    """Refuse a transfer that is booked for another enterprise and was not withdrawn there under its number.

    What was spent there by then cannot be withdrawn, so less than all will do. Two that book one number at once, each
    with its own account locked, wait for each other here.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, f"{current_schema()} {number}"]
        )
    booked = JournalEntry.objects.filter(reference=number).exclude(wallet=account)
    withdrawn = booked.filter(kind=JournalKind.ENTERPRISE_WITHDRAWAL).values("wallet")
    stands = booked.filter(kind=JournalKind.ENTERPRISE_DEPOSIT).exclude(wallet__in=withdrawn)
    name = stands.values_list("wallet__enterprise__name", flat=True).first()
    if name is not None:
        raise TransferElsewhere(number=number, enterprise=name)


def _key(operation: approvals.Operation, account: Wallet, number: str) -> str:
    return f"{operation.code.removeprefix('wallet.')}:{account.pk}:{number}"


def _deposit(payload: dict[str, Any], _actor: Actor) -> None:
    _book(DEPOSIT, payload)


def _withdraw(payload: dict[str, Any], _actor: Actor) -> None:
    _book(WITHDRAWAL, payload)


def _book(operation: approvals.Operation, payload: dict[str, Any]) -> None:
    """Write what was asked for; `approvals` has locked the account and does this once."""
    asked = payload["approval"]
    found = EnterpriseAccount.objects.get(pk=int(asked["object_id"]))
    assert found.enterprise_id is not None
    account = lock_accounts([found.enterprise_id])[found.enterprise_id]
    amount, number = Decimal(payload["amount"]), payload["number"]
    _check(operation, account, amount, number)
    came = operation is DEPOSIT
    lines = [debit(AccountKind.MANUAL_TRANSFER, amount), credit(AccountKind.ENTERPRISE_BALANCE, amount)]
    if not came:
        lines = [debit(AccountKind.ENTERPRISE_BALANCE, amount), credit(AccountKind.MANUAL_TRANSFER, amount)]
    ledger.post(
        key=_key(operation, account, number),
        kind=JournalKind.ENTERPRISE_DEPOSIT if came else JournalKind.ENTERPRISE_WITHDRAWAL,
        wallet=account,
        reference=number,
        lines=lines,
        memo=asked["reason"][:200],
    )
    log.info("enterprise_transfer_booked", operation=operation.code, account=account.pk, amount=str(amount))


def _any_balance(_account: Wallet, _payload: dict[str, Any]) -> str:
    """Charges move the balance all day: the execution looks at it again, so it makes no request void."""
    return ""


DEPOSIT = approvals.register(
    approvals.Operation(
        "wallet.enterprise_deposit",
        _("Book a top-up of an enterprise"),
        "wallet.approve_enterpriseaccount",
        execute=_deposit,
        version=_any_balance,
    )
)
WITHDRAWAL = approvals.register(
    approvals.Operation(
        "wallet.enterprise_withdrawal",
        _("Book a withdrawal of an enterprise"),
        "wallet.approve_enterpriseaccount",
        execute=_withdraw,
        version=_any_balance,
    )
)
