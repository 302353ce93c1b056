"""The daily comparison of what piles say they delivered with what was billed (docs/reconciliation.md).

A run gathers one business day in a handful of queries, whatever the number of charges, compares each charge with
`energy.compare` and each pair of neighbouring records with `unbilled.meter_step`, and stores a row per pile with its
differences. It may be repeated at any time: late records, matched records and corrected bills clear what they explain.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import structlog
from django.db import connection, transaction
from django.db.models import F

from apps.common.differences import DifferenceState, Found, keep
from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.common.time import business_day, day_bounds, now
from apps.orders.audit import Rules
from apps.orders.energy import NOTHING, GunCharge, compare
from apps.orders.enums import EnergyDifferenceKind as Kind
from apps.orders.enums import OrderState, RecordState
from apps.orders.errors import DayNotOver, DifferenceDecided
from apps.orders.models import EnergyDay, EnergyDifference, Order
from apps.orders.selectors import billing_policy
from apps.orders.unbilled import Reading, meter_step
from apps.piles.models import Connector, Pile, TelemetryKind

log = structlog.get_logger(__name__)

AGAIN_DAYS = 14
"""So long a day with open differences is compared anew every night."""
LATE = timedelta(hours=1)
ZERO = Decimal("0.0000")
_LOCK = 7_203_412  # any number that no other advisory lock of ours has


@dataclass(frozen=True, slots=True)
class EnergyRun:
    """What a run found: piles with charges, charges, differences, and how many of those are undecided."""

    day: date
    piles: int
    charges: int
    differences: int
    undecided: int


@dataclass
class _PileDay:
    pile_id: int
    charges: int = 0
    recorded: Decimal = ZERO
    billed: Decimal = ZERO
    metered: Decimal = ZERO
    gap: Decimal = ZERO
    sampled: Decimal = ZERO
    found: list[Found] = field(default_factory=list)


class _Row(NamedTuple):
    """A record with the few fields of its report that are compared."""

    id: int
    transaction_no: str
    pile_code: str
    connector_no: str
    connection_pile_code: str
    received_at: datetime
    state: str
    reason: str
    order_id: int | None
    decided_by: str
    decision: str
    total: Decimal
    total_loss: Decimal
    meter_start: Decimal
    meter_end: Decimal
    start_time: str | None
    end_time: str | None

    @property
    def gun(self) -> tuple[str, str]:
        return self.pile_code, self.connector_no

    def reading(self) -> Reading:
        return Reading(
            transaction_no=self.transaction_no,
            connector_no=self.connector_no,
            start_time=_time(self.start_time) or self.received_at,
            end_time=_time(self.end_time) or self.received_at,
            meter_start=self.meter_start,
            meter_end=self.meter_end,
        )


_COLUMNS = """r.id, r.transaction_no, r.pile_code, r.connector_no, r.connection_pile_code, r.received_at, r.state,
    r.reason, r.order_id, r.decided_by, r.decision, (r.report->>'total_energy_kwh')::numeric,
    (r.report->>'total_loss_energy_kwh')::numeric, (r.report->>'meter_start')::numeric,
    (r.report->>'meter_end')::numeric, r.report->>'start_time', r.report->>'end_time'"""
_OF_DAY = f"""SELECT {_COLUMNS} FROM orders_transactionrecord r
 WHERE r.received_at >= %(start)s AND r.received_at < %(end)s AND jsonb_typeof(r.report) = 'object' ORDER BY r.id"""  # noqa: S608 - the text above
_OF_OTHER_DAYS = f"""SELECT {_COLUMNS} FROM orders_transactionrecord r
 WHERE r.order_id = ANY(%(orders)s) AND (r.received_at < %(start)s OR r.received_at >= %(end)s)
   AND jsonb_typeof(r.report) = 'object' ORDER BY r.id"""  # noqa: S608
_BEFORE = f"""SELECT {_COLUMNS}
  FROM unnest(%(piles)s::text[], %(guns)s::text[], %(ids)s::bigint[]) AS gun (pile_code, connector_no, first_id)
 CROSS JOIN LATERAL (SELECT * FROM orders_transactionrecord
       WHERE pile_code = gun.pile_code AND connector_no = gun.connector_no AND id < gun.first_id
         AND connection_pile_code = pile_code AND jsonb_typeof(report) = 'object' ORDER BY id DESC LIMIT 1) r"""  # noqa: S608
_BETWEEN = f"""SELECT {_COLUMNS}, gap.place
  FROM unnest(%(places)s::int[], %(piles)s::text[], %(guns)s::text[], %(low)s::numeric[], %(high)s::numeric[])
       AS gap (place, pile_code, connector_no, low, high)
  JOIN orders_transactionrecord r ON r.pile_code = gap.pile_code AND r.connector_no = gap.connector_no
   AND r.connection_pile_code = r.pile_code AND jsonb_typeof(r.report) = 'object'
 WHERE (r.report->>'meter_start')::numeric >= gap.low AND (r.report->>'meter_end')::numeric <= gap.high
   AND (r.report->>'meter_end')::numeric > (r.report->>'meter_start')::numeric"""  # noqa: S608
_SAMPLED = """SELECT transaction_no, connector_id, max(energy_kwh), max(at) FROM piles_telemetry
 WHERE transaction_no = ANY(%(numbers)s) AND kind = %(kind)s AND at >= %(start)s AND at < %(end)s
 GROUP BY transaction_no, connector_id"""


def reconcile_energy(*, day: date, at: datetime | None = None, dry_run: bool = False) -> EnergyRun:
    """Compare one business day that is over, store what was found, and return it in figures.

    `dry_run` stores nothing: the figures are those that a run would leave if nobody had decided anything. Raises
    DayNotOver.
    """
    moment = at or now()
    if day >= business_day(moment):
        raise DayNotOver(day=str(day))
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, f"{current_schema()} {day}"]
            )
        days = _gather(day)
        differences = sum(len(one.found) for one in days)
        undecided = sum(not item.decided_by for one in days for item in one.found)
        if not dry_run:
            undecided = sum(_store(one, day, moment) for one in days)
            undecided += _store_rest(days, day, moment)
    run = EnergyRun(day, len(days), sum(one.charges for one in days), differences, undecided)
    log.info("energy_reconciled", day=str(day), piles=run.piles, differences=run.differences, dry_run=dry_run)
    return run


def reconcile_energy_nightly(*, at: datetime | None = None) -> list[EnergyRun]:
    """Compare yesterday, and again the days before that have open differences."""
    moment = at or now()
    yesterday = business_day(moment) - timedelta(days=1)
    since = yesterday - timedelta(days=AGAIN_DAYS)
    again = EnergyDay.objects.filter(day__gte=since, day__lt=yesterday, differences_open__gt=0)
    days = {*again.order_by().values_list("day", flat=True).distinct(), yesterday}
    return [reconcile_energy(day=day, at=moment) for day in sorted(days)]


def resolve_energy(
    *, difference_id: int, reason: str, actor: Actor, at: datetime | None = None
) -> EnergyDifference:
    """Close a difference with a reason; it opens again when a later run finds other figures.

    Raises DifferenceDecided.
    """
    with transaction.atomic():
        found = EnergyDifference.objects.get(pk=difference_id)
        EnergyDay.objects.select_for_update().get(pk=found.energy_day_id)
        difference = EnergyDifference.objects.select_for_update().get(pk=difference_id)
        if difference.state != DifferenceState.OPEN:
            raise DifferenceDecided
        difference.close(reason=reason, by=actor.name, at=at or now())
        difference.save()
        EnergyDay.objects.filter(pk=found.energy_day_id).update(differences_open=F("differences_open") - 1)
    log.info("energy_difference_resolved", difference_id=difference_id, by=actor.name)
    return difference


# --- Gathering --------------------------------------------------------------------------------------------


def _gather(day: date) -> list[_PileDay]:
    start, end = day_bounds(day)
    rows = _query(_OF_DAY, {"start": start, "end": end})
    lost = _without_record(start, end)
    orders = {
        order.pk: order
        for order in Order.objects.filter(pk__in={row.order_id for row in rows if row.order_id})
        .only("energy_kwh")
        .prefetch_related("legs")
    }
    codes = {row.pile_code for row in rows} | {row.connection_pile_code for row in rows}
    piles = dict(Pile.objects.filter(pile_code__in=codes).values_list("pile_code", "pk"))
    guns = {
        connector.pk: connector
        for connector in Connector.objects.filter(pile__pile_code__in=codes).select_related("pile")
    }
    by_code = {(gun.pile.pile_code, gun.connector_no): gun for gun in guns.values()}
    numbers = {row.transaction_no for row in rows} | {order.transaction_no for order in lost}
    sampled = _sampled(numbers, start, end)
    days: dict[int, _PileDay] = {}
    several = [pk for pk, order in orders.items() if order.legs.all()]
    elsewhere = _query(_OF_OTHER_DAYS, {"orders": several, "start": start, "end": end}) if several else []
    billed = _billed([*rows, *elsewhere], orders)
    rules = billing_policy().rules()
    seen: set[tuple[str, str, str]] = set()
    for row in rows:
        pile_id = piles.get(row.pile_code) or piles.get(row.connection_pile_code)
        if pile_id is None:
            log.warning("energy_of_unknown_pile", record_id=row.id, pile_code=row.pile_code)
            continue
        gun = by_code.get(row.gun)
        first = (*row.gun, row.transaction_no) not in seen
        seen.add((*row.gun, row.transaction_no))
        one = days.setdefault(pile_id, _PileDay(pile_id))
        words = sampled.get((row.transaction_no, gun.pk)) if gun and first else None
        charge = GunCharge(
            billed=billed.get(row.id),
            recorded=row.total,
            recorded_loss=row.total_loss,
            meter_start=row.meter_start,
            meter_end=row.meter_end,
            sampled=words[0] if words else None,
            sampled_at=words[1] if words else None,
            ended_at=_time(row.end_time),
            power_kw=gun.power_kw if gun else ZERO,
        )
        if first and row.connection_pile_code == row.pile_code:
            one.charges += 1
            one.recorded += row.total
            one.billed += charge.billed or ZERO
            one.metered += charge.metered or ZERO
            one.sampled += charge.sampled or ZERO
        one.found += _found_about(row, charge, rules)
    for order in lost:
        _add_lost(order, sampled, days)
    _add_steps([row for row in rows if row.connection_pile_code == row.pile_code], piles, days)
    return list(days.values())


def _found_about(row: _Row, charge: GunCharge, rules: Rules) -> Iterable[Found]:
    for item in compare(charge, rules):
        decided = item.kind == Kind.UNBILLED_RECORD and row.state == RecordState.REJECTED
        facts = dict(item.facts)
        if item.kind == Kind.UNBILLED_RECORD:
            facts |= {"record_state": row.state, "reason": row.reason}
        yield _found(
            item.kind,
            f"record:{row.id}" if item.kind == Kind.UNBILLED_RECORD else row.transaction_no,
            ours=item.ours,
            theirs=item.theirs,
            facts=facts,
            connector_no=row.connector_no,
            transaction_no=row.transaction_no,
            order_id=row.order_id,
            decided_by=row.decided_by if decided else "",
            decision=row.decision if decided else "",
        )


def _found(
    kind: Kind,
    subject: str,
    *,
    ours: Decimal,
    theirs: Decimal,
    facts: Mapping[str, str],
    connector_no: str,
    transaction_no: str,
    order_id: int | None,
    decided_by: str = "",
    decision: str = "",
) -> Found:
    ours, theirs = (value.quantize(ZERO) for value in (ours, theirs))
    return Found(
        kind=kind.value,
        subject=subject,
        figures={**facts, "ours": str(ours), "theirs": str(theirs)},
        columns={
            "connector_no": connector_no,
            "transaction_no": transaction_no,
            "order_id": order_id,
            "ours_kwh": ours,
            "theirs_kwh": theirs,
        },
        decided_by=decided_by,
        decision=decision,
    )


def _without_record(start: datetime, end: datetime) -> list[Order]:
    """Orders of a day that are over without a record; whether energy flowed is for telemetry to say."""
    over = (OrderState.ABNORMAL, OrderState.FAILED, OrderState.COMPLETED)
    return list(
        Order.objects.filter(state__in=over, created_at__gte=start, created_at__lt=end, records__isnull=True)
        .select_related("connector")
        # Without the tariffs, which are most of a row: a day may have many.
        .only(
            "transaction_no", "state", "energy_kwh", "connector", "connector__connector_no", "connector__pile"
        )
    )


def _add_lost(
    order: Order, sampled: Mapping[tuple[str, int], tuple[Decimal, datetime]], days: dict[int, _PileDay]
) -> None:
    words = sampled.get((order.transaction_no, order.connector_id))
    if words is None or words[0] <= NOTHING:
        return
    one = days.setdefault(order.connector.pile_id, _PileDay(order.connector.pile_id))
    one.charges += 1
    one.sampled += words[0]
    one.billed += order.energy_kwh
    one.found.append(
        _found(
            Kind.NO_RECORD,
            order.transaction_no,
            ours=order.energy_kwh,
            theirs=words[0],
            facts={"order_state": order.state, "last_report": words[1].isoformat()},
            connector_no=order.connector.connector_no,
            transaction_no=order.transaction_no,
            order_id=order.pk,
        )
    )


def _billed(rows: Sequence[_Row], orders: Mapping[int, Order]) -> dict[int, Decimal]:
    """What each settled record was billed with. Of a charge over several guns the further guns count as recorded."""
    of_order: defaultdict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.order_id and row.state == RecordState.SETTLED:
            of_order[row.order_id].append(row)
    billed = {}
    for order_id, parts in of_order.items():
        order = orders[order_id]
        further = {leg.transaction_no for leg in order.legs.all()}
        mains = [row for row in parts if row.transaction_no not in further] or parts[:1]
        rest = order.energy_kwh
        for row in parts:
            if row is not mains[0]:
                billed[row.id] = row.total
                rest -= row.total
        billed[mains[0].id] = rest
    return billed


def _sampled(
    numbers: set[str], start: datetime, end: datetime
) -> dict[tuple[str, int], tuple[Decimal, datetime]]:
    around = timedelta(days=2)
    with connection.cursor() as cursor:
        cursor.execute(
            _SAMPLED,
            {
                "numbers": sorted(numbers),
                "kind": TelemetryKind.REALTIME,
                "start": start - around,
                "end": end + around,
            },
        )
        return {
            (number, gun): (energy, last)
            for number, gun, energy, last in cursor.fetchall()
            if energy is not None
        }


# --- Meters -----------------------------------------------------------------------------------------------


def _add_steps(rows: Sequence[_Row], piles: Mapping[str, int], days: dict[int, _PileDay]) -> None:
    """Add the steps of meters between neighbouring records, less what records of other days explain."""
    firsts: dict[tuple[str, str], int] = {}
    for row in rows:
        firsts.setdefault(row.gun, row.id)
    before = _query(
        _BEFORE,
        {
            "piles": [pile for pile, _gun in firsts],
            "guns": [gun for _pile, gun in firsts],
            "ids": list(firsts.values()),
        },
    )
    of_pile: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in (*before, *rows):
        of_pile[row.pile_code].append(row)
    steps = [step for code, group in of_pile.items() if code in piles for step in _steps(group)]
    if not steps:
        return
    explained = _explained(steps)
    for place, (earlier, later, step) in enumerate(steps):
        left = step - explained[place]
        idle = later.meter_start - earlier.meter_end
        if left <= 0 or meter_step(_shortened(earlier, idle - left), later.reading()) is None:
            continue
        one = days.setdefault(piles[later.pile_code], _PileDay(piles[later.pile_code]))
        one.gap += left
        one.found.append(
            _found(
                Kind.METER_STEP,
                later.transaction_no,
                ours=ZERO,
                theirs=left,
                facts={
                    "meter_before": str(earlier.meter_end),
                    "meter_after": str(later.meter_start),
                    "record_before": earlier.transaction_no,
                },
                connector_no=later.connector_no,
                transaction_no=later.transaction_no,
                order_id=later.order_id,
            )
        )


def _steps(group: Sequence[_Row]) -> Iterable[tuple[_Row, _Row, Decimal]]:
    """Yield the neighbouring records of each gun of one pile between which its meter went on.

    Records that came late are no neighbours of those that came in time: their place is on another day.
    """
    readings = {(row.transaction_no, row.connector_no): row.reading() for row in group}
    by_gun: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in group:
        reading = readings[row.transaction_no, row.connector_no]
        if row.received_at - reading.end_time <= LATE:
            by_gun[row.connector_no].append(row)
    for rows in by_gun.values():
        first_of_number = {row.transaction_no: row for row in reversed(rows)}
        ordered = sorted(
            first_of_number.values(),
            key=lambda row: readings[row.transaction_no, row.connector_no].start_time,
        )
        for earlier, later in itertools.pairwise(ordered):
            step = meter_step(earlier.reading(), later.reading(), readings.values())
            if step is not None:
                yield earlier, later, step


def _shortened(row: _Row, by: Decimal) -> Reading:
    """A record's reading as if its meter had ended later: what other records explain is no step."""
    reading = row.reading()
    return Reading(
        transaction_no=reading.transaction_no,
        connector_no=reading.connector_no,
        start_time=reading.start_time,
        end_time=reading.end_time,
        meter_start=reading.meter_start,
        meter_end=reading.meter_end + by,
    )


def _explained(steps: Sequence[tuple[_Row, _Row, Decimal]]) -> dict[int, Decimal]:
    """Return for each step the kWh that other records of the same gun's meter account for."""
    explained: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)
    seen: set[tuple[int, str]] = set()
    with connection.cursor() as cursor:
        cursor.execute(
            _BETWEEN,
            {
                "places": list(range(len(steps))),
                "piles": [later.pile_code for _earlier, later, _step in steps],
                "guns": [later.connector_no for _earlier, later, _step in steps],
                "low": [earlier.meter_end for earlier, _later, _step in steps],
                "high": [later.meter_start for _earlier, later, _step in steps],
            },
        )
        for *columns, place in cursor.fetchall():
            row = _Row(*columns)
            if (place, row.transaction_no) not in seen:
                seen.add((place, row.transaction_no))
                explained[place] += row.meter_end - row.meter_start
    return explained


# --- Storing ----------------------------------------------------------------------------------------------


def _store(one: _PileDay, day: date, at: datetime) -> int:
    figures: dict[str, Any] = {
        "charges": one.charges,
        "recorded_kwh": one.recorded,
        "billed_kwh": one.billed,
        "metered_kwh": one.metered,
        "gap_kwh": one.gap,
        "sampled_kwh": one.sampled,
        "differences_found": len(one.found),
        "reconciled_at": at,
    }
    stored, _ = EnergyDay.objects.get_or_create(pile_id=one.pile_id, day=day, defaults=figures)
    EnergyDay.objects.select_for_update().get(pk=stored.pk)
    undecided = keep(EnergyDifference, {"energy_day_id": stored.pk}, one.found, at)
    EnergyDay.objects.filter(pk=stored.pk).update(**figures, differences_open=undecided, updated_at=at)
    return undecided


def _store_rest(days: Sequence[_PileDay], day: date, at: datetime) -> int:
    """Bring piles up to date that an earlier run had rows of and this one has not."""
    gone = EnergyDay.objects.filter(day=day).exclude(pile_id__in=[one.pile_id for one in days])
    return sum(_store(_PileDay(pile_id), day, at) for pile_id in gone.values_list("pile_id", flat=True))


def _query(query: str, parameters: Mapping[str, Any]) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return [_Row(*row) for row in cursor.fetchall()]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
