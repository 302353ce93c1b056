"""Login, heartbeat, bad input and limits, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
from datetime import timedelta

from apps.common.time import now
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import Alarm, ConnectorStatus, Pile
from apps.tenancy.models import Tenant, TenantState
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    Clock,
    drop_connections,
    eventually,
    heartbeat,
    locked,
    login,
    make_pile,
    realtime,
    run,
    running,
)
from ykc_server.consumer import PileConsumer
from ykc_server.protocol.message import seal
from ykc_server.server import PileProtocol
from ykc_server.session import Gun, Session


def test_login_of_a_registered_pile(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login())
            ack = await wire.expect("login_ack")
            sync = await wire.expect("time_sync")
            return (
                ack,
                sync,
                await host.query(committed.schema_name, lambda: Pile.objects.get(pile_code=CODE)),
            )

    ack, sync, pile = run(go())
    assert (ack.value("pile_no"), ack.result, ack.sequence) == (CODE, 0, b"\x01\x02")
    assert abs(sync.value("time") - now()) < timedelta(minutes=1)
    assert sync.sequence == b"\0\0"
    assert pile.is_online
    assert (pile.protocol_version, pile.software_version, pile.sim_no) == (
        "1.6",
        "V4.1.50",
        "89860000000000000001",
    )
    assert pile.last_login_at is not None


def test_login_is_refused_to_whom_it_must_be(committed, other_tenant):
    make_pile("32010600000001")
    Pile.objects.filter(pile_code="32010600000001").update(state=PileState.DISABLED)
    make_pile("32010600000002", schema=other_tenant.schema_name)
    Tenant.objects.filter(pk=other_tenant.pk).update(state=TenantState.SUSPENDED)

    async def go():
        async with running() as host:
            for code in ("99999999999999", "32010600000001", "32010600000002"):
                wire = await host.dial()
                wire.send(login(code), heartbeat(code))
                ack = await wire.expect("login_ack")
                assert (ack.value("pile_no"), ack.result) == (code, 1)
                await wire.closed()
            assert host.gateway.counters["logins_refused"] == 3

    run(go())


def test_frames_before_login_are_passed_over(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(heartbeat(), realtime(status="charging"))
            await wire.silent(until=login(), answer="login_ack")
            await wire.expect("time_sync")
            assert host.gateway.counters["before_login"] == 2

    run(go())


def test_frames_behind_the_login_wait_for_it(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login(), heartbeat(sequence=b"\1\1"), heartbeat(sequence=b"\2\2"))
            names = [(await wire.receive()) for _ in range(4)]
            assert [m.spec.name for m in names] == [
                "login_ack",
                "time_sync",
                "heartbeat_ack",
                "heartbeat_ack",
            ]
            assert [m.sequence for m in names[2:]] == [b"\1\1", b"\2\2"]

    run(go())


def test_more_frames_behind_a_login_than_may_wait(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login(), *[heartbeat()] * 64)
            await wire.closed()
            assert host.gateway.counters["closed_waiting"] == 1

    run(go())


def test_glued_and_split_frames(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            glued = b"".join(heartbeat(sequence=bytes((n, 0))).encode() for n in range(9))
            wire.send(glued)
            assert [(await wire.expect("heartbeat_ack")).sequence[0] for _ in range(9)] == list(range(9))
            for byte in glued[:34]:
                wire.send(bytes((byte,)))
                await wire.writer.drain()
            assert [(await wire.expect("heartbeat_ack")).sequence[0] for _ in range(2)] == [0, 1]

    run(go())


def test_garbage_and_wrong_checksums_between_good_frames(committed):
    make_pile()
    good = heartbeat().encode()
    broken = good[:-1] + bytes((good[-1] ^ 0xFF,))
    short = b"\x68\x03\0\0\0\x03"

    async def go():
        async with running() as host:
            wire = await host.pile()
            for rubbish in (b"GET / HTTP/1.1\r\n\r\n", broken, short, b"\x68\x04" * 3, bytes(100)):
                wire.send(rubbish + good + good)
                await wire.expect("heartbeat_ack")
                assert (await wire.expect("heartbeat_ack")).sequence == b"\x07\x08"
            assert host.gateway.counters["bad_crc"] >= 1
            assert host.gateway.counters["bad_length"] >= 1
            swapped = good[:-2] + good[:-3:-1]
            wire.send(swapped)
            await wire.expect("heartbeat_ack")

    run(go())


def test_a_stream_of_garbage_ends_the_connection(committed):
    make_pile()

    async def go():
        async with running() as host:
            for rubbish in (b"\x68\x0d" + bytes(15), b"A" * 512):
                wire = await host.pile()
                for _ in range(30):
                    wire.send(rubbish)
                await wire.closed()
            assert host.gateway.counters["closed_garbage"] == 2

    run(go())


def test_short_unknown_and_foreign_frames_are_not_answered(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(seal(b"\0\0\0\x03" + bytes.fromhex(CODE)))  # no gun
            wire.send(seal(b"\0\0\0\x13" + bytes(20)))
            wire.send(seal(b"\0\0\0\x7f" + bytes(20)))
            wire.send(heartbeat(OTHER_CODE), realtime(OTHER_CODE), realtime(gun_no="09"))
            ack = await wire.silent(until=heartbeat(sequence=b"\x55\x66"), answer="heartbeat_ack")
            assert ack.sequence == b"\x55\x66"
            counters = host.gateway.counters
            assert (counters["short_body"], counters["unknown_type"]) == (2, 1)
            assert (counters["foreign_pile"], counters["unknown_gun"]) == (2, 1)
            longer = heartbeat()
            longer.extra = b"\x2a"
            wire.send(longer)
            await wire.expect("heartbeat_ack")

    run(go())


def test_an_encrypted_frame_closes_the_connection(committed):
    make_pile()

    async def go():
        async with running() as host:
            for kind in (0x03, 0x13, 0x3B, 0x7F):
                wire = await host.pile()
                wire.send(seal(b"\0\0\x01" + bytes((kind,)) + bytes(200)))
                await wire.closed()
            wire = await host.dial()
            wire.send(seal(b"\0\0\x01\x01" + bytes(32)))
            await wire.closed()
            assert host.gateway.counters["encrypted"] == 5

    run(go())


def test_a_thousand_half_open_connections(committed):
    make_pile()
    clock = Clock()

    async def go():
        async with running(clock=clock) as host:
            idle = [await asyncio.open_connection("127.0.0.1", host.port) for _ in range(1_000)]
            idle[0][1].write(b"\x68\x22\0")  # half a login
            chatter = await host.dial()
            await eventually(lambda: _true(len(host.gateway.half_open) == 1_001))
            wire = await host.pile()  # others are served meanwhile
            wire.send(realtime(), heartbeat())
            await wire.expect("heartbeat_ack")
            clock.now += 29
            await eventually(lambda: _true(host.gateway.now == clock.now))
            chatter.send(heartbeat())
            await eventually(lambda: _true(host.gateway.counters["before_login"] == 1))
            clock.now += 2
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            await eventually(lambda: _true(not host.gateway.half_open))
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            await chatter.closed()
            assert host.gateway.counters["closed_without_login"] == 1_001
            for _, writer in idle:
                writer.transport.abort()

    run(go())


async def _true(value):
    return value


def test_a_locked_tenant_does_not_stop_the_logins_of_another(committed, other_tenant):
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)

    async def go():
        async with running() as host:
            with locked(committed.schema_name, "piles_pile"):
                blocked, free = await host.dial(), await host.dial()
                blocked.send(login())
                free.send(login(OTHER_CODE))
                assert (await free.expect("login_ack")).result == 0
                await (
                    blocked.closed()
                )  # without an answer: 01 would tell a registered pile that it is unknown
            await host.pile()

    run(go())


def test_piles_log_in_and_are_heard_after_the_database_dropped_everybody(committed):
    make_pile()
    make_pile(OTHER_CODE)

    async def go():
        async with running() as host:
            first = await host.pile()
            drop_connections(host.started)
            first.send(realtime(gun_plugged="yes"))
            await host.pile(OTHER_CODE)
            plugged = lambda: ConnectorStatus.objects.filter(state=ConnectorState.PLUGGED).exists()  # noqa: E731
            await host.until(committed.schema_name, plugged)
            first.send(heartbeat())
            await first.expect("heartbeat_ack")

    run(go())


def test_a_flood_of_logins(committed):
    make_pile()

    async def go():
        async with running() as host:
            wires = [await host.dial() for _ in range(500)]
            for index, wire in enumerate(wires):
                wire.send(login(f"{99_000_000_000_000 + index}"))
            mine = await host.pile()
            for wire in wires:
                assert (await wire.expect("login_ack")).result == 1
                await wire.closed()
            mine.send(heartbeat())
            await mine.expect("heartbeat_ack")

    run(go())


def test_limits_of_connections(committed):
    make_pile()

    async def go():
        async with running(per_address=2) as host:
            first, second = await host.pile(), await host.dial()
            third = await host.dial()
            await third.closed()
            second.close()
            await eventually(lambda: _true(not host.gateway.half_open))
            fourth = await host.dial()
            fourth.send(login("99999999999999"))
            await fourth.expect("login_ack")
            first.send(heartbeat())
            await first.expect("heartbeat_ack")
        async with running(in_all=0) as host:
            await (await host.dial()).closed()

    run(go())


def test_three_missed_heartbeats(committed):
    make_pile()
    clock = Clock()

    async def go():
        async with running(clock=clock) as host:
            wire = await host.pile()
            wire.send(realtime(gun_plugged="yes"))
            state = lambda: ConnectorStatus.objects.get().state == ConnectorState.PLUGGED  # noqa: E731
            await host.until(committed.schema_name, state)
            clock.now += 34
            await eventually(lambda: _true(host.gateway.now == clock.now))
            wire.send(heartbeat())
            message = await wire.receive()
            assert message.spec.name == "heartbeat_ack"
            clock.now += 36
            await wire.closed()
            offline = lambda: not Pile.objects.get().is_online  # noqa: E731
            await host.until(committed.schema_name, offline)
            return await host.query(
                committed.schema_name,
                lambda: (
                    ConnectorStatus.objects.get().state,
                    list(Alarm.objects.values_list("kind", flat=True)),
                ),
            )

    assert run(go()) == (ConnectorState.OFFLINE, [AlarmKind.PILE_OFFLINE])


def test_a_pile_that_comes_back_closes_its_alarm(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.close()
            await host.until(committed.schema_name, lambda: Alarm.objects.filter(closed_at=None).exists())
            await host.pile()
            return await host.query(
                committed.schema_name, lambda: (Pile.objects.get().is_online, Alarm.objects.get().closed_at)
            )

    online, closed_at = run(go())
    assert online
    assert closed_at is not None


def test_a_gun_that_never_reported_is_asked(committed):
    make_pile(guns=2)
    clock = Clock()

    async def go():
        async with running(clock=clock) as host:
            wire = await host.pile()
            wire.send(realtime(), heartbeat())
            await wire.expect("heartbeat_ack")
            clock.now += 11
            asked = await wire.expect("read_realtime")
            assert asked.value("gun_no") == "02"
            await wire.silent(until=heartbeat(), answer="heartbeat_ack")

    run(go())


def test_second_login_closes_the_first(committed):
    make_pile()

    async def go():
        async with running() as host:
            first = await host.pile()
            second = await host.pile()
            await first.closed()
            second.send(heartbeat())
            await second.expect("heartbeat_ack")
            await host.until(
                committed.schema_name, lambda: Alarm.objects.filter(kind=AlarmKind.DUPLICATE_LOGIN).exists()
            )
            # The end of the first must not set the pile offline or delete its route.
            assert await host.query(committed.schema_name, lambda: Pile.objects.get().is_online)
            assert len(host.gateway.sessions[committed.schema_name]) == 1

    run(go())


def test_second_login_in_another_process(committed):
    make_pile()

    async def go():
        async with running() as one, running() as other:
            first = await one.pile()
            second = await other.pile()
            await first.closed()
            second.send(heartbeat())
            await second.expect("heartbeat_ack")
            await one.until(
                committed.schema_name, lambda: Alarm.objects.filter(kind=AlarmKind.DUPLICATE_LOGIN).exists()
            )
            assert await one.query(committed.schema_name, lambda: Pile.objects.get().is_online)

    run(go())


def test_same_pile_logs_in_again_on_its_connection(committed):
    make_pile()
    make_pile(OTHER_CODE)

    async def go():
        async with running() as host:
            wire = await host.pile()
            await wire.login()
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            wire.send(login(OTHER_CODE))
            await wire.closed()

    run(go())


def test_a_pile_that_does_not_read(committed):
    """Its answers wait up to a limit; then nothing more is read from it, and the rest of the fleet goes on."""
    make_pile()
    make_pile(OTHER_CODE)
    clock = Clock()

    async def go():
        async with running(clock=clock) as host:
            deaf = socket.create_connection(("127.0.0.1", host.port))
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(deaf, login().encode())
            await eventually(lambda: _true(host.gateway.counters["logins"] == 1))
            block = heartbeat().encode() * 1_000
            sender = asyncio.create_task(_send_for_ever(loop, deaf, block))
            await eventually(lambda: _true(host.gateway.counters["slow_readers"] == 1))
            healthy = await host.pile(OTHER_CODE)
            healthy.send(realtime(OTHER_CODE), heartbeat(OTHER_CODE))
            await healthy.expect("heartbeat_ack")
            consumer = host.gateway.sessions[committed.schema_name][CODE]
            assert consumer.transport.get_write_buffer_size() < 1_000_000
            clock.now += 34
            await eventually(lambda: _true(host.gateway.now == clock.now))
            healthy.send(heartbeat(OTHER_CODE))
            await healthy.expect("heartbeat_ack")
            clock.now += 2
            await eventually(lambda: _true(CODE not in host.gateway.sessions[committed.schema_name]))
            healthy.send(heartbeat(OTHER_CODE))
            await healthy.expect("heartbeat_ack")
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            deaf.close()

    run(go())


async def _send_for_ever(loop, sock, block):
    while True:
        await loop.sock_sendall(sock, block)


def test_a_connection_that_ended_leaves_nothing_to_the_collector_of_circles(committed):
    """A gateway collects circles hardly ever, since that would hold up answers: there may be none."""
    kinds = (Gun, PileConsumer, PileProtocol, Session)
    make_pile(guns=2)

    def alive() -> list[str]:
        # By type: isinstance asks a weak proxy of another test's for its class.
        return sorted(type(thing).__name__ for thing in gc.get_objects() if type(thing) in kinds)

    async def go() -> None:
        async with running() as host:
            for ends in ("here", "there", "silent"):
                wire = await host.pile()
                wire.send(realtime(), login(), heartbeat())
                await wire.expect("login_ack")
                await wire.expect("time_sync")
                await wire.expect("heartbeat_ack")
                assert "Gun" in alive()
                if ends == "here":
                    wire.close()
                elif ends == "there":
                    wire.send(b"\x00" * 5_000)
                    await wire.closed()
                else:
                    host.gateway.now += 1_000
                    host.gateway.sessions[committed.schema_name][CODE].seen -= 1_000
                    await wire.closed()
                await host.until(
                    committed.schema_name, lambda: not Pile.objects.get(pile_code=CODE).is_online
                )

            async def nothing() -> bool:
                return not alive()

            await eventually(nothing)

    gc.collect()
    gc.disable()
    try:
        run(go())
    finally:
        gc.enable()
