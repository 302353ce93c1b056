"""Energy that nobody pays for: a gun that delivers without a live order, or a meter that went on between two records.

What a gun says is judged by pure rules (`judge`, `meter_step`); `watch_unbilled` looks at the last words of all guns
every few seconds, `records_worked_off` at the meter of each record. What is found is an alarm with its figures, and a
stop where the tenant wants it (`Tenant.stops_unbilled_energy`). So that nobody is accused wrongly:

- the gun has to say so in more than GRACE_REPORTS reports in a row: orders follow a moment behind;
- nothing is said of a pile within SETTLED_IN of its login: what it stored meanwhile comes first;
- a charge that began while the pile was offline is taken to be one by card that comes as a record (start mode 04):
  it is not stopped, unless `Tenant.stops_offline_sessions` says so, and no alarm where the pile holds such cards.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import structlog
from django.core.cache import cache
from django.db import connection
from django.db.models import F, Q, QuerySet

from apps.common.ids import SYSTEM
from apps.common.queue import enqueue
from apps.common.schema import current_schema
from apps.common.time import now
from apps.orders import tasks
from apps.orders.enums import LIVE, OrderState, StopReason
from apps.orders.models import Order, ParallelLeg, TransactionRecord
from apps.piles import gateway
from apps.piles.commands import StopCharge
from apps.piles.enums import AlarmKind, CardOnPile, ConnectorState
from apps.piles.models import ConnectorStatus, OfflineCard, Pile
from apps.piles.services import close_alarms, raise_alarm
from apps.tenancy.selectors import tenant_of_schema

log = structlog.get_logger(__name__)

GRACE_REPORTS = 2
SAY_AGAIN_REPORTS = 4
"""An alarm is renewed, and a stop repeated, every so many reports while the gun goes on."""
SETTLED_IN = timedelta(minutes=1)
FRESH = timedelta(minutes=2)
"""A last word that is older says nothing about now."""
REMEMBERED_S = 300
AT_ONCE = 200
"""Guns that are looked at together: a worker's memory does not grow with the number that charge."""
MIN_CURRENT_A = Decimal("1.0")
METER_EXACT_KWH = Decimal("1.0")
STANDBY_KW = Decimal("0.1")
"""A gun's meter may count what the pile itself uses between two charges."""
OFFLINE_RECORDS_WITHIN = timedelta(minutes=10)
"""A pile that came back sends the records it stored, in any order."""
NEIGHBOURS = 200
NO_NUMBER = {"", "0" * 32}


class Case(StrEnum):
    """What a delivering gun is found to be."""

    BILLED = "billed"
    NO_ORDER = "no_order"
    OTHER_ORDER = "other_order"
    ENDED = "ended"
    OFFLINE_SESSION = "offline_session"


@dataclass(frozen=True, slots=True)
class GunFacts:
    """A delivering gun's last word (energy kWh), and what is known beside it.

    `order_state` is that of the order with this transaction number on this gun, None where there is none;
    `has_live_order` whether another order of the gun is under way.
    """

    transaction_no: str
    reported_at: datetime
    charge_minutes: int
    last_login_at: datetime | None
    order_state: OrderState | None
    has_live_order: bool


def judge(gun: GunFacts) -> Case:
    """Say whether what a gun delivers is paid for."""
    if gun.order_state is not None:
        return Case.BILLED if gun.order_state in LIVE | {OrderState.SETTLING} else Case.ENDED
    if gun.transaction_no in NO_NUMBER:
        return Case.BILLED if gun.has_live_order else Case.NO_ORDER
    if gun.has_live_order:
        return Case.OTHER_ORDER
    began_at = gun.reported_at - timedelta(minutes=gun.charge_minutes)
    if gun.last_login_at is not None and gun.charge_minutes and began_at < gun.last_login_at:
        return Case.OFFLINE_SESSION
    return Case.NO_ORDER


@dataclass(frozen=True, slots=True)
class Reading:
    """The meter of a gun at the begin and the end of a charge, kWh."""

    transaction_no: str
    connector_no: str
    start_time: datetime
    end_time: datetime
    meter_start: Decimal
    meter_end: Decimal


def meter_step(before: Reading, after: Reading, others: Iterable[Reading] = ()) -> Decimal | None:
    """Return the kWh that a gun's meter went on between two charges with none in between; None for nothing to say of.

    Meters that begin anew with each charge, or that are not there, say nothing; nor does one that the other guns of
    the pile (`others`) share, whose readings lie in between.
    """
    step = after.meter_start - before.meter_end
    idle_hours = Decimal(max(0, int((after.start_time - before.end_time).total_seconds()))) / 3600
    if step <= METER_EXACT_KWH + STANDBY_KW * idle_hours or not before.meter_end:
        return None
    shared = any(
        before.meter_end < reading < after.meter_start
        for other in others
        if other.connector_no != after.connector_no
        for reading in (other.meter_start, other.meter_end)
    )
    return None if shared else step


# --- Guns -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sighting:
    """Since when a gun delivers unpaid, under which number, and how often it said so."""

    transaction_no: str
    first_kwh: Decimal
    reported_at: datetime
    reports: int


def watch_unbilled(*, at: datetime | None = None) -> int:
    """Look at every gun that delivers. Returns how many alarms were raised or renewed."""
    moment = at or now()
    delivering = (
        ConnectorStatus.objects.filter(
            Q(state=ConnectorState.CHARGING) | Q(current_a__gt=MIN_CURRENT_A),
            connector__pile__is_online=True,
            reported_at__gte=moment - FRESH,
        )
        .exclude(state=ConnectorState.OFFLINE)
        .select_related("connector__pile")
    )
    guns = sorted(delivering.values_list("pk", flat=True))
    suspects = [
        (status, case, order)
        for first in range(0, len(guns), AT_ONCE)
        for status, case, order in _judged(delivering.filter(pk__in=guns[first : first + AT_ONCE]))
        if case != Case.BILLED and not _just_came(status.connector.pile, moment)
    ]
    if not suspects:
        return 0
    keys = {status.pk: f"unbilled:{status.pk}" for status, _, _ in suspects}
    known: dict[str, Sighting] = cache.get_many(keys.values())
    seen = {}
    raised = 0
    for status, case, order in suspects:
        before = known.get(keys[status.pk])
        sighting = seen[keys[status.pk]] = _next(before, status)
        news = before is None or sighting.reports > before.reports
        late = sighting.reports - GRACE_REPORTS - 1
        if news and late >= 0 and late % SAY_AGAIN_REPORTS == 0:
            raised += _found(status, case, order, sighting)
    cache.set_many(seen, REMEMBERED_S)
    return raised


def note_report(*, connector_code: str, transaction_no: str) -> None:
    """A gun said that it began to charge for nobody's order: the first report to count.

    Called as soon as the change is known, so that the watch need not find it.
    """
    status = ConnectorStatus.objects.filter(
        connector__code=connector_code, transaction_no=transaction_no, reported_at__isnull=False
    ).first()
    if status is not None:
        cache.add(f"unbilled:{status.pk}", _next(None, status), REMEMBERED_S)


def _next(before: Sighting | None, status: ConnectorStatus) -> Sighting:
    assert status.reported_at is not None
    if before is None or before.transaction_no != status.transaction_no:
        return Sighting(status.transaction_no, status.energy_kwh, status.reported_at, 1)
    again = status.reported_at > before.reported_at
    return Sighting(
        status.transaction_no, before.first_kwh, status.reported_at, before.reports + (1 if again else 0)
    )


def _just_came(pile: Pile, moment: datetime) -> bool:
    return pile.last_login_at is not None and moment - pile.last_login_at < SETTLED_IN


def _judged(statuses: QuerySet[ConnectorStatus]) -> list[tuple[ConnectorStatus, Case, Order | None]]:
    """Judge guns by their last words, in four queries."""
    numbers = {status.transaction_no for status in statuses} - NO_NUMBER
    guns = {status.pk for status in statuses}
    found = Order.objects.only("order_no", "transaction_no", "connector_id", "state", "energy_kwh")
    orders = {(row.transaction_no, row.connector_id): row for row in found.filter(transaction_no__in=numbers)}
    legs = ParallelLeg.objects.select_related("order").filter(
        Q(transaction_no__in=numbers) | Q(connector_id__in=guns, is_live=True)
    )
    live = set(
        Order.objects.filter(connector_id__in=guns, state__in=LIVE).values_list("connector_id", flat=True)
    )
    for leg in legs:
        orders[(leg.transaction_no, leg.connector_id)] = leg.order
        if leg.is_live:
            live.add(leg.connector_id)
    judged = []
    for status in statuses:
        order = orders.get((status.transaction_no, status.pk))
        facts = GunFacts(
            transaction_no=status.transaction_no,
            reported_at=status.reported_at,  # type: ignore[arg-type]
            charge_minutes=status.charge_minutes,
            last_login_at=status.connector.pile.last_login_at,
            order_state=OrderState(order.state) if order else None,
            has_live_order=status.pk in live,
        )
        judged.append((status, judge(facts), order))
    return judged


def _found(status: ConnectorStatus, case: Case, order: Order | None, sighting: Sighting) -> bool:
    """Raise the alarm, and stop the gun where the tenant wants it. False for a charge by offline card."""
    connector, pile = status.connector, status.connector.pile
    tenant = tenant_of_schema(current_schema())
    stops = tenant.stops_unbilled_energy
    if case == Case.OFFLINE_SESSION:
        stops = stops and tenant.stops_offline_sessions
        expected = OfflineCard.objects.filter(pile=pile, state=CardOnPile.STORED).exists()
        if expected and not stops:
            return False
    paid_kwh = order.energy_kwh if order is not None and order.state == OrderState.COMPLETED else Decimal(0)
    figures = {
        "case": case.value,
        "unpaid_kwh": str(max(Decimal(0), status.energy_kwh - paid_kwh)),
        "energy_kwh": str(status.energy_kwh),
        "power_kw": f"{status.power_kw:.1f}",
        "minutes": str(status.charge_minutes),
        "stopped": str(stops),
    }
    if order is not None:
        figures |= {"order": order.order_no, "order_state": order.state}
    raise_alarm(
        kind=AlarmKind.UNBILLED_ENERGY,
        pile_code=pile.pile_code,
        connector_no=connector.connector_no,
        subject=status.transaction_no,
        detail=figures,
    )
    log.warning(
        "unbilled_energy", connector_code=connector.code, transaction_no=status.transaction_no, **figures
    )
    if stops:
        command = StopCharge(connector_no=connector.connector_no, transaction_no=status.transaction_no)
        gateway.send(pile=pile, command=command, actor=SYSTEM, reason=StopReason.UNBILLED)
    return True


# --- Meters -----------------------------------------------------------------------------------------------


def records_worked_off(*, record_ids: Sequence[int], at: datetime | None = None) -> None:
    """Records were settled or put into quarantine: check their meters, later where a pile may bring more records."""
    records = TransactionRecord.objects.filter(pk__in=record_ids)
    piles = dict(records.values_list("pk", "pile_code"))
    known = Pile.objects.filter(pile_code__in=set(piles.values()))
    logins = dict(known.values_list("pile_code", "last_login_at"))
    due, later = [], []
    for record_id, pile_code in sorted(piles.items()):
        if pile_code not in logins:
            continue
        login = logins[pile_code]
        is_early = login is not None and (at or now()) - login < OFFLINE_RECORDS_WITHIN
        (later if is_early else due).append(record_id)
    if later:
        # One message for all: workers keep what is due later in memory. With the broker away the nightly comparison of
        # energy finds a step of the meter.
        enqueue(tasks.check_meter, *later, countdown=int(OFFLINE_RECORDS_WITHIN.total_seconds()))
    check_meters(record_ids=due)


def check_meters(*, record_ids: Sequence[int]) -> None:
    """Raise an alarm for a meter that went on before or after a record's charge; close one that the record explains.

    An alarm's subject is the transaction number behind the gap.
    """
    # What another pile says of this one does not count.
    records = list(
        TransactionRecord.objects.filter(pk__in=record_ids, connection_pile_code=F("pile_code"))
        .order_by("id")
        .values_list("pile_code", "connector_no", "transaction_no")
    )
    readings = _readings({pile_code for pile_code, _, _ in records})
    explained: set[tuple[str, str, str]] = set()
    for pile_code, connector_no, transaction_no in records:
        of_pile = readings.get(pile_code, [])
        mine = sorted(
            (reading for reading in of_pile if reading.connector_no == connector_no),
            key=lambda reading: (reading.start_time, reading.end_time),
        )
        place = next((i for i, reading in enumerate(mine) if reading.transaction_no == transaction_no), None)
        if place is None:
            continue
        pairs = zip(mine[max(0, place - 1) : place + 1], mine[place or 1 : place + 2], strict=False)
        for before, after in pairs:
            step = meter_step(before, after, of_pile)
            if step is None:
                explained.add((pile_code, after.connector_no, after.transaction_no))
            else:
                _went_on(pile_code, before, after, step)
    close_alarms(kind=AlarmKind.UNBILLED_ENERGY, places=explained)


def _went_on(pile_code: str, before: Reading, after: Reading, step: Decimal) -> None:
    figures = {
        "case": "meter_step",
        "unpaid_kwh": str(step),
        "meter_before": str(before.meter_end),
        "meter_after": str(after.meter_start),
        "record_before": before.transaction_no,
    }
    raise_alarm(
        kind=AlarmKind.UNBILLED_ENERGY,
        pile_code=pile_code,
        connector_no=after.connector_no,
        subject=after.transaction_no,
        detail=figures,
    )
    log.warning("unbilled_energy", pile_code=pile_code, transaction_no=after.transaction_no, **figures)


def _readings(pile_codes: Collection[str]) -> dict[str, list[Reading]]:
    """Return the meters of each pile's latest charges; of records that differ the first counts."""
    found: dict[str, dict[tuple[str, str], Reading]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pile_code, transaction_no, connector_no, received_at, start_time, end_time, meter_start, meter_end
              FROM unnest(%s::text[]) AS pile (code) CROSS JOIN LATERAL (
                   SELECT id, pile_code, transaction_no, connector_no, received_at,
                          report ->> 'start_time' AS start_time, report ->> 'end_time' AS end_time,
                          report ->> 'meter_start' AS meter_start, report ->> 'meter_end' AS meter_end
                     FROM orders_transactionrecord
                    WHERE pile_code = pile.code AND connection_pile_code = pile.code AND report IS NOT NULL
                    ORDER BY id DESC LIMIT %s) AS record
             ORDER BY id DESC
            """,
            [sorted(pile_codes), NEIGHBOURS],
        )
        for pile_code, number, connector_no, received_at, start, end, meter_start, meter_end in cursor:
            if meter_start is None or meter_end is None:
                continue  # a report that nobody can read
            found.setdefault(pile_code, {})[number, connector_no] = Reading(
                transaction_no=number,
                connector_no=connector_no,
                start_time=datetime.fromisoformat(start) if start else received_at,
                end_time=datetime.fromisoformat(end) if end else received_at,
                meter_start=Decimal(meter_start),
                meter_end=Decimal(meter_end),
            )
    return {pile_code: list(readings.values()) for pile_code, readings in found.items()}
