"""Reads of the books: chart of accounts, trial balance, statements with a running balance.

Amounts are signed as in the journal, debits positive, yuan. Closed days answer from their snapshots; only open days are
summed, and a page of a statement at most one closed day besides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, models
from django.utils.translation import gettext_lazy as _

from apps.common import keyset
from apps.common.money import ZERO
from apps.wallet.books import closed_through
from apps.wallet.enums import WALLET_ACCOUNTS, AccountKind, channel_label
from apps.wallet.models import Account, JournalEntry, Posting, Wallet

PLACE = ("business_day", "id")
"""Statements are ordered by business day, then in the order of posting."""

Key = tuple[str, str]
"""Kind and channel."""


class AccountGroup(models.TextChoices):
    """The four parts of the chart."""

    ASSETS = "assets", _("assets")
    LIABILITIES = "liabilities", _("liabilities")
    REVENUE = "revenue", _("revenue")
    EXPENSE = "expense", _("expense")


GROUPS: dict[AccountKind, AccountGroup] = {
    AccountKind.CHANNEL_CLEARING: AccountGroup.ASSETS,
    AccountKind.MANUAL_TRANSFER: AccountGroup.ASSETS,
    AccountKind.CUSTOMER_DEBT: AccountGroup.ASSETS,
    AccountKind.CUSTOMER_PRINCIPAL: AccountGroup.LIABILITIES,
    AccountKind.CUSTOMER_BONUS: AccountGroup.LIABILITIES,
    AccountKind.HELD_PRINCIPAL: AccountGroup.LIABILITIES,
    AccountKind.HELD_BONUS: AccountGroup.LIABILITIES,
    AccountKind.FROZEN_PRINCIPAL: AccountGroup.LIABILITIES,
    AccountKind.FROZEN_BONUS: AccountGroup.LIABILITIES,
    AccountKind.ENTERPRISE_BALANCE: AccountGroup.LIABILITIES,
    AccountKind.ENTERPRISE_HELD: AccountGroup.LIABILITIES,
    AccountKind.REVENUE_ELECTRICITY: AccountGroup.REVENUE,
    AccountKind.REVENUE_SERVICE: AccountGroup.REVENUE,
    AccountKind.ENTERPRISE_DISCOUNT: AccountGroup.REVENUE,
    AccountKind.COUPON_DISCOUNT: AccountGroup.REVENUE,
    AccountKind.BONUS_EXPENSE: AccountGroup.EXPENSE,
    AccountKind.CHANNEL_FEE: AccountGroup.EXPENSE,
}
"""Which part each kind belongs to. Discounts stand beside the revenue that they take from."""


@dataclass(slots=True)
class Sums:
    """Opening balance, debits, credits and closing balance of a range of days."""

    opening: Decimal = ZERO
    debits: Decimal = ZERO
    credits: Decimal = ZERO

    @property
    def closing(self) -> Decimal:
        """Balance after the last day."""
        return self.opening + self.debits - self.credits

    def add(self, other: Sums) -> None:
        """Add another account's figures."""
        self.opening += other.opening
        self.debits += other.debits
        self.credits += other.credits


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One kind and channel of the trial balance; `account_id` where there is one account of it only."""

    group: AccountGroup
    kind: AccountKind
    channel: str
    account_id: int | None
    sums: Sums

    @property
    def channel_label(self) -> str:
        """The channel in words."""
        return channel_label(self.channel)


@dataclass(slots=True)
class TrialBalance:
    """All accounts over a range of business days. `total` proves itself: opening and closing zero, debits = credits."""

    first: date
    last: date
    lines: list[TrialLine]
    total: Sums = field(default_factory=Sums)

    @property
    def is_balanced(self) -> bool:
        """Whether the books balance before, in and after the range."""
        total = self.total
        return total.opening == 0 and total.closing == 0 and total.debits == total.credits

    def groups(self) -> list[tuple[AccountGroup, list[TrialLine], Sums]]:
        """Return the parts of the chart with their lines and sums."""
        found = []
        for group in AccountGroup:
            lines = sorted((line for line in self.lines if line.group == group), key=_place)
            found.append((group, lines, _total(lines)))
        return found


def trial_balance(*, first: date, last: date) -> TrialBalance:
    """Return opening, debits, credits and closing of every kind and channel for the business days `first` to `last`."""
    closed = closed_through()
    sums: dict[Key, Sums] = defaultdict(Sums)
    for key, balance in _balances(first - timedelta(days=1), closed).items():
        sums[key].opening = balance
    for key, (debits, credits_) in _moves(first, last, closed).items():
        sums[key].debits, sums[key].credits = debits, credits_
    own = Account.objects.filter(wallet=None).values_list("kind", "channel", "pk")
    accounts = {(kind, channel): pk for kind, channel, pk in own}
    lines = [
        TrialLine(GROUPS[AccountKind(kind)], AccountKind(kind), channel, accounts.get((kind, channel)), found)
        for (kind, channel), found in sums.items()
    ]
    lines.sort(key=_place)
    return TrialBalance(first, last, lines, _total(lines))


def _place(line: TrialLine) -> tuple[int, str]:
    return list(GROUPS).index(line.kind), line.channel


def _total(lines: Iterable[TrialLine]) -> Sums:
    total = Sums()
    for line in lines:
        total.add(line.sums)
    return total


def _balances(day: date, closed: date | None) -> dict[Key, Decimal]:
    """Balance of each kind and channel at the end of a day: of a snapshot, and what open days moved since."""
    found: dict[Key, Decimal] = defaultdict(lambda: ZERO)
    snapshot = min(day, closed) if closed else None
    if snapshot is not None:
        for kind, channel, balance in _rows(
            "select kind, channel, balance from wallet_daybalance where day = %s", snapshot
        ):
            found[kind, channel] += balance
    if snapshot is None or snapshot < day:
        since = snapshot + timedelta(days=1) if snapshot else date.min
        for key, (debits, credits_) in _journal_moves(since, day).items():
            found[key] += debits - credits_
    return found


def _moves(first: date, last: date, closed: date | None) -> dict[Key, tuple[Decimal, Decimal]]:
    """Debits and credits of each kind and channel in a range of days."""
    found: dict[Key, tuple[Decimal, Decimal]] = {}
    since = first
    if closed is not None and first <= closed:
        since = closed + timedelta(days=1)
        for kind, channel, debits, credits_ in _rows(
            "select kind, channel, sum(debits), sum(credits) from wallet_daybalance"
            " where day between %s and %s group by kind, channel",
            first,
            min(last, closed),
        ):
            found[kind, channel] = debits, credits_
    if since <= last:
        for key, (debits, credits_) in _journal_moves(since, last).items():
            before = found.get(key, (ZERO, ZERO))
            found[key] = before[0] + debits, before[1] + credits_
    return found


def _journal_moves(first: date, last: date) -> dict[Key, tuple[Decimal, Decimal]]:
    rows = _rows(
        """select a.kind, a.channel, coalesce(sum(m.debits), 0), coalesce(sum(m.credits), 0)
           from (select p.account_id, sum(p.amount) filter (where p.amount > 0) as debits,
                     -sum(p.amount) filter (where p.amount < 0) as credits
                 from wallet_journalentry e join wallet_posting p on p.entry_id = e.id
                 where e.business_day between %s and %s group by p.account_id) m
           join wallet_account a on a.id = m.account_id group by a.kind, a.channel""",
        first,
        last,
    )
    return {(kind, channel): (debits, credits_) for kind, channel, debits, credits_ in rows}


def _rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall()


# --- Balances of single accounts --------------------------------------------------------------------------


def balances(account_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return the balance of each account now, debits positive."""
    return dict(
        _rows(
            """select a.id, coalesce(last.balance, 0) + coalesce((
                   select sum(p.amount) from wallet_posting p where p.account_id = a.id
                   and p.business_day > coalesce(last.closed, date '-infinity')), 0)
               from wallet_account a
               left join lateral (
                   select d.balance, (select max(day) from wallet_dayclosing) as closed from wallet_accountday d
                   where d.account_id = a.id order by d.day desc limit 1) last on true
               where a.id = any(%s)""",
            list(account_ids),
        )
    )


def balances_before(account_ids: Sequence[int], day: date) -> dict[int, Decimal]:
    """Return the balance of each account before the entries of a business day, debits positive."""
    return _balance_after(account_ids, day, 0)


def _balance_after(account_ids: Sequence[int], day: date, entry_id: int) -> dict[int, Decimal]:
    """Balance of each account behind its postings up to an entry of a day."""
    return dict(
        _rows(
            """select a.id, coalesce(last.balance, 0) + coalesce((
                   select sum(p.amount) from wallet_posting p where p.account_id = a.id
                   and p.business_day > coalesce(last.day, date '-infinity') and p.business_day <= %s
                   and (p.business_day, p.entry_id) <= (%s, %s)), 0)
               from wallet_account a
               left join lateral (
                   select d.balance, d.day from wallet_accountday d
                   where d.account_id = a.id and d.day < %s order by d.day desc limit 1) last on true
               where a.id = any(%s)""",
            day,
            day,
            entry_id,
            day,
            list(account_ids),
        )
    )


# --- Statements -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountLine:
    """One posting of an account and the balance behind it."""

    posting: Posting
    balance: Decimal


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of a statement, newest first. `older` is the place to go on from, None on the last page."""

    rows: list[Any]
    older: str | None


def account_statement(
    *,
    account: Account,
    first: date | None = None,
    last: date | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> Lines:
    """Return an account's postings, newest first, each with the balance behind it.

    `before` is the place (business day, posting id) where the page before ended.
    """
    queryset = Posting.objects.filter(account=account)
    queryset = _between(queryset, first, last)
    if before is not None:
        queryset = keyset.below(queryset, PLACE, before)
    queryset = queryset.select_related("entry__wallet__customer", "entry__wallet__enterprise")
    found = list(queryset.order_by("-business_day", "-id")[: limit + 1])
    page = found[:limit]
    rows = []
    if page:
        balance = _balance_after([account.pk], page[0].business_day, page[0].entry_id)[account.pk]
        for posting in page:
            rows.append(AccountLine(posting, balance))
            balance -= posting.amount
    return Lines(rows, keyset.write_place(page[-1], PLACE) if len(found) > limit else None)


PRINCIPAL = (AccountKind.CUSTOMER_PRINCIPAL, AccountKind.ENTERPRISE_BALANCE)
SET_ASIDE = (
    AccountKind.HELD_PRINCIPAL,
    AccountKind.HELD_BONUS,
    AccountKind.FROZEN_PRINCIPAL,
    AccountKind.FROZEN_BONUS,
    AccountKind.ENTERPRISE_HELD,
)


@dataclass(slots=True)
class WalletSums:
    """Money of a customer as people read it: principal, bonus, what is held or frozen, and what is owed.

    Of an enterprise: balance and what is held.
    """

    principal: Decimal = ZERO
    bonus: Decimal = ZERO
    set_aside: Decimal = ZERO
    debt: Decimal = ZERO

    def add(self, kind: str, amount: Decimal) -> None:
        """Add a posting."""
        if kind in PRINCIPAL:
            self.principal -= amount
        elif kind == AccountKind.CUSTOMER_BONUS:
            self.bonus -= amount
        elif kind in SET_ASIDE:
            self.set_aside -= amount
        elif kind == AccountKind.CUSTOMER_DEBT:
            self.debt += amount

    def less(self, other: WalletSums) -> WalletSums:
        """Return what was there before `other` was added."""
        return WalletSums(
            self.principal - other.principal,
            self.bonus - other.bonus,
            self.set_aside - other.set_aside,
            self.debt - other.debt,
        )

    @property
    def total(self) -> Decimal:
        """All money of the customer, without what is owed."""
        return self.principal + self.bonus + self.set_aside


@dataclass(frozen=True, slots=True)
class WalletLine:
    """One entry of a wallet: what it changed, and what there is behind it."""

    entry: JournalEntry
    change: WalletSums
    after: WalletSums
    at: datetime


def wallet_statement(
    *,
    wallet: Wallet,
    first: date | None = None,
    last: date | None = None,
    before: Sequence[Any] | None = None,
    limit: int = 50,
) -> Lines:
    """Return a wallet's entries, newest first, each with its changes and with the balances behind it.

    `before` is the place (business day, entry id) where the page before ended.
    """
    queryset = _between(JournalEntry.objects.filter(wallet=wallet), first, last)
    if before is not None:
        queryset = keyset.below(queryset, PLACE, before)
    found = list(queryset.order_by("-business_day", "-id")[: limit + 1])
    page = found[:limit]
    rows = []
    if page:
        kinds = dict(Account.objects.filter(wallet=wallet).values_list("pk", "kind"))
        after = WalletSums()
        for pk, balance in _balance_after(list(kinds), page[0].business_day, page[0].pk).items():
            after.add(kinds[pk], balance)
        changes: dict[int, WalletSums] = defaultdict(WalletSums)
        legs = Posting.objects.filter(entry__in=[entry.pk for entry in page], account__in=list(kinds))
        for entry_id, account_id, amount in legs.order_by().values_list("entry_id", "account_id", "amount"):
            changes[entry_id].add(kinds[account_id], amount)
        for entry in page:
            rows.append(WalletLine(entry, changes[entry.pk], after, entry.posted_at))
            after = after.less(changes[entry.pk])
    return Lines(rows, keyset.write_place(page[-1], PLACE) if len(found) > limit else None)


def _between(queryset: Any, first: date | None, last: date | None) -> Any:
    if first is not None:
        queryset = queryset.filter(business_day__gte=first)
    if last is not None:
        queryset = queryset.filter(business_day__lte=last)
    return queryset


assert set(GROUPS) == set(AccountKind)
assert {*PRINCIPAL, *SET_ASIDE, AccountKind.CUSTOMER_BONUS, AccountKind.CUSTOMER_DEBT} == WALLET_ACCOUNTS
