"""The only door through which money moves: `post`.

An entry's lines sum to zero: positive amounts are debits, negative ones credits. Triggers in the database refuse lines
that do not balance, entries without lines, and any change to what exists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db import IntegrityError, connection

from apps.common.bulk import to_json
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
    AccountKind.ENTERPRISE_BALANCE: "principal",
    AccountKind.ENTERPRISE_HELD: "held_principal",
}
"""Which column of Wallet caches which account."""
COLUMNS = tuple(dict.fromkeys(WALLET_COLUMNS.values()))


LEGS = """
    SELECT leg.*, account.id AS account_id
      FROM jsonb_to_recordset(%(legs)s::jsonb)
           AS leg (place int, key text, kind text, channel text, wallet_id bigint, amount numeric)
      LEFT JOIN LATERAL (
           SELECT id FROM wallet_account
            WHERE kind = leg.kind AND wallet_id = leg.wallet_id AND channel = leg.channel
            UNION ALL
           SELECT id FROM wallet_account
            WHERE leg.wallet_id IS NULL AND wallet_id IS NULL AND kind = leg.kind AND channel = leg.channel
      ) AS account ON true"""
WRITE = f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%(entries)s::jsonb)
        AS (place int, key text, kind text, wallet_id bigint, reference text, posted_at timestamptz,
            business_day date, memo text, {", ".join(f"{column} numeric" for column in COLUMNS)})),
entry AS (
    INSERT INTO wallet_journalentry (key, kind, wallet_id, reference, posted_at, business_day, memo)
    SELECT key, kind, wallet_id, reference, posted_at, business_day, memo FROM given ORDER BY place
        ON CONFLICT (key) DO NOTHING RETURNING id, key, business_day),
leg AS ({LEGS}),
made AS (
    INSERT INTO wallet_account (kind, channel, wallet_id)
    SELECT DISTINCT kind, channel, wallet_id FROM leg WHERE account_id IS NULL AND key IN (SELECT key FROM entry)
     ORDER BY kind, channel, wallet_id
        -- One that another transaction makes at this moment is waited for, and returned as if it were made here.
        ON CONFLICT (kind, wallet_id, channel) DO UPDATE SET kind = excluded.kind
    RETURNING id, kind, channel, wallet_id),
posted AS (
    INSERT INTO wallet_posting (entry_id, account_id, amount, business_day)
    SELECT entry.id, coalesce(leg.account_id, made.id), leg.amount, entry.business_day
      FROM leg JOIN entry ON entry.key = leg.key
      LEFT JOIN made ON made.kind = leg.kind AND made.channel = leg.channel
           AND made.wallet_id IS NOT DISTINCT FROM leg.wallet_id
     ORDER BY leg.place),
moved AS (
    UPDATE wallet_wallet
       SET {", ".join(f"{column} = wallet_wallet.{column} + moves.{column}" for column in COLUMNS)},
           updated_at = %(now)s
      FROM (SELECT wallet_id, {", ".join(f"sum({column}) AS {column}" for column in COLUMNS)}
              FROM given WHERE key IN (SELECT key FROM entry) GROUP BY wallet_id) AS moves
     WHERE wallet_wallet.id = moves.wallet_id RETURNING id)
SELECT key, id FROM entry
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


@dataclass(frozen=True, slots=True)
class Draft:
    """A journal entry that is not written yet: its balanced lines, summed by account and channel."""

    key: str
    kind: JournalKind
    wallet: Wallet | None
    reference: str
    posted_at: datetime
    business_day: date
    memo: str
    moves: dict[tuple[AccountKind, str], Decimal]

    def changes(self) -> dict[str, Decimal]:
        """How the entry moves each cached balance of its wallet, yuan."""
        changes = dict.fromkeys(COLUMNS, ZERO)
        for (account, _), amount in self.moves.items():
            if account in WALLET_ACCOUNTS:
                changes[WALLET_COLUMNS[account]] += amount if account in DEBIT_NORMAL else -amount
        return changes

    def entry(self, pk: int) -> JournalEntry:
        """Return the entry that was written under this id."""
        return JournalEntry(
            pk=pk,
            key=self.key,
            kind=self.kind,
            wallet=self.wallet,
            reference=self.reference,
            posted_at=self.posted_at,
            business_day=self.business_day,
            memo=self.memo,
        )

    def move_wallet(self) -> None:
        """Move the balances of the wallet in memory, as writing the entry moves those of its row."""
        for column, change in self.changes().items():
            if self.wallet is not None and change:
                setattr(self.wallet, column, getattr(self.wallet, column) + change)


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

    Must be called inside `atomic()` with the wallet's row locked by `services.lock_wallet`, or that of an enterprise by
    `services.lock_accounts`; `wallet` is None only for
    entries that move no customer's money (a payment channel's fee). Lines of zero are left
    out and lines of one account joined; with nothing left there is no entry and None is returned. A second call with
    the same key changes nothing and returns the first entry. Raises what `draft` and `write` raise. What happened on
    a closed day is booked now: `at` is left out.
    """
    drafted = draft(key=key, kind=kind, wallet=wallet, reference=reference, lines=lines, at=at, memo=memo)
    written = _write([drafted]) if drafted is not None else {}
    if drafted is None or not written:
        return JournalEntry.objects.filter(key=key).first()
    drafted.move_wallet()
    return drafted.entry(written[key])


def draft(
    *,
    key: str,
    kind: JournalKind,
    wallet: Wallet | None,
    reference: str,
    lines: Sequence[Line],
    at: datetime | None = None,
    memo: str = "",
) -> Draft | None:
    """Check an entry and return it unwritten, or None when its lines move nothing; see `post`.

    Raises UnbalancedEntry, and AmountError for parts of a fen.
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
    return Draft(key, kind, wallet, reference, moment, business_day(moment), memo, moves) if moves else None


def write(drafts: Sequence[Draft]) -> int:
    """Write entries, missing accounts, postings and the balances of their wallets, all in one statement.

    Must be called inside `atomic()` with the wallets locked; no two have one key. A key that was posted before is left
    out: returns how many entries were written. Raises DayClosed when one lies in a closed business day (the
    transaction is lost then), and IntegrityError when a balance would fall below zero.
    """
    return len(_write(drafts))


def _write(drafts: Sequence[Draft]) -> dict[str, int]:
    """Do what `write` does; returns the id of each entry that was written, by its key."""
    if len({drafted.key for drafted in drafts}) < len(drafts):
        raise ValueError("two entries of one key")
    legs = [
        {
            "key": drafted.key,
            "kind": account.value,
            "channel": channel,
            "wallet_id": drafted.wallet.pk if drafted.wallet and account in WALLET_ACCOUNTS else None,
            "amount": amount,
        }
        for drafted in drafts
        for (account, channel), amount in drafted.moves.items()
    ]
    entries = [
        {
            "place": place,
            "key": drafted.key,
            "kind": drafted.kind,
            "wallet_id": drafted.wallet and drafted.wallet.pk,
            "reference": drafted.reference,
            "posted_at": drafted.posted_at,
            "business_day": drafted.business_day,
            "memo": drafted.memo,
            **drafted.changes(),
        }
        for place, drafted in enumerate(drafts)
    ]
    values = {
        "entries": to_json(entries),
        "legs": to_json([{"place": place, **leg} for place, leg in enumerate(legs)]),
        "now": now(),
    }
    with connection.cursor() as cursor:
        try:
            cursor.execute(WRITE, values)
        except IntegrityError as error:
            diagnosis = getattr(error.__cause__, "diag", None)
            if diagnosis is not None and diagnosis.constraint_name == CLOSED_DAY:
                raise DayClosed(day=min(drafted.business_day for drafted in drafts)) from error
            raise
        return dict(cursor.fetchall())
