"""Every write to piles, their connectors and commands; alarms are raised and closed from here as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction

from apps.common.bulk import to_json
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles import fleet, signals
from apps.piles.alarms.raising import close_alarm, close_alarms, raise_alarm, raise_alarms
from apps.piles.alarms.rules import THRESHOLDS, Rules
from apps.piles.enums import AlarmKind, CommandKind, CommandState, ConnectorState, PileState
from apps.piles.errors import PileCodesTaken, PileCodeTaken
from apps.piles.models import Connector, GroundLock, NewDevice, Pile, PileCommand
from apps.piles.reports import ConnectorReport, LockReport
from apps.sites.models import Station
from apps.tenancy.errors import NewcomerGone
from apps.tenancy.services import claim_routes, drop_newcomer

log = structlog.get_logger(__name__)

__all__ = [
    "close_alarm",
    "close_alarms",
    "raise_alarm",
    "raise_alarms",
]

ROUTE_KIND = fleet.ROUTE_KIND
BATCH = 1_000
CLOCK_LIMIT = Decimal("999999999.9")
OPEN_COMMANDS = (CommandState.PENDING, CommandState.SENT)


def create_pile(
    *,
    station: Station,
    pile_code: str,
    kind: str,
    power_kw: Decimal,
    gun_count: int,
    actor: Actor,
    name: str = "",
    brand: str = "",
    model: str = "",
    protocol: str = "ykc",
) -> Pile:
    """Register one pile with its connectors "01" … and claim its code for this tenant.

    Raises PileCodeTaken when the code is registered here or with another tenant, LimitReached, InvalidInput for a
    code that is not 14 digits or a gun count outside 1 to 99.
    """
    row = fleet.NewPile(
        station, pile_code, kind, power_kw, gun_count, name=name, brand=brand, model=model, protocol=protocol
    )
    try:
        return fleet.register([row], actor=actor)[0]
    except PileCodesTaken as error:
        raise PileCodeTaken(pile_code=pile_code) from error


def create_piles(
    *,
    station: Station,
    first_code: str,
    count: int,
    gun_count: int,
    kind: str,
    power_kw: Decimal,
    actor: Actor,
) -> Iterator[int]:
    """Register `count` piles with consecutive codes, in batches; codes registered here already are passed over.

    Yields after each batch how many piles of it are new. Raises as `create_pile` does; batches yielded before stay.
    """
    fleet.check_code(first_code, gun_count)
    codes = fleet.consecutive(first_code, count)
    for start in range(0, count, BATCH):
        batch = codes[start : start + BATCH]
        with transaction.atomic():
            claim_routes(kind=ROUTE_KIND, keys=batch)
            known = set(Pile.objects.filter(pile_code__in=batch).values_list("pile_code", flat=True))
            rows = [
                fleet.NewPile(station, code, kind, power_kw, gun_count) for code in batch if code not in known
            ]
            fleet.register(rows, actor=actor)
        yield len(rows)


def approve_device(
    *,
    device: NewDevice,
    station: Station,
    kind: str,
    power_kw: Decimal,
    gun_count: int,
    pins_sim: bool,
    actor: Actor,
) -> Pile:
    """Register a first-seen pile that was offered to this tenant; it is let in when it dials again.

    `pins_sim`: only logins with the SIM card that it was seen with are let in. Raises NewcomerGone, and as
    `create_pile` does.
    """
    with transaction.atomic():
        seen = NewDevice.objects.select_for_update(of=["self"]).filter(pk=device.pk).first()
        if seen is None:
            raise NewcomerGone(key=device.key)
        pile = create_pile(
            station=station,
            pile_code=seen.key,
            kind=kind,
            power_kw=power_kw,
            gun_count=gun_count,
            actor=actor,
        )
        if pins_sim:
            pile.pinned_sim_no = seen.facts.get("sim_no", "")
            pile.save(update_fields=["pinned_sim_no", "updated_at"])
        drop_newcomer(kind=seen.kind, key=seen.key)
    return pile


def set_state(*, pile: Pile, state: PileState) -> str:
    """Take a pile into service or out of it. Returns the state before. A running charge goes on.

    Raises LimitReached when a retired one comes back and the tenant's package has no room for it.
    """
    with transaction.atomic():
        before = pile.state
        if before == PileState.RETIRED != state:
            fleet.check_room()
        pile.state = state
        pile.save(update_fields=["state", "updated_at"])
    return before


# --- What piles report ------------------------------------------------------------------------------------


def connectors_changed(*, reports: Sequence[ConnectorReport]) -> None:
    """Announce changes of connectors' states, and open or close their fault alarms.

    The states themselves are the status writer's; these carry what others act upon (orders: charging began or ended).
    After an outage thousands come at once: those without a fault cost one query in all.
    """
    faults = {(report.pile_code, report.connector_no): report for report in reports if _is_fault(report)}
    fine = [f"{report.pile_code}{report.connector_no}" for report in reports if not _is_fault(report)]
    with transaction.atomic():
        if fine:
            with connection.cursor() as cursor:
                cursor.execute(
                    """
                    UPDATE piles_alarm SET closed_at = %s
                     WHERE kind = %s AND closed_at IS NULL AND subject = ''
                       AND pile_code || connector_no = ANY (string_to_array(%s, ','))
                    """,
                    [now(), AlarmKind.PILE_FAULT.value, ",".join(fine)],
                )
        for _, report in sorted(
            faults.items()
        ):  # always in the same order: two gateways would deadlock otherwise
            raise_alarm(
                kind=AlarmKind.PILE_FAULT,
                pile_code=report.pile_code,
                connector_no=report.connector_no,
                detail={"fault_bits": f"0x{report.fault_bits:04X}"},
            )
        for report in reports:
            transaction.on_commit(partial(signals.connector_changed.send, sender=None, report=report))


def _is_fault(report: ConnectorReport) -> bool:
    return report.state == ConnectorState.FAULT


def dialect_learnt(*, pile_code: str, **columns: bool | str) -> None:
    """Keep how a pile showed that it speaks: five_prices, takes_qr, crc_order."""
    Pile.objects.filter(pile_code=pile_code).update(**columns, updated_at=now())
    log.info("dialect_learnt", pile_code=pile_code, **columns)


def parallel_seen(*, pile_code: str) -> None:
    """Keep that a pile charges one car over several guns: it asked for it (0xA1)."""
    piles = Pile.objects.filter(pile_code=pile_code, takes_parallel=False)
    if piles.update(takes_parallel=True, updated_at=now()):
        log.info("dialect_learnt", pile_code=pile_code, takes_parallel=True)


def locks_reported(reports: list[LockReport]) -> None:
    """Keep what ground locks say of themselves, the newest word of each, and open or close their alarms."""
    latest = {report.connector_id: report for report in reports}
    with transaction.atomic():
        known = Connector.objects.filter(pk__in=latest).values_list("pk", flat=True)
        # Always in the same order: two gateways would deadlock otherwise.
        kept = [latest[pk] for pk in sorted(known)]
        troubled = set(GroundLock.objects.filter(pk__in=latest, has_alarm=True).values_list("pk", flat=True))
        GroundLock.objects.bulk_create(
            [
                GroundLock(
                    connector_id=report.connector_id,
                    state=report.state,
                    is_occupied=report.is_occupied,
                    battery_percent=report.battery_percent,
                    has_alarm=bool(report.fault),
                    reported_at=report.reported_at,
                )
                for report in kept
            ],
            update_conflicts=True,
            unique_fields=["connector"],
            update_fields=["state", "is_occupied", "battery_percent", "has_alarm", "reported_at"],
        )
        for report in kept:
            place = {"pile_code": report.pile_code, "connector_no": report.connector_no}
            if report.fault:
                raise_alarm(kind=AlarmKind.LOCK_FAULT, detail={"fault": report.fault}, **place)
            elif report.connector_id in troubled:
                close_alarm(kind=AlarmKind.LOCK_FAULT, **place)


CLOCK_ALARM_S = THRESHOLDS[AlarmKind.CLOCK_DRIFT].usual
CLOCK_FLAG_S = 5


def clock_reported(*, pile_code: str, offset_s: Decimal, measured_at: datetime | None = None) -> None:
    """Keep how far a pile's clock is ahead (+) or behind (−), in seconds, as 0x55 or a record says, and since when.

    Beyond the threshold of its station's alarm rule (CLOCK_ALARM_S without one) an alarm is open until the clock is
    good again. An older measurement than the one that is kept changes nothing.
    """
    clocks_reported([(pile_code, offset_s, measured_at or now())])


def clocks_reported(measured: Sequence[tuple[str, Decimal, datetime]]) -> None:
    """Do for several piles (code, offset, moment) what `clock_reported` does; of one pile the newest counts."""
    newest = {
        pile_code: (offset_s.quantize(Decimal("0.1")), moment)
        for pile_code, offset_s, moment in sorted(measured, key=lambda one: one[2])
    }
    rows = [
        {"pile_code": pile_code, "kept": min(max(offset_s, -CLOCK_LIMIT), CLOCK_LIMIT), "moment": moment}
        for pile_code, (offset_s, moment) in newest.items()
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        # Locked always in the same order, as by `piles_seen`.
        cursor.execute(
            """
            UPDATE piles_pile SET clock_offset_s = new.kept, clock_measured_at = new.moment
              FROM (SELECT id, kept, moment FROM piles_pile JOIN jsonb_to_recordset(%s::jsonb)
                           AS given (pile_code text, kept numeric, moment timestamptz) USING (pile_code)
                     ORDER BY id FOR NO KEY UPDATE OF piles_pile) AS new
             WHERE piles_pile.id = new.id
               AND (piles_pile.clock_measured_at IS NULL OR piles_pile.clock_measured_at <= new.moment)
            RETURNING pile_code
            """,
            [to_json(rows)],
        )
        taken = sorted(pile_code for (pile_code,) in cursor.fetchall())
        limits = _clock_limits([pile_code for pile_code in taken if abs(newest[pile_code][0]) > CLOCK_FLAG_S])
        good = [
            pile_code
            for pile_code in taken
            if abs(newest[pile_code][0]) <= limits.get(pile_code, CLOCK_FLAG_S)
        ]
        close_alarms(kind=AlarmKind.CLOCK_DRIFT, places=[(pile_code, "", "") for pile_code in good])
        for pile_code in taken:
            offset_s = newest[pile_code][0]
            if pile_code not in good:
                detail = {"offset_s": f"{offset_s:+}"}
                raise_alarm(kind=AlarmKind.CLOCK_DRIFT, pile_code=pile_code, detail=detail)


def _clock_limits(pile_codes: Sequence[str]) -> dict[str, int]:
    """Return {pile code: seconds from which its clock is an alarm}; nothing is asked for clocks that are right."""
    if not pile_codes:
        return {}
    rules = Rules.load()
    stations = Pile.objects.filter(pile_code__in=pile_codes).values_list("pile_code", "station_id")
    return {code: rules.of(AlarmKind.CLOCK_DRIFT, station).threshold for code, station in stations}


def piles_seen(ids: Sequence[int], *, at: datetime) -> None:
    """Note that these piles were heard of. All of a gateway every few seconds, so one argument holds all ids."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Always in the same order: two gateways would deadlock otherwise.
        cursor.execute(
            """
            UPDATE piles_pile SET last_seen_at = %s
              FROM (SELECT id FROM piles_pile WHERE id = ANY (string_to_array(%s, ',')::bigint[])
                     ORDER BY id FOR NO KEY UPDATE) seen
             WHERE piles_pile.id = seen.id
            """,
            [at, ",".join(map(str, ids))],
        )


def piles_offline(*, connection_ids: dict[str, str]) -> list[str]:
    """Set piles offline whose connection ended: {pile code: connection id}.

    A pile that has logged in again since carries another connection id and stays online. Returns the codes set. After
    an outage thousands are gone at once and dial again at the same time: what is done for each pile is done for all
    of them in one statement, or their logins would wait for our locks.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT pile.id, pile.pile_code, pile.state
              FROM piles_pile pile
              JOIN unnest(string_to_array(%s, ','), string_to_array(%s, ',')) AS gone (pile_code, connection_id)
                ON gone.pile_code = pile.pile_code AND gone.connection_id = pile.connection_id
             WHERE pile.is_online ORDER BY pile.id FOR NO KEY UPDATE OF pile
            """,
            [",".join(connection_ids), ",".join(connection_ids.values())],
        )
        gone = cursor.fetchall()
        _set_offline(gone)
    return [pile_code for _, pile_code, _ in gone]


def watch_silent_piles(*, silent_after: timedelta) -> int:
    """Set piles offline that nobody has heard of for `silent_after`: their gateway process died.

    Returns how many. A living gateway renews `last_seen_at` of its piles several times within that time.
    """
    with transaction.atomic():
        silent = Pile.objects.select_for_update(skip_locked=True).filter(
            is_online=True, last_seen_at__lt=now() - silent_after
        )
        found = list(silent.values_list("pk", "pile_code", "state"))
        _set_offline(found)
    return len(found)


def _set_offline(piles: Sequence[tuple[int, str, str]]) -> None:
    """Of locked piles: (id, code, state) each."""
    if not piles:
        return
    ids = ",".join(str(pile_id) for pile_id, _, _ in piles)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE piles_pile SET is_online = false WHERE id = ANY (string_to_array(%s, ',')::bigint[])",
            [ids],
        )
        # In the order of the status writers: they would deadlock with us otherwise.
        cursor.execute(
            """
            UPDATE piles_connectorstatus SET state = %s
              FROM (SELECT status.connector_id FROM piles_connectorstatus status
                      JOIN piles_connector connector ON connector.id = status.connector_id
                     WHERE connector.pile_id = ANY (string_to_array(%s, ',')::bigint[])
                     ORDER BY status.connector_id FOR NO KEY UPDATE OF status) gone
             WHERE piles_connectorstatus.connector_id = gone.connector_id
            """,
            [ConnectorState.OFFLINE.value, ids],
        )
    missed = [pile_code for _, pile_code, state in piles if state == PileState.IN_SERVICE]
    raise_alarms(kind=AlarmKind.PILE_OFFLINE, pile_codes=missed)


# --- Commands ---------------------------------------------------------------------------------------------


def commands_sent(sent: Sequence[tuple[int, int, datetime, bytes]]) -> None:
    """Note that commands' bytes were written to their piles' sockets: (id, try, moment, bytes) each.

    There are no secrets in the bytes. A pile's answer may have been noted first; then only the bytes and the time are.
    Another try than the present one changes nothing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Always in the same order: two gateways would deadlock otherwise.
        cursor.execute(
            """
            UPDATE piles_pilecommand SET sent_at = v.at, frame = v.frame,
                   state = CASE state WHEN %s THEN %s ELSE state END
              FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::bytea[]) AS v (id, tries, at, frame)
              JOIN (SELECT id FROM piles_pilecommand WHERE id = ANY (%s::bigint[]) ORDER BY id FOR NO KEY UPDATE) found
                ON found.id = v.id
             WHERE piles_pilecommand.id = v.id AND piles_pilecommand.tries = v.tries
            """,
            [
                CommandState.PENDING.value,
                CommandState.SENT.value,
                *(list(column) for column in zip(*sent, strict=True)),
                [command_id for command_id, *_ in sent],
            ],
        )


def command_undelivered(*, command_id: int, reason: str, tries: int = 1) -> None:
    """Note that a command never reached its pile at this try. `reason`: offline, unreachable, untranslatable: …"""
    PileCommand.objects.filter(pk=command_id, tries=tries, state__in=OPEN_COMMANDS).update(
        state=CommandState.UNDELIVERED, answered_at=now(), result={"reason": reason}
    )


def command_answered(
    *,
    pile_code: str,
    kind: CommandKind,
    accepted: bool,
    connector_no: str | None = "",
    transaction_no: str = "",
    result: dict[str, Any] | None = None,
    answer: bytes = b"",
) -> PileCommand | None:
    """Close the newest open command that a pile's answer fits, and return it; None for an answer nobody awaits.

    Answers are matched by pile, connector, kind and transaction, never by sequence: some piles reverse it. A start
    refused for want of a plug may be answered a second time, so a refused start may still become done. An answer that
    does not say of which connector it is (None) belongs to the oldest open command.
    """
    starts = kind in {CommandKind.START, CommandKind.START_PARALLEL}
    open_states = [*OPEN_COMMANDS, CommandState.REFUSED] if starts else list(OPEN_COMMANDS)
    with transaction.atomic():
        rows = PileCommand.objects.select_for_update().filter(
            pile__pile_code=pile_code, kind=kind, state__in=open_states
        )
        if connector_no is not None:
            rows = rows.filter(connector_no=connector_no)
        if transaction_no:
            rows = rows.filter(payload__transaction_no=transaction_no)
        row = rows.order_by("id" if connector_no is None else "-id").first()
        if row is None:
            return None
        row.state = CommandState.DONE if accepted else CommandState.REFUSED
        row.answered_at = now()
        row.result = result or {}
        row.answer = answer
        row.save(update_fields=["state", "answered_at", "result", "answer", "updated_at"])
    return row


def expire_commands(*, at: datetime | None = None) -> int:
    """Close commands whose deadline has passed without an answer. Returns how many."""
    moment = at or now()
    return PileCommand.objects.filter(state__in=OPEN_COMMANDS, deadline__lt=moment).update(
        state=CommandState.EXPIRED, answered_at=moment
    )
