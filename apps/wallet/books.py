"""Closing of business days: what the journal said of a day is counted, summed, hashed, and takes nothing more.

A day is closed once, after its end, in one transaction, right behind the day before; days without entries too, so
that the chain has no gaps. Whoever posts on the day just then has ended before, or is refused (the trigger on the
journal and this module use one lock: tenancy's migration `closed_days`). What is closed is checked by `BOOK_CHECKS`
ever after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Max, Min

from apps.backoffice import audit
from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.common.time import now
from apps.wallet.errors import BooksInUse, DayNotOver
from apps.wallet.models import DayClosing, JournalEntry

log = structlog.get_logger(__name__)

GRACE_MINUTES = 10
"""So long after its end a day may be closed: more than clocks of servers ever disagree."""

# --- What a day's digest is taken over --------------------------------------------------------------------

# One row per day that has entries: their number, and a hash over the hash of each with its postings, in order.
CONTENT = """
    select day, count(*) as entries, sum(moved) as moved,
        encode(sha256(string_agg(line, ''::bytea order by id)), 'hex') as digest
    from (
        select e.business_day as day, e.id, sum(p.amount) filter (where p.amount > 0) as moved,
            sha256(convert_to(
                json_build_array(e.id, e.key, e.kind, e.wallet_id, e.reference, extract(epoch from e.posted_at),
                    e.business_day, e.memo)::text
                || string_agg(json_build_array(p.id, p.amount, p.business_day, a.kind, a.channel, a.wallet_id)::text,
                    '' order by p.id), 'UTF8')) as line
        from wallet_journalentry e
        left join wallet_posting p on p.entry_id = e.id left join wallet_account a on a.id = p.account_id
        where {days} group by e.id) lines
    group by day"""
# Over the day before, the figures, the content and the balances by kind.
DIGEST = """
    encode(sha256(convert_to(json_build_array({previous}, {day}, {entries}, {moved}, {content},
        (select json_agg(json_build_array(b.kind, b.channel, b.debits, b.credits, b.balance)
            order by b.kind collate "C", b.channel collate "C")
         from wallet_daybalance b where b.day = {day}))::text, 'UTF8')), 'hex')"""

SUM_ACCOUNTS = """
    insert into wallet_accountday (account_id, day, debits, credits, balance)
    select m.account_id, %(day)s, m.debits, m.credits, coalesce(last.balance, 0) + m.debits - m.credits
    from (select p.account_id, coalesce(sum(p.amount) filter (where p.amount > 0), 0) as debits,
              coalesce(-sum(p.amount) filter (where p.amount < 0), 0) as credits
          from wallet_journalentry e join wallet_posting p on p.entry_id = e.id
          where e.business_day = %(day)s group by p.account_id) m
    left join lateral (select d.balance from wallet_accountday d
        where d.account_id = m.account_id order by d.day desc limit 1) last on true"""
SUM_KINDS = """
    insert into wallet_daybalance (day, kind, channel, debits, credits, balance)
    select %(day)s, kind, channel, sum(debits), sum(credits), sum(balance)
    from (select a.kind, a.channel, d.debits, d.credits, d.debits - d.credits as balance
          from wallet_accountday d join wallet_account a on a.id = d.account_id where d.day = %(day)s
          union all
          select kind, channel, 0, 0, balance from wallet_daybalance where day = %(before)s) parts
    group by kind, channel"""
CLOSE = f"""
    with content as ({CONTENT.format(days="e.business_day = %(day)s::date")}),
    figures as (select coalesce(max(entries), 0) as entries, coalesce(max(moved), 0)::numeric(14, 2) as moved,
        coalesce(max(digest), '') as content from content)
    insert into wallet_dayclosing (day, entries, moved, previous_digest, closed_at, closed_by, digest)
    select %(day)s, entries, moved, %(previous)s, %(at)s, %(by)s,
        {
    DIGEST.format(
        previous="%(previous)s::text",
        day="%(day)s::date",
        entries="entries",
        moved="moved",
        content="content",
    )
}
    from figures returning id"""  # noqa: S608 - the texts above

_CLOSED = "e.business_day <= (select max(day) from wallet_dayclosing)"
BOOK_CHECKS: dict[str, str] = {
    "closed day differs from its digest": f"""
        select c.day as subject, c.entries, coalesce(l.entries, 0) as entries_now, c.moved,
            coalesce(l.moved, 0) as moved_now
        from wallet_dayclosing c left join ({CONTENT.format(days=_CLOSED)}) l on l.day = c.day
        where c.digest <> {
        DIGEST.format(
            previous="c.previous_digest::text",
            day="c.day",
            entries="c.entries",
            moved="c.moved",
            content="coalesce(l.digest, '')",
        )
    }""",  # noqa: S608 - texts of this module
    "closed days are no chain": """
        select day as subject, previous_digest, digest_before, day_before
        from (select day, previous_digest, coalesce(lag(digest) over before, '') as digest_before,
                  coalesce(lag(day) over before, day - 1) as day_before
              from wallet_dayclosing window before as (order by day)) chain
        where previous_digest <> digest_before or day_before <> day - 1""",
    "entry on a day that was closed without it": f"""
        select e.key as subject, e.business_day from wallet_journalentry e
        where {_CLOSED} and e.business_day < (select min(day) from wallet_dayclosing)""",  # noqa: S608
    "posting on another day than its entry": """
        select e.key as subject, e.business_day, p.business_day as posted_on
        from wallet_posting p join wallet_journalentry e on e.id = p.entry_id
        where p.business_day <> e.business_day""",
    "closed balance of an account differs": f"""
        with moves as (
            select account_id, day, debits, credits,
                sum(debits - credits) over (partition by account_id order by day) as balance
            from (select p.account_id, e.business_day as day,
                      coalesce(sum(p.amount) filter (where p.amount > 0), 0) as debits,
                      coalesce(-sum(p.amount) filter (where p.amount < 0), 0) as credits
                  from wallet_journalentry e join wallet_posting p on p.entry_id = e.id
                  where {_CLOSED} group by p.account_id, e.business_day) sums)
        select coalesce(m.account_id, d.account_id) as subject, coalesce(m.day, d.day) as day, m.balance as booked,
            d.balance
        from moves m full join wallet_accountday d on d.account_id = m.account_id and d.day = m.day
        where (m.debits, m.credits, m.balance) is distinct from (d.debits, d.credits, d.balance)""",  # noqa: S608
    "closed balance of a kind differs": """
        with moves as (
            select d.day, a.kind, a.channel, sum(d.debits) as debits, sum(d.credits) as credits
            from wallet_accountday d join wallet_account a on a.id = d.account_id
            group by d.day, a.kind, a.channel),
        expected as (
            select c.day, k.kind, k.channel, coalesce(m.debits, 0) as debits, coalesce(m.credits, 0) as credits,
                sum(coalesce(m.debits, 0) - coalesce(m.credits, 0))
                    over (partition by k.kind, k.channel order by c.day) as balance
            from (select kind, channel, min(day) as since from moves group by kind, channel) k
            join wallet_dayclosing c on c.day >= k.since
            left join moves m on m.day = c.day and m.kind = k.kind and m.channel = k.channel)
        select coalesce(x.day, b.day) as subject, coalesce(x.kind, b.kind) as kind,
            coalesce(x.channel, b.channel) as channel, x.balance as booked, b.balance
        from expected x full join wallet_daybalance b using (day, kind, channel)
        where (x.debits, x.credits, x.balance) is distinct from (b.debits, b.credits, b.balance)""",
}
"""What `check_ledger` asks of the books; each query returns what is wrong."""


# --- Closing ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenDay:
    """A day that can be closed: its entries and their sum in yuan."""

    day: date
    entries: int
    moved: Decimal


def closed_through() -> date | None:
    """Return the last closed business day, None before the first closing."""
    return DayClosing.objects.aggregate(last=Max("day"))["last"]


def closable_until() -> date:
    """Return the last business day that is over, and was so for GRACE_MINUTES, by the database's clock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select ((clock_timestamp() - make_interval(mins => %s)) at time zone 'Asia/Shanghai')::date - 1",
            [GRACE_MINUTES],
        )
        (last,) = cursor.fetchone()
    return last  # type: ignore[no-any-return]


def days_to_close(*, until: date) -> list[date]:
    """Return the open days up to `until`, oldest first: from behind the last closed one, or from the first entry."""
    closed = closed_through()
    if closed is not None:
        first: date | None = closed + timedelta(days=1)
    else:
        first = JournalEntry.objects.aggregate(first=Min("business_day"))["first"]
    if first is None:
        return []
    return [first + timedelta(days=number) for number in range((until - first).days + 1)]


def preview(*, until: date) -> list[OpenDay]:
    """Return what closing up to `until` would close, with the figures of each day."""
    days = days_to_close(until=until)
    if not days:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            """select e.business_day, count(distinct e.id), coalesce(sum(p.amount) filter (where p.amount > 0), 0)
               from wallet_journalentry e left join wallet_posting p on p.entry_id = e.id
               where e.business_day between %s and %s group by e.business_day""",
            [days[0], days[-1]],
        )
        figures = {day: (entries, moved) for day, entries, moved in cursor.fetchall()}
    return [OpenDay(day, *figures.get(day, (0, Decimal("0.00")))) for day in days]


def close_days(
    *, until: date, actor: Actor, progress: Callable[[DayClosing], None] | None = None
) -> list[DayClosing]:
    """Close every open business day up to `until`, oldest first, each in a transaction of its own.

    What is closed already stays as it is, so it can be run again, also by several at once. Raises DayNotOver when
    `until` has not ended, and BooksInUse while history is being written (see `being_written`).
    """
    if until > closable_until():
        raise DayNotOver(day=until)
    done = []
    for day in days_to_close(until=until):
        closing = _close(day, actor)
        if closing is not None:
            done.append(closing)
            if progress is not None:
                progress(closing)
    return done


def _close(day: date, actor: Actor) -> DayClosing | None:
    """Close one day; None when another closed it at the same moment."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext(%s))", [f"{current_schema()}:closing"])
        before = DayClosing.objects.order_by("-day").first()
        if before is not None and before.day >= day:
            return None
        cursor.execute("select pg_try_advisory_xact_lock(hashtext(%s))", [_writing()])
        if not cursor.fetchone()[0]:
            raise BooksInUse
        if before is None:
            # Earlier days than the first that has entries become closed too: nobody may be posting there either.
            cursor.execute("lock table wallet_journalentry in share mode")
        cursor.execute(
            "select pg_advisory_xact_lock(hashtext(%s), %s::date - date '2000-01-01')",
            [f"{current_schema()}:books", day],
        )
        if before is None and days_to_close(until=day)[:1] != [day]:
            return None  # an older entry came in between: the next run begins there
        values: dict[str, Any] = {
            "day": day,
            "before": before.day if before else None,
            "previous": before.digest if before else "",
            "at": now(),
            "by": f"{actor.kind} {actor.name or actor.id}".strip()[:100],
        }
        cursor.execute(SUM_ACCOUNTS, values)
        cursor.execute(SUM_KINDS, values)
        cursor.execute(CLOSE, values)
        closing = DayClosing.objects.get(pk=cursor.fetchone()[0])
        changes = {"entries": [None, closing.entries], "digest": [None, closing.digest]}
        audit.record(actor, "wallet.dayclosing_closed", closing, changes=changes)
    log.info("day_closed", day=str(day), entries=closing.entries, digest=closing.digest)
    return closing


@contextmanager
def being_written() -> Iterator[None]:
    """While history is written into past days, nobody closes them: `close_days` raises BooksInUse."""
    name = _writing()
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock_shared(hashtext(%s))", [name])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_unlock_shared(hashtext(%s))", [name])


def _writing() -> str:
    return f"{current_schema()}:writing"
