"""The only door through which money moves: `post`.

An entry's lines sum to zero: positive amounts are debits, negative ones credits. Deferred triggers in the database
refuse entries that do not balance, and any change to entries that exist.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import F, Q

from apps.common.money import ZERO, to_fen
from apps.common.time import business_day, now
from apps.wallet.enums import DEBIT_NORMAL, WALLET_ACCOUNTS, AccountKind, JournalKind
from apps.wallet.models import Account, JournalEntry, Posting, Wallet

WALLET_COLUMNS = {
    AccountKind.CUSTOMER_PRINCIPAL: "principal",
    AccountKind.CUSTOMER_BONUS: "bonus",
    AccountKind.HELD_PRINCIPAL: "held_principal",
    AccountKind.HELD_BONUS: "held_bonus",
    AccountKind.CUSTOMER_DEBT: "debt",
}
"""Which column of Wallet caches which account."""


class UnbalancedEntry(ValueError):
    """Lines that do not sum to zero: a defect of the caller."""


@dataclass(frozen=True, slots=True)
class Line:
    """One leg: yuan, positive debit, negative credit. `channel` only for CHANNEL_CLEARING."""

    account: AccountKind
    amount: Decimal
    channel: str = ""


def debit(account: AccountKind, amount: Decimal, channel: str = "") -> Line:
    """A line that debits an account by `amount` yuan."""
    return Line(account, amount, channel)


def credit(account: AccountKind, amount: Decimal, channel: str = "") -> Line:
    """A line that credits an account by `amount` yuan."""
    return Line(account, -amount, channel)


def post(
    *,
    key: str,
    kind: JournalKind,
    wallet: Wallet,
    reference: str,
    lines: Sequence[Line],
    at: datetime | None = None,
    memo: str = "",
) -> JournalEntry | None:
    """Write one journal entry and move the wallet's cached balances, once per `key`.

    Must be called inside `atomic()` with the wallet's row locked by `services.lock_wallet`. Lines of zero are left
    out and lines of one account joined; with nothing left there is no entry and None is returned. A second call with
    the same key changes nothing and returns the first entry. Raises UnbalancedEntry, AmountError for parts of a fen,
    and IntegrityError when a balance would fall below zero.
    """
    existing = JournalEntry.objects.filter(key=key).first()
    if existing is not None:
        return existing
    sums: dict[tuple[AccountKind, str], Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        to_fen(line.amount)
        sums[line.account, line.channel] += line.amount
    if sum(sums.values(), ZERO) != 0:
        raise UnbalancedEntry(f"{key}: lines sum to {sum(sums.values(), ZERO)}")
    moves = {place: amount for place, amount in sums.items() if amount}
    if not moves:
        return None
    moment = at or now()
    entry = JournalEntry.objects.create(
        key=key,
        kind=kind,
        wallet=wallet,
        reference=reference,
        posted_at=moment,
        business_day=business_day(moment),
        memo=memo,
    )
    accounts = _accounts(wallet, list(moves))
    Posting.objects.bulk_create(
        Posting(entry=entry, account=accounts[place], amount=amount) for place, amount in moves.items()
    )
    cached = {
        WALLET_COLUMNS[account]: amount if account in DEBIT_NORMAL else -amount
        for (account, _), amount in moves.items()
        if account in WALLET_ACCOUNTS
    }
    if cached:
        Wallet.objects.filter(pk=wallet.pk).update(
            **{column: F(column) + change for column, change in cached.items()}, updated_at=now()
        )
        for column, change in cached.items():
            setattr(wallet, column, getattr(wallet, column) + change)
    return entry


def _accounts(
    wallet: Wallet, places: list[tuple[AccountKind, str]]
) -> dict[tuple[AccountKind, str], Account]:
    """Return the accounts of (kind, channel) pairs, made at first sight; one query when all are there."""
    kinds = [kind for kind, _ in places]
    rows = Account.objects.filter(Q(wallet=wallet) | Q(wallet=None), kind__in=kinds)
    accounts = {(AccountKind(row.kind), row.channel): row for row in rows}
    for kind, channel in places:
        if (kind, channel) not in accounts:
            owner = wallet if kind in WALLET_ACCOUNTS else None
            accounts[kind, channel], _ = Account.objects.get_or_create(
                kind=kind, wallet=owner, channel=channel
            )
    return accounts
