"""Raw frames: all of a pile that staff watch, some of what is wrong of any other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from apps.common.time import now
from apps.piles.frames import keep_frames
from apps.piles.models import Pile, RawFrame
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    eventually,
    heartbeat,
    login,
    make_pile,
    realtime,
    run,
    running,
)
from ykc_server.protocol.message import seal
from ykc_server.telemetry import CopyWriter

UNKNOWN = seal(b"\x01\x00\x00\x5a" + bytes(3))
SHORT = seal(b"\x02\x00\x00\x13" + bytes(10))
BAD_CRC = heartbeat().encode()[:-1] + b"\xee"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(CopyWriter, "AGE_S", 0.0)
    monkeypatch.setattr(CopyWriter, "EVERY_S", 0.01)


def frames(code: str = CODE):
    """(sent by us, verdict, bytes) in order."""

    def ask():
        rows = RawFrame.objects.filter(pile_code=code).order_by("at", "number")
        return [(row.is_down, row.verdict, bytes(row.frame)) for row in rows]

    return ask


async def _true(value: bool) -> bool:
    return value


def watch(until: timedelta = timedelta(hours=1)) -> None:
    keep_frames(pile=Pile.objects.get(pile_code=CODE), until=now() + until)


def test_every_frame_of_a_watched_pile_is_kept_both_ways_from_its_login_on(committed):
    make_pile()
    watch()
    other = heartbeat(OTHER_CODE)

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login())
            await wire.expect("login_ack")
            await wire.expect("time_sync")
            wire.send(heartbeat(), UNKNOWN, SHORT, other)
            await wire.expect("heartbeat_ack")
            wire.send(BAD_CRC, realtime())
            kept = await host.until(
                committed.schema_name, lambda: found if len(found := frames()()) == 10 else None
            )
            first = await host.query(
                committed.schema_name, lambda: RawFrame.objects.order_by("number").first()
            )
            assert first.connection_id == next(iter(host.gateway.connections())).session.connection_id
            assert now() - timedelta(seconds=30) < first.at <= now()
            return kept

    kept = run(go())
    assert [(is_down, verdict, frame[5]) for is_down, verdict, frame in kept] == [
        (False, "ok", 0x01),
        (True, "ok", 0x02),
        (True, "ok", 0x56),
        (False, "ok", 0x03),
        (False, "unknown_type", 0x5A),
        (False, "short_body", 0x13),
        (False, "foreign_pile", 0x03),
        (True, "ok", 0x04),
        (False, "bad_crc", 0x03),
        (False, "ok", 0x13),
    ]
    sent = {frame for is_down, _, frame in kept if not is_down}
    assert {login().encode(), heartbeat().encode(), UNKNOWN, SHORT, other.encode(), BAD_CRC} < sent


def test_watching_begins_and_ends_on_the_present_connection(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            consumer = next(iter(host.gateway.connections()))
            await host.query(committed.schema_name, watch)
            await eventually(lambda: _true(consumer.frames_kept_until > 0))
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            await host.until(committed.schema_name, lambda: len(frames()()) == 2)
            await host.query(committed.schema_name, lambda: keep_frames(pile=Pile.objects.get(), until=None))
            await eventually(lambda: _true(consumer.frames_kept_until == 0))
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            assert host.gateway.frames.waiting == 0

    run(go())
    assert len(frames()()) == 2
    assert Pile.objects.get().frames_kept_until is None


def test_watching_ends_with_its_time(committed):
    make_pile()
    Pile.objects.update(frames_kept_until=now() - timedelta(seconds=1))

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(heartbeat())
            await wire.expect("heartbeat_ack")
            assert next(iter(host.gateway.connections())).frames_kept_until == 0

    run(go())
    assert frames()() == []


def test_of_other_piles_a_few_a_minute_of_what_is_wrong(committed):
    make_pile()

    async def go():
        async with running() as host:
            early = await host.dial()
            early.send(UNKNOWN, BAD_CRC)  # of nobody yet
            wire = await host.pile()
            for _ in range(15):
                wire.send(heartbeat(), UNKNOWN, SHORT)
                await wire.expect("heartbeat_ack")
            wire.send(BAD_CRC, heartbeat())
            await wire.expect("heartbeat_ack")

    run(go())
    kept = frames()()
    assert [verdict for _, verdict, _ in kept].count("unknown_type") == 10
    assert [verdict for _, verdict, _ in kept].count("short_body") == 10
    assert (False, "bad_crc", BAD_CRC) in kept
    assert len(kept) == 21


def test_samples_of_all_piles_have_a_limit(committed, monkeypatch):
    make_pile()

    async def go():
        async with running() as host:
            monkeypatch.setattr(host.gateway.frames, "SAMPLES", 12)
            wire = await host.pile()
            for kind in range(0xB0, 0xD0):
                odd = seal(b"\x01\x00\x00" + bytes([kind]) + bytes(3))
                wire.send(*[odd] * 2)
            wire.send(*[SHORT] * 5, heartbeat())
            await wire.expect("heartbeat_ack")
            assert host.gateway.counters["unknown_type"] == 64

    run(go())
    assert [verdict for _, verdict, _ in frames()()] == ["unknown_type"] * 10 + ["short_body"] * 2
