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

from django.db import IntegrityError, connection

from apps.common.money import ZERO, to_fen
from apps.common.time import business_day, now
from apps.wallet.enums import DEBIT_NORMAL, WALLET_ACCOUNTS, AccountKind, JournalKind
from apps.wallet.errors import DayClosed
from apps.wallet.models import JournalEntry, Wallet

CLOSED_DAY = "day_closed"
"""What the trigger on the journal calls its refusal, in every schema."""

WALLET_COLUMNS = {
    AccountKind.CUSTOMER_PRINCIPAL: "principal",
    AccountKind.CUSTOMER_BONUS: "bonus",
    AccountKind.HELD_PRINCIPAL: "held_principal",
    AccountKind.HELD_BONUS: "held_bonus",
    AccountKind.FROZEN_PRINCIPAL: "frozen_principal",
    AccountKind.FROZEN_BONUS: "frozen_bonus",
    AccountKind.CUSTOMER_DEBT: "debt",
}
"""Which column of Wallet caches which account."""


LEGS = """
    SELECT leg.*, account.id AS account_id
      FROM unnest(%(kinds)s::text[], %(channels)s::text[], %(owners)s::bigint[], %(amounts)s::numeric[])
           AS leg (kind, channel, wallet_id, amount)
      LEFT JOIN LATERAL (
           SELECT id FROM wallet_account
            WHERE kind = leg.kind AND wallet_id = leg.wallet_id AND channel = leg.channel
            UNION ALL
           SELECT id FROM wallet_account
            WHERE leg.wallet_id IS NULL AND wallet_id IS NULL AND kind = leg.kind AND channel = leg.channel
      ) AS account ON true"""
WRITE = f"""
WITH entry AS (
    INSERT INTO wallet_journalentry (key, kind, wallet_id, reference, posted_at, business_day, memo)
    VALUES (%(key)s, %(kind)s, %(wallet)s, %(reference)s, %(posted_at)s, %(business_day)s, %(memo)s)
        ON CONFLICT (key) DO NOTHING RETURNING id),
leg AS ({LEGS}),
made AS (
    INSERT INTO wallet_account (kind, channel, wallet_id)
    SELECT kind, channel, wallet_id FROM leg WHERE account_id IS NULL AND EXISTS (SELECT FROM entry)
        ON CONFLICT (kind, wallet_id, channel) DO NOTHING RETURNING id, kind, channel),
posted AS (
    INSERT INTO wallet_posting (entry_id, account_id, amount, business_day)
    SELECT entry.id, coalesce(leg.account_id, made.id), leg.amount, %(business_day)s
      FROM entry CROSS JOIN leg LEFT JOIN made ON made.kind = leg.kind AND made.channel = leg.channel
     WHERE coalesce(leg.account_id, made.id) IS NOT NULL RETURNING id),
moved AS (
    UPDATE wallet_wallet
       SET principal = principal + %(principal)s, bonus = bonus + %(bonus)s, debt = debt + %(debt)s,
           held_principal = held_principal + %(held_principal)s, held_bonus = held_bonus + %(held_bonus)s,
           frozen_principal = frozen_principal + %(frozen_principal)s, frozen_bonus = frozen_bonus + %(frozen_bonus)s,
           updated_at = %(now)s
     WHERE id = %(wallet)s AND EXISTS (SELECT FROM entry) RETURNING id)
SELECT (SELECT id FROM entry), (SELECT count(*) FROM posted)
"""  # noqa: S608 - the texts above
WRITE_THE_REST = f"""
INSERT INTO wallet_posting (entry_id, account_id, amount, business_day)
SELECT %(entry)s, leg.account_id, leg.amount, %(business_day)s FROM ({LEGS}) AS leg
 WHERE NOT EXISTS (SELECT FROM wallet_posting p WHERE p.entry_id = %(entry)s AND p.account_id = leg.account_id)
"""  # noqa: S608 - the texts above


class UnbalancedEntry(ValueError):
    """Lines that do not sum to zero: a defect of the caller."""


@dataclass(frozen=True, slots=True)
class Line:
    """One leg: yuan, positive debit, negative credit. `channel` only for CHANNEL_CLEARING and CHANNEL_FEE."""

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
    wallet: Wallet | None,
    reference: str,
    lines: Sequence[Line],
    at: datetime | None = None,
    memo: str = "",
) -> JournalEntry | None:
    """Write one journal entry and move the wallet's cached balances, once per `key`.

    Must be called inside `atomic()` with the wallet's row locked by `services.lock_wallet`; `wallet` is None only for
    entries that move no customer's money (a payment channel's fee). Lines of zero are left
    out and lines of one account joined; with nothing left there is no entry and None is returned. A second call with
    the same key changes nothing and returns the first entry. Raises UnbalancedEntry, AmountError for parts of a fen,
    DayClosed when `at` lies in a closed business day (the transaction is lost then), and IntegrityError when a balance
    would fall below zero. What happened on a closed day is booked now: `at` is left out.
    """
    sums: dict[tuple[AccountKind, str], Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        to_fen(line.amount)
        sums[line.account, line.channel] += line.amount
    if sum(sums.values(), ZERO) != 0:
        raise UnbalancedEntry(f"{key}: lines sum to {sum(sums.values(), ZERO)}")
    moves = {place: amount for place, amount in sums.items() if amount}
    if wallet is None and any(account in WALLET_ACCOUNTS for account, _ in moves):
        raise ValueError(f"{key}: moves a customer's money without a wallet")
    moment = at or now()
    entry = JournalEntry(
        key=key,
        kind=kind,
        wallet=wallet,
        reference=reference,
        posted_at=moment,
        business_day=business_day(moment),
        memo=memo,
    )
    if not moves or not _write(entry, wallet, moves):
        return JournalEntry.objects.filter(key=key).first()
    for (account, _), amount in moves.items():
        if wallet is not None and account in WALLET_ACCOUNTS:
            column = WALLET_COLUMNS[account]
            setattr(wallet, column, getattr(wallet, column) + _change(account, amount))
    return entry


def _change(account: AccountKind, amount: Decimal) -> Decimal:
    """How a posting moves the balance of its account as people read it."""
    return amount if account in DEBIT_NORMAL else -amount


def _write(entry: JournalEntry, wallet: Wallet | None, moves: dict[tuple[AccountKind, str], Decimal]) -> bool:
    """Write entry, missing accounts, postings and balances in one statement. False if the key was posted before."""
    changes = dict.fromkeys(WALLET_COLUMNS.values(), ZERO)
    for (account, _), amount in moves.items():
        if account in WALLET_ACCOUNTS:
            changes[WALLET_COLUMNS[account]] += _change(account, amount)
    values = {
        "key": entry.key,
        "kind": entry.kind,
        "wallet": wallet and wallet.pk,
        "reference": entry.reference,
        "posted_at": entry.posted_at,
        "business_day": entry.business_day,
        "memo": entry.memo,
        "kinds": [account.value for account, _ in moves],
        "channels": [channel for _, channel in moves],
        "owners": [wallet.pk if wallet and account in WALLET_ACCOUNTS else None for account, _ in moves],
        "amounts": list(moves.values()),
        "now": now(),
        **changes,
    }
    with connection.cursor() as cursor:
        try:
            cursor.execute(WRITE, values)
        except IntegrityError as error:
            diagnosis = getattr(error.__cause__, "diag", None)
            if diagnosis is not None and diagnosis.constraint_name == CLOSED_DAY:
                raise DayClosed(day=entry.business_day) from error
            raise
        entry_id, posted = cursor.fetchone()
        if entry_id is None:
            return False
        entry.pk = entry_id
        if posted < len(moves):  # another transaction made one of the tenant's accounts at the same moment
            cursor.execute(WRITE_THE_REST, {**values, "entry": entry_id})
    return True
