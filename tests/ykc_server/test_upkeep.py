"""Commands by which piles are kept, over real sockets: accepted, refused, unanswered, undelivered; no secrets shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from apps.common.ids import Actor
from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles import bulk, services
from apps.piles import gateway as pile_gateway
from apps.piles.commands import (
    Command,
    MoveLock,
    ReadRealtime,
    Reboot,
    SetQr,
    SetWork,
    StopCharge,
    SyncTime,
    UpdateFirmware,
)
from apps.piles.enums import AlarmKind, CommandKind, CommandState, LockState
from apps.piles.models import Alarm, GroundLock, Pile, PileCommand, RawFrame, UpdateServer
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    RunningGateway,
    Wire,
    heartbeat,
    make_pile,
    realtime,
    run,
    running,
)
from ykc_server.inspector import describe
from ykc_server.protocol import Message
from ykc_server.protocol.messages import (
    GroundLockControlAck,
    GroundLockStatus,
    QrPrefixSetAck,
    RebootAck,
    TimeSyncAck,
    UpdateAck,
    WorkParamsAck,
)

STAFF = Actor("staff", "1", "王芳")
SECRETS = ("ftp-user-7391", "p4ss-8265-word")


def send(pile: Pile, command: Command, **options: Any) -> int:
    """As a service does, on a connection of its own; the id of the command."""
    return pile_gateway.send(pile=pile, command=command, actor=STAFF, **options).pk


def is_in(pk: int, state: CommandState):
    return lambda: PileCommand.objects.filter(pk=pk, state=state).first()


def update(pk: int, **changes: Any):
    return lambda: PileCommand.objects.filter(pk=pk).update(**changes)


def an_update(server: UpdateServer, **changes: Any) -> UpdateFirmware:
    values: dict[str, Any] = {
        "server_id": server.pk,
        "host": "10.0.0.9",
        "port": 2121,
        "path": "/fw/v5.bin",
        "for_ac": False,
        "power_kw": 120,
        "when_idle": False,
        "download_minutes": 20,
    }
    return UpdateFirmware(**values | changes)


def a_server(**changes: Any) -> UpdateServer:
    values = {
        "name": "固件",
        "host": "10.0.0.9",
        "port": 2121,
        "username": SECRETS[0],
        "password": SECRETS[1],
    }
    return UpdateServer.objects.create(**values | changes)


ASKED = [
    (
        SetWork(is_locked=True, max_power_percent=45),
        "work_params",
        {"disable": {"value": 1, "name": "locked"}, "max_power_percent": 45},
        WorkParamsAck.make(pile_no=CODE, result="success"),
        WorkParamsAck.make(pile_no=CODE, result="fail"),
    ),
    (
        Reboot(when_idle=True),
        "reboot",
        {"mode": {"value": 2, "name": "when_idle"}},
        RebootAck.make(pile_no=CODE, result="success"),
        RebootAck.make(pile_no=CODE, result="fail"),
    ),
    (
        MoveLock(connector_no="01", up=True),
        "ground_lock_control",
        {"gun_no": 1, "command": {"value": 0x55, "name": "raise"}, "reserved": "00000000"},
        GroundLockControlAck.make(pile_no=CODE, gun_no=1, result="success", reserved="00000000"),
        GroundLockControlAck.make(pile_no=CODE, gun_no=1, result="fail", reserved="00000000"),
    ),
    (
        SetQr(prefix="https://q.example/c?n=", with_gun_no=True),
        "qr_prefix_set",
        {"qr_format": {"value": 1, "name": "pile_and_gun_no"}, "prefix": "https://q.example/c?n="},
        QrPrefixSetAck.make(pile_no=CODE, result=1),
        None,
    ),
]


@pytest.mark.parametrize(
    ("command", "name", "fields", "accepts", "refuses"), ASKED, ids=[row[1] for row in ASKED]
)
def test_a_command_its_frame_its_answers_and_their_bytes(  # noqa: PLR0917 - a row of the table
    committed: Tenant,
    command: Command,
    name: str,
    fields: dict[str, Any],
    accepts: Message,
    refuses: Message | None,
) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def ask(host: RunningGateway, wire: Wire, answer: Message, state: CommandState) -> PileCommand:
        pk = await host.query(schema, lambda: send(pile, command, reason="换班"))
        frame = await wire.expect(name)
        sent = await host.until(schema, is_in(pk, CommandState.SENT))
        assert bytes(sent.frame) == frame.encode()
        wire.send(answer)
        return await host.until(schema, is_in(pk, state))

    async def go() -> list[PileCommand]:
        async with running() as host:
            wire = await host.pile()
            rows = [await ask(host, wire, accepts, CommandState.DONE)]
            if refuses is not None:
                rows.append(await ask(host, wire, refuses, CommandState.REFUSED))
            return rows

    rows = run(go())
    for row, answer in zip(rows, (accepts, refuses), strict=False):
        described = describe(bytes(row.frame))
        assert described["name"] == name
        assert fields.items() <= described["fields"].items()
        assert bytes(row.answer) == answer.encode()
        assert (row.payload, row.reason, row.tries) == (command.payload(), "换班", 1)


def test_the_qr_answers_result_is_kept_and_not_trusted(committed: Tenant) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> list[PileCommand]:
        async with running() as host:
            wire = await host.pile()
            rows = []
            for code in (0, 1):
                pk = await host.query(schema, lambda: send(pile, SetQr(prefix="x", with_gun_no=False)))
                assert (await wire.expect("qr_prefix_set")).value("qr_format") == 0
                wire.send(QrPrefixSetAck.make(pile_no=CODE, result=code))
                rows.append(await host.until(schema, is_in(pk, CommandState.DONE)))
            return rows

    assert [row.result for row in run(go())] == [{"code": "00"}, {"code": "01"}]


def test_a_command_without_an_answer_expires_and_a_late_answer_changes_nothing(committed: Tenant) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> PileCommand:
        async with running() as host:
            wire = await host.pile()
            pk = await host.query(schema, lambda: send(pile, Reboot(when_idle=False)))
            assert (await wire.expect("reboot")).value("mode") == 1
            await host.until(schema, is_in(pk, CommandState.SENT))
            later = now() + timedelta(seconds=31)
            assert await host.query(schema, lambda: services.expire_commands(at=later)) == 1
            wire.send(RebootAck.make(pile_no=CODE, result="success"), heartbeat())
            await wire.expect("heartbeat_ack")
            # Answers are worked off in order: this one comes behind the reboot's.
            sync = await host.query(schema, lambda: send(pile, SyncTime()))
            wire.send(TimeSyncAck.make(pile_no=CODE, time=now()))
            await host.until(schema, is_in(sync, CommandState.DONE))
            return await host.query(schema, lambda: PileCommand.objects.get(pk=pk))

    row = run(go())
    assert (row.state, bytes(row.answer)) == (CommandState.EXPIRED, b"")
    assert bytes(row.frame) != b""


def test_a_command_to_a_pile_that_is_away_is_not_delivered(committed: Tenant) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> PileCommand:
        async with running() as host:
            pk = await host.query(schema, lambda: send(pile, SetWork(is_locked=False)))
            return await host.until(schema, is_in(pk, CommandState.UNDELIVERED))

    row = run(go())
    assert (row.result, bytes(row.frame)) == ({"reason": "offline"}, b"")


# --- Update -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "state", "word"),
    [
        (0, CommandState.DONE, "ok"),
        (1, CommandState.REFUSED, "wrong_pile_no"),
        (3, CommandState.REFUSED, "download_timeout"),
        (9, CommandState.REFUSED, "code_09"),
    ],
)
def test_an_update_goes_out_with_credentials_that_are_kept_nowhere(
    committed: Tenant, capfd: pytest.CaptureFixture[str], code: int, state: CommandState, word: str
) -> None:
    pile, server = make_pile(), a_server()
    Pile.objects.update(frames_kept_until=now() + timedelta(hours=1))  # all its frames are kept, too
    schema = committed.schema_name

    async def go() -> tuple[Message, PileCommand]:
        async with running() as host:
            wire = await host.pile()
            pk = await host.query(schema, lambda: send(pile, an_update(server)))
            frame = await wire.expect("update")
            await host.until(schema, is_in(pk, CommandState.SENT))
            wire.send(UpdateAck.make(pile_no=CODE, result=code))
            return frame, await host.until(schema, is_in(pk, state))

    frame, row = run(go())
    told = frame.values()
    assert (told["username"], told["password"]) == SECRETS
    assert (told["server"], told["port"], told["path"]) == ("10.0.0.9", 2121, "/fw/v5.bin")
    assert (told["pile_model"], told["pile_power"], told["mode"], told["download_timeout"]) == (1, 120, 1, 20)
    assert row.result == {"reason": word}
    assert (row.deadline - row.created_at) > timedelta(minutes=29)
    kept = describe(bytes(row.frame))
    assert kept["crc"] == "ok"
    assert kept["fields"]["path"] == "/fw/v5.bin"
    assert b"*" * 32 in bytes(row.frame)
    assert 0x94 in [row.frame[5] for row in RawFrame.objects.filter(is_down=True)]
    assert_no_secret_in_the_database(schema)
    written = "".join(capfd.readouterr())
    assert not [secret for secret in SECRETS if secret in written]


def assert_no_secret_in_the_database(schema: str) -> None:
    """Every row of every table as text, byte columns decoded; the user name is a column of the server's own row."""
    with schema_context(schema), connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = %s", [schema])
        for (table,) in cursor.fetchall():
            cursor.execute(f'select t::text from "{schema}"."{table}" t')
            text = "\n".join(row for (row,) in cursor.fetchall())
            searched = [SECRETS[1]] if table == "piles_updateserver" else SECRETS
            for secret in searched:
                assert secret not in text, table
                assert secret.encode().hex() not in text.lower(), table


def test_an_update_whose_server_is_gone_or_wrong_is_not_sent(
    committed: Tenant, capfd: pytest.CaptureFixture[str]
) -> None:
    pile, server = make_pile(), a_server(password="p4ss-8265-word-that-is-too-long")
    schema = committed.schema_name

    async def go() -> list[PileCommand]:
        async with running() as host:
            await host.pile()
            rows = []
            for command in (an_update(server), an_update(server, server_id=987_654)):
                pk = await host.query(schema, lambda command=command: send(pile, command))
                rows.append(await host.until(schema, is_in(pk, CommandState.UNDELIVERED)))
            return rows

    too_long, gone = run(go())
    assert too_long.result["reason"].startswith("untranslatable: password of the update server")
    assert gone.result["reason"].startswith("untranslatable: ")
    assert "p4ss-8265" not in str(too_long.result) + "".join(capfd.readouterr())


# --- Ground locks -----------------------------------------------------------------------------------------


def lock(gun: int = 1, *, status: int = 0x55, space: int = 0, alarm: int = 0) -> GroundLockStatus:
    return GroundLockStatus.make(
        pile_no=CODE,
        gun_no=gun,
        lock_status=status,
        space_status=space,
        battery_percent=80,
        alarm=alarm,
        reserved="00000000",
    )


def test_ground_locks_report_and_their_faults_are_alarms(committed: Tenant) -> None:
    make_pile(guns=2)
    schema = committed.schema_name
    locks = lambda **words: (  # noqa: E731
        lambda: list(GroundLock.objects.filter(**words).values_list("connector__connector_no", flat=True))
    )
    open_alarm = lambda: Alarm.objects.filter(kind=AlarmKind.LOCK_FAULT, closed_at=None).first()  # noqa: E731

    async def go() -> None:
        async with running() as host:
            wire = await host.pile()
            wire.send(lock(1), lock(2, status=0xFF, space=0xFF), lock(9))  # no gun 09: passed over
            await host.until(schema, locks(state=LockState.RAISED, is_occupied=False))
            assert await host.until(schema, locks(state=LockState.LOWERED, is_occupied=True)) == ["02"]
            wire.send(lock(1, status=0x00, alarm=0xFF))
            alarm = await host.until(schema, open_alarm)
            assert (alarm.connector_no, alarm.detail) == ("01", {"fault": "arm_forced"})
            assert await host.query(schema, locks(has_alarm=True, state=LockState.UNKNOWN)) == ["01"]
            wire.send(lock(1))
            await host.until(schema, lambda: not open_alarm())
            assert await host.query(schema, locks(has_alarm=True)) == []
            assert host.gateway.counters["unknown_gun"] == 1

    run(go())


# --- After a login ----------------------------------------------------------------------------------------


def test_a_command_that_may_be_repeated_follows_its_pile_through_a_reconnect(committed: Tenant) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> tuple[PileCommand, PileCommand]:
        async with running() as host:
            later = now() + timedelta(minutes=5)
            away = await host.query(
                schema, lambda: send(pile, ReadRealtime(connector_no="01"), deadline=later)
            )
            stop = await host.query(schema, lambda: send(pile, StopCharge(connector_no="01")))
            await host.until(schema, is_in(away, CommandState.UNDELIVERED))
            await host.until(schema, is_in(stop, CommandState.UNDELIVERED))
            wire = await host.pile()
            await wire.expect("read_realtime")  # and no stop before it
            # Sent, not answered; the connection is lost, and it is sent again on the next one.
            await host.until(schema, is_in(away, CommandState.SENT))
            wire.close()
            again = await host.pile()
            await again.expect("read_realtime")
            again.send(realtime())
            row = await host.until(schema, is_in(away, CommandState.DONE))
            await again.silent(until=heartbeat(), answer="heartbeat_ack")
            return row, await host.query(schema, lambda: PileCommand.objects.get(pk=stop))

    read, stop = run(go())
    assert (read.tries, read.result) == (3, {})
    assert (stop.tries, stop.state) == (1, CommandState.UNDELIVERED)


def test_an_overtaken_or_late_command_is_not_repeated(committed: Tenant) -> None:
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> None:
        async with running() as host:
            later = now() + timedelta(minutes=5)
            for command in (SetQr(prefix="old"), SetQr(prefix="new"), SyncTime()):
                pk = await host.query(schema, lambda command=command: send(pile, command, deadline=later))
                await host.until(schema, is_in(pk, CommandState.UNDELIVERED))
            await host.query(schema, update(pk, deadline=now() - timedelta(seconds=1)))
            wire = await host.pile()
            assert (await wire.expect("qr_prefix_set")).value("prefix") == "new"
            await wire.silent(until=heartbeat(), answer="heartbeat_ack")

    run(go())


@pytest.mark.parametrize(
    ("of_tenant", "of_station", "sent"),
    [("https://t/", "", "https://t/"), ("https://t/", "https://s/", "https://s/"), ("", "", None)],
)
def test_the_qr_code_is_sent_after_each_login_to_piles_that_take_one(
    committed: Tenant, of_tenant: str, of_station: str, sent: str | None
) -> None:
    pile = make_pile()
    make_pile(OTHER_CODE)
    Pile.objects.filter(pk=pile.pk).update(takes_qr=True)
    Station.objects.update(qr_prefix=of_station)
    Tenant.objects.filter(pk=committed.pk).update(qr_prefix=of_tenant)

    async def go() -> None:
        async with running() as host:
            for _ in range(2):
                wire = await host.pile()
                if sent is not None:
                    told = await wire.expect("qr_prefix_set")
                    assert (told.value("prefix"), told.value("qr_format")) == (sent, 1)
                wire.close()
            other = await host.pile(OTHER_CODE)
            await other.silent(until=heartbeat(OTHER_CODE), answer="heartbeat_ack")

    run(go())
    assert PileCommand.objects.count() == (2 if sent else 0)


# --- In bulk ----------------------------------------------------------------------------------------------


def test_all_guns_of_a_station_are_asked_at_once(committed: Tenant) -> None:
    pile = make_pile(guns=2)
    make_pile(OTHER_CODE, guns=1)
    schema = committed.schema_name

    async def go() -> int:
        async with running() as host:
            wire = await host.pile()

            def refresh():
                return bulk.send_bulk(
                    command=CommandKind.READ_REALTIME, station=pile.station, actor=STAFF, reason="巡检"
                ).pk

            batch_id = await host.query(schema, refresh)
            asked = [(await wire.expect("read_realtime")).value("gun_no") for _ in range(2)]
            assert asked == ["01", "02"]
            wire.send(realtime(), realtime(gun_no="02"))
            done = lambda: PileCommand.objects.filter(state=CommandState.DONE).count() == 2  # noqa: E731
            await host.until(schema, done)
            return batch_id

    batch_id = run(go())
    rows = PileCommand.objects.filter(batch_id=batch_id).order_by("id")
    assert [(row.pile.pile_code, row.connector_no, row.state, row.reason) for row in rows] == [
        (CODE, "01", CommandState.DONE, "巡检"),
        (CODE, "02", CommandState.DONE, "巡检"),
        (OTHER_CODE, "01", CommandState.UNDELIVERED, "巡检"),
    ]
    assert rows[0].deadline - rows[0].created_at > timedelta(minutes=9)


def test_a_process_that_lost_its_route_reports_each_command(committed: Tenant) -> None:
    """The route says that the pile is at a process, which has it no more: the row says so, for its own try only."""
    pile = make_pile()
    schema = committed.schema_name

    async def go() -> PileCommand:
        async with running() as host:
            await host.pile()
            host.gateway.sessions[schema].clear()
            pk = await host.query(schema, lambda: send(pile, Reboot()))
            row = await host.until(schema, is_in(pk, CommandState.UNDELIVERED))
            await host.query(schema, update(pk, tries=2, state=CommandState.PENDING))
            await host.query(schema, lambda: services.command_undelivered(command_id=pk, reason="offline"))
            assert (await host.query(schema, lambda: PileCommand.objects.get(pk=pk))).state == "pending"
            return row

    assert run(go()).result == {"reason": "offline"}
