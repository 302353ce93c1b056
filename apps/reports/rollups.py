"""Rolling up: the orders, refunds and fees of a business day become a few rows, as often as one likes.

A day holds what was *booked* on it, and what is booked on a day that is over never changes. So only the running day is
rolled again and again, each other day once after its end, and any day by command; doing it twice changes nothing.
`differences` compares with the ledger, to the fen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Min

from apps.common.money import to_fen
from apps.common.schema import current_schema
from apps.common.time import business_day, day_bounds, now
from apps.orders.models import Order
from apps.reports.enums import Period
from apps.reports.models import FIGURES, RolledPeriod
from apps.wallet.models import JournalEntry

log = structlog.get_logger(__name__)

FINAL_AFTER = timedelta(minutes=10)
"""A day that was rolled so long after its end is done: transactions that began on it are over (wallet.books too)."""
MONTH_BEHIND = timedelta(days=3)
"""Months are summed up to here: charges of a night still add to the day before."""
LONGEST = "72 hours"
"""No charge counts as longer: a pile's clock may have jumped."""
OLDEST = "31 days"
"""Nothing is added to days that lie further back: no such record tells its time truly."""
AT_MOST_S = 200.0
"""So long one run of the task goes on with days that were never rolled."""

Progress = Callable[["Rolled"], None]


@dataclass(frozen=True, slots=True)
class Rolled:
    """A day that was rolled: how many orders and how many rows it has."""

    day: date
    orders: int
    rows: int


# --- What a day is made of --------------------------------------------------------------------------------

_KIND = """CASE WHEN o.source = 'partner' THEN 'partner' WHEN o.enterprise_id IS NOT NULL THEN 'enterprise'
    ELSE 'individual' END"""
_BEGAN = "coalesce(o.charging_at, o.started_at, o.created_at)"
_OF_ORDER = {
    "day": "%(day)s::date",
    "station_id": "o.station_id",
    "connector_id": "o.connector_id",
    "source": "o.source",
    "customer_kind": _KIND,
    "hour": f"extract(hour FROM {_BEGAN} AT TIME ZONE 'Asia/Shanghai')::smallint",
}
_KEYS = tuple(_OF_ORDER)


def _part(keys: dict[str, str], rest: str, **figures: str) -> str:
    """One source of figures as a SELECT: its keys, its figures, 0 for all others."""
    columns = [*keys.values(), *(figures.get(name, "0") for name in FIGURES)]
    return f"SELECT {', '.join(columns)} FROM {rest}"  # noqa: S608 - texts of this module


_SETTLED = (
    "orders_order o WHERE o.state = 'completed' AND o.settled_at >= %(start)s AND o.settled_at < %(end)s"
)
# A fee is shared out by what was paid from principal, to the fen by largest remainder (first orders win ties).
_SHARED = f"""(SELECT o.*, %(sign)s * (share + (row_number() OVER (ORDER BY rest DESC, id)
                     <= %(fee)s - sum(share) OVER ())::int) / 100.0 AS fee
     FROM (SELECT o.*, div(%(fee)s * paid_principal * 100, nullif(whole, 0)) AS share,
                  mod(%(fee)s * paid_principal * 100, nullif(whole, 0)) AS rest
             FROM (SELECT o.*, sum(paid_principal * 100) OVER () AS whole FROM {_SETTLED}) o) o) o"""  # noqa: S608
_SESSIONS = f"""
    sessions AS (
        SELECT s.station_id, s.connector_id, s.source, s.customer_kind, least(s.begins, s.settled_at) AS begins,
            least(s.ends, s.begins + interval '{LONGEST}', s.settled_at) AS ends
          FROM (SELECT o.station_id, o.connector_id, o.source, {_KIND} AS customer_kind, o.settled_at,
                    coalesce(o.charging_at, o.started_at) AS begins,
                    coalesce(o.charging_at, o.started_at) + (o.ended_at - o.started_at) AS ends
                  FROM {_SETTLED}
                 UNION ALL
                SELECT o.station_id, leg.connector_id, o.source, {_KIND}, o.settled_at,
                    coalesce(o.charging_at, o.started_at), leg.ended_at
                  FROM orders_parallelleg leg JOIN {_SETTLED.replace(" WHERE ", " ON o.id = leg.order_id WHERE ")}) s
         WHERE s.begins > %(start)s - interval '{OLDEST}' AND s.ends IS NOT NULL)"""  # noqa: S608
_PIECES = """(SELECT s.*, at AS hour_at, extract(epoch FROM least(s.ends, at + interval '1 hour')
        - greatest(s.begins, at))::bigint AS seconds
      FROM sessions s CROSS JOIN LATERAL generate_series(
           date_trunc('hour', s.begins), s.ends - interval '1 microsecond', interval '1 hour') AS at
     WHERE s.ends > s.begins) o"""
_OF_PIECE = {
    **_OF_ORDER,
    "day": "(o.hour_at AT TIME ZONE 'Asia/Shanghai')::date",
    "customer_kind": "o.customer_kind",
    "hour": "extract(hour FROM o.hour_at AT TIME ZONE 'Asia/Shanghai')::smallint",
}
_OF_GUN = {
    **_OF_ORDER,
    "station_id": "g.station_id",
    "connector_id": "g.connector_id",
    "source": "''",
    "customer_kind": "''",
    "hour": "NULL::smallint",
}
_JOURNAL = """wallet_journalentry e JOIN wallet_posting p ON p.entry_id = e.id
    JOIN wallet_account a ON a.id = p.account_id"""

_ORDERS = dict(
    orders="1",
    **{name: f"o.{name}" for name in FIGURES[FIGURES.index("energy_kwh") : FIGURES.index("debt") + 1]},
)
_REFUNDS = _part(
    _OF_ORDER,
    """wallet_journalentry e JOIN orders_orderrefund r ON r.refund_no = e.reference
       JOIN orders_order o ON o.id = r.order_id
      WHERE e.kind = 'order_refund' AND e.business_day = %(day)s""",
    refunded_electricity="r.electricity",
    refunded_service="r.service",
    refunded_principal="r.principal",
    refunded_bonus="r.bonus",
    refunded_enterprise="r.enterprise",
    refunded_debt="r.debt",
)
_RECOVERED = _part(
    _OF_ORDER,
    f"{_JOURNAL} JOIN orders_order o ON o.order_no = e.reference"
    " WHERE e.kind = 'debt_recovery' AND e.business_day = %(day)s",
    recovered_principal="CASE WHEN a.kind = 'customer_principal' THEN p.amount ELSE 0 END",
    recovered_bonus="CASE WHEN a.kind = 'customer_bonus' THEN p.amount ELSE 0 END",
)
_USED = _part(_OF_PIECE, _PIECES, charging_s="o.seconds")
_THERE = _part(_OF_GUN, "guns g", available_s="extract(epoch FROM g.ends - g.begins)::bigint")
_FEE_OF_NOBODY = _part(
    {**_OF_GUN, "station_id": "NULL::bigint", "connector_id": "NULL::bigint"},
    f"""(SELECT 1) nobody
      WHERE %(fee)s <> 0 AND coalesce((SELECT sum(o.paid_principal) FROM {_SETTLED}), 0) = 0""",  # noqa: S608
    channel_fee="%(sign)s * %(fee)s / 100.0",
)
_GUNS_NOW = """SELECT pile.station_id, gun.id AS connector_id, greatest(pile.created_at, %(start)s) AS begins,
        %(until)s::timestamptz AS ends
      FROM piles_connector gun JOIN piles_pile pile ON pile.id = gun.pile_id
     WHERE pile.state = 'in_service' AND pile.created_at < %(until)s"""
_GUNS_THEN = """SELECT station_id, connector_id, %(end)s - available_s * interval '1 second' AS begins,
        %(end)s::timestamptz AS ends
      FROM kept_guns"""
_KEEP_GUNS = """CREATE TEMPORARY TABLE kept_guns ON COMMIT DROP AS
    SELECT station_id, connector_id, available_s FROM reports_rollup
     WHERE period = 'day' AND rolled_day = %(day)s AND grain = 'gun' AND day = %(day)s AND available_s > 0"""
_SUMS = ", ".join(f"sum({name})" for name in FIGURES if name != "available_s")


def _roll(guns: str, *, fee: bool) -> str:
    """The statement that writes a day: every part, summed by each grain."""
    orders = _part(_OF_ORDER, _SHARED, **_ORDERS, channel_fee="coalesce(o.fee, 0)") if fee else _part(
        _OF_ORDER, _SETTLED, **_ORDERS
    )  # fmt: skip
    parts = [orders, _REFUNDS, _RECOVERED, _USED, _THERE, *([_FEE_OF_NOBODY] if fee else [])]
    return f"""
WITH guns AS ({guns}), {_SESSIONS},
part ({", ".join([*_KEYS, *FIGURES])}) AS ({" UNION ALL ".join(parts)})
INSERT INTO reports_rollup (period, grain, rolled_day, {", ".join([*_KEYS, *FIGURES])})
SELECT 'day', CASE WHEN grouping(source) = 0 THEN 'station' WHEN grouping(connector_id) = 0 THEN 'gun' ELSE 'hour' END,
       %(day)s, day, station_id, connector_id, coalesce(source, ''), coalesce(customer_kind, ''), hour, {_SUMS},
       CASE WHEN grouping(hour) = 0 THEN 0 ELSE sum(available_s) END
  FROM part
 GROUP BY day, station_id, GROUPING SETS ((source, customer_kind), (connector_id), (hour))
HAVING grouping(hour) = 1 OR hour IS NOT NULL OR sum(channel_fee) <> 0"""  # noqa: S608


_HOURS = """
WITH guns AS ({guns}),
there AS (SELECT station_id, begins, ends, count(*) AS guns FROM guns GROUP BY station_id, begins, ends)
INSERT INTO reports_rollup (period, grain, rolled_day, day, station_id, connector_id, hour, source, customer_kind,
    available_s, {figures})
SELECT 'day', 'hour', %(day)s, %(day)s, station_id, NULL,
       extract(hour FROM at AT TIME ZONE 'Asia/Shanghai')::smallint, '', '',
       sum(guns * extract(epoch FROM least(ends, at + interval '1 hour') - greatest(begins, at)))::bigint, {zeros}
  FROM there CROSS JOIN LATERAL generate_series(date_trunc('hour', begins), ends - interval '1 microsecond',
       interval '1 hour') AS at
 WHERE ends > begins GROUP BY station_id, at
    ON CONFLICT (period, rolled_day, grain, day, station_id, connector_id, hour, source, customer_kind)
    DO UPDATE SET available_s = excluded.available_s"""
_FEE = f"""SELECT coalesce(sum(p.amount), 0) FROM {_JOURNAL}
    WHERE e.kind = 'channel_fee' AND e.business_day = %(day)s AND a.kind = 'channel_fee'"""  # noqa: S608
# A month is read by its days until it is summed up again.
_FORGET_MONTHS = """DELETE FROM reports_rolledperiod month WHERE month.period = 'month' AND EXISTS (
    SELECT FROM reports_rollup r WHERE r.period = 'day' AND r.rolled_day = %(day)s
       AND r.day BETWEEN month.day AND month.through)"""
_ROLL_MONTH = f"""
INSERT INTO reports_rollup (period, rolled_day, day, grain, station_id, connector_id, hour, source, customer_kind,
    {", ".join(FIGURES)})
SELECT 'month', %(month)s, %(month)s, grain, station_id, connector_id, hour, source, customer_kind,
       {", ".join(f"sum({name})" for name in FIGURES)}
  FROM reports_rollup WHERE period = 'day' AND day BETWEEN %(month)s AND %(through)s
 GROUP BY grain, station_id, connector_id, hour, source, customer_kind"""  # noqa: S608


# --- Rolling ----------------------------------------------------------------------------------------------


def roll_day(day: date, *, at: datetime | None = None) -> Rolled:
    """Write the rows of what was booked on a business day anew, in one transaction; `at` is the present moment.

    How long guns were there is kept from the first rolling after the day's end: they may stand elsewhere by now.
    """
    moment = at or now()
    start, end = day_bounds(day)
    values: dict[str, Any] = {"day": day, "start": start, "end": end, "until": max(start, min(end, moment))}
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, "months", shared=True)
        _lock(cursor, str(day))
        before = RolledPeriod.objects.filter(period=Period.DAY, day=day).first()
        guns = _GUNS_NOW
        if before is not None and before.rolled_at >= end:
            cursor.execute(_KEEP_GUNS, values)
            guns = _GUNS_THEN
        cursor.execute(_FEE, values)
        fee = to_fen(cursor.fetchone()[0])
        values |= {"fee": abs(fee), "sign": 1 if fee > 0 else -1}
        cursor.execute(_FORGET_MONTHS, values)
        cursor.execute("DELETE FROM reports_rollup WHERE period = 'day' AND rolled_day = %(day)s", values)
        cursor.execute(_roll(guns, fee=bool(fee)), values)
        rows = cursor.rowcount
        others = [name for name in FIGURES if name != "available_s"]
        hours = _HOURS.format(guns=guns, figures=", ".join(others), zeros=", ".join("0" for _ in others))
        cursor.execute(hours, values)
        cursor.execute(_FORGET_MONTHS, values)
        cursor.execute(
            """SELECT coalesce(sum(orders), 0) FROM reports_rollup
                WHERE period = 'day' AND rolled_day = %(day)s AND grain = 'station'""",
            values,
        )
        orders = int(cursor.fetchone()[0])
        if guns is _GUNS_THEN:
            cursor.execute("DROP TABLE kept_guns")
        RolledPeriod.objects.update_or_create(
            period=Period.DAY, day=day, defaults={"through": day, "orders": orders, "rolled_at": moment}
        )
    return Rolled(day, orders, rows)


def roll_month(month: date, *, through: date, at: datetime | None = None) -> None:
    """Sum up the days of a month, `month` its first day, to `through`, in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        _lock(cursor, "months")
        cursor.execute("DELETE FROM reports_rollup WHERE period = 'month' AND rolled_day = %s", [month])
        cursor.execute(_ROLL_MONTH, {"month": month, "through": through})
        RolledPeriod.objects.update_or_create(
            period=Period.MONTH, day=month, defaults={"through": through, "rolled_at": at or now()}
        )


def roll(
    *, first: date, last: date, at: datetime | None = None, progress: Progress | None = None
) -> list[Rolled]:
    """Roll every business day from `first` to `last` (not beyond today), each in a transaction, then their months."""
    done = []
    for day in days(first, min(last, business_day(at or now()))):
        done.append(roll_day(day, at=at))
        if progress is not None:
            progress(done[-1])
    roll_due_months(at=at)
    return done


def roll_due(*, at: datetime | None = None) -> int:
    """Roll the running day, and each day that is over and was not rolled since; then months that need it.

    Stops after AT_MOST_S, and goes on in the next run. Returns how many days were rolled.
    """
    began = time.monotonic()
    moment = at or now()
    count = 0
    for day in due_days(at=moment):
        roll_day(day, at=at)
        count += 1
        if time.monotonic() - began > AT_MOST_S:
            log.info("rolling_goes_on_later", day=str(day), rolled=count)
            return count
    roll_due_months(at=moment)
    return count


def roll_what_differs(*, at: datetime | None = None) -> list[date]:
    """Roll what is due, then days into which history was written since: only a seeded demo has such. Returns those."""
    moment = at or now()
    for day in due_days(at=moment):
        roll_day(day, at=at)
    first = first_day()
    if first is None:
        return []
    found = sorted({one.day for one in differences(first=first, last=business_day(moment))})
    for day in found:
        roll_day(day, at=at)
    roll_due_months(at=moment)
    return found


def due_days(*, at: datetime) -> list[date]:
    """Return today, then the days that are over and not rolled since their end, oldest first."""
    today = business_day(at)
    first = first_day()
    if first is None:
        return []
    final = {
        row.day
        for row in RolledPeriod.objects.filter(period=Period.DAY)
        if row.rolled_at >= day_bounds(row.day)[1] + FINAL_AFTER
    }
    over = [day for day in days(first, today - timedelta(days=1)) if day not in final]
    return [today, *over]


def roll_due_months(*, at: datetime | None = None) -> list[date]:
    """Sum up months that no sum is there of, or one that ends long before it could."""
    first = RolledPeriod.objects.filter(period=Period.DAY).aggregate(first=Min("day"))["first"]
    if first is None:
        return []
    until = business_day(at or now()) - MONTH_BEHIND
    known = dict(RolledPeriod.objects.filter(period=Period.MONTH).values_list("day", "through"))
    done = []
    month = first.replace(day=1)
    while month <= until:
        after = (month + timedelta(days=31)).replace(day=1)
        through = min(after - timedelta(days=1), until)
        if known.get(month) != through:
            roll_month(month, through=through, at=at)
            done.append(month)
        month = after
    return done


def first_day() -> date | None:
    """Return the first business day on which anything was booked; None before that."""
    settled = Order.objects.aggregate(first=Min("settled_at"))["first"]
    booked = JournalEntry.objects.aggregate(first=Min("business_day"))["first"]
    found = [day for day in (business_day(settled) if settled else None, booked) if day]
    return min(found, default=None)


def days(first: date, last: date) -> Iterator[date]:
    """Each day from the first to the last."""
    for number in range((last - first).days + 1):
        yield first + timedelta(days=number)


def _lock(cursor: Any, name: str, *, shared: bool = False) -> None:
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    cursor.execute(f"SELECT {function}(hashtext(%s))", [f"{current_schema()}:rollup:{name}"])


# --- Proof ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of a day that is not what the ledger says, yuan (or orders)."""

    day: date
    figure: str
    rolled: Decimal
    ledger: Decimal


_DEBITS = {
    # What the ledger holds of each figure: kind of entry, kinds of account, sign.
    "electricity_fee": ("charge", ["revenue_electricity"], -1),
    "service_fee": ("charge", ["revenue_service"], -1),
    "enterprise_discount": ("charge", ["enterprise_discount"], 1),
    "coupon_discount": ("charge", ["coupon_discount"], 1),
    "paid_principal": ("charge", ["held_principal", "customer_principal"], 1),
    "paid_bonus": ("charge", ["held_bonus", "customer_bonus"], 1),
    "paid_enterprise": ("charge", ["enterprise_held", "enterprise_balance"], 1),
    "debt": ("charge", ["customer_debt"], 1),
    "recovered_principal": ("debt_recovery", ["customer_principal"], 1),
    "recovered_bonus": ("debt_recovery", ["customer_bonus"], 1),
    "refunded_electricity": ("order_refund", ["revenue_electricity"], 1),
    "refunded_service": ("order_refund", ["revenue_service"], 1),
    "refunded_principal": ("order_refund", ["customer_principal"], -1),
    "refunded_bonus": ("order_refund", ["customer_bonus"], -1),
    "refunded_enterprise": ("order_refund", ["enterprise_balance"], -1),
    "refunded_debt": ("order_refund", ["customer_debt"], -1),
    "channel_fee": ("channel_fee", ["channel_fee"], 1),
}
GRAINS = ("station", "gun", "hour")


def differences(*, first: date, last: date) -> list[Difference]:
    """Compare each grain's rows of the business days `first` to `last` with the ledger and the orders' number.

    Days that were never rolled are left out. An empty list is the proof.
    """
    rolled = set(
        RolledPeriod.objects.filter(period=Period.DAY, day__range=(first, last)).values_list("day", flat=True)
    )
    booked = _booked(first, last)
    found = []
    with connection.cursor() as cursor:
        names = [*_DEBITS, "orders", "energy_kwh"]
        sums = ", ".join(f"sum({name})" for name in names)
        cursor.execute(
            f"""SELECT rolled_day, grain, {sums} FROM reports_rollup
                 WHERE period = 'day' AND rolled_day BETWEEN %s AND %s GROUP BY rolled_day, grain""",  # noqa: S608
            [first, last],
        )
        ours = {(day, grain): dict(zip(names, sums, strict=True)) for day, grain, *sums in cursor.fetchall()}
    for day in sorted(rolled):
        for grain in GRAINS:
            for name in names:
                mine = Decimal(ours.get((day, grain), {}).get(name) or 0)
                theirs = booked.get((day, name), Decimal(0))
                if mine != theirs:
                    found.append(Difference(day, f"{name} ({grain})", mine, theirs))
    return found


def _booked(first: date, last: date) -> dict[tuple[date, str], Decimal]:
    start, _end = day_bounds(first)
    _start, end = day_bounds(last)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT e.business_day, e.kind, a.kind, sum(p.amount) FROM {_JOURNAL}
                 WHERE e.business_day BETWEEN %s AND %s
                   AND e.kind IN ('charge', 'debt_recovery', 'order_refund', 'channel_fee')
                 GROUP BY e.business_day, e.kind, a.kind""",  # noqa: S608
            [first, last],
        )
        sums = {(day, kind, account): amount for day, kind, account, amount in cursor.fetchall()}
        cursor.execute(
            """SELECT (settled_at AT TIME ZONE 'Asia/Shanghai')::date, count(*), sum(energy_kwh) FROM orders_order
                WHERE state = 'completed' AND settled_at >= %s AND settled_at < %s GROUP BY 1""",
            [start, end],
        )
        counts = cursor.fetchall()
    found: dict[tuple[date, str], Decimal] = {}
    for day in {day for day, _kind, _account in sums}:
        for name, (kind, accounts, sign) in _DEBITS.items():
            found[day, name] = sign * sum(
                (sums.get((day, kind, account), Decimal(0)) for account in accounts), Decimal(0)
            )
    for day, orders, energy in counts:
        found[day, "orders"], found[day, "energy_kwh"] = Decimal(orders), energy
    return found
