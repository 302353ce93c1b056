"""Clocks of piles over real sockets: what 0x55 says becomes an offset, an alarm, and its end."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from apps.piles import clocks
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, Pile, PileCommand
from tests.ykc_server.harness import CODE, login, make_pile, run, running
from ykc_server.protocol.messages import TimeSyncAck


def answer(sync, seconds: float) -> TimeSyncAck:
    """The pile says that it was so many seconds ahead when it was told the time."""
    return TimeSyncAck.make(pile_no=CODE, time=sync.value("time") + timedelta(seconds=seconds))


def drifts(*, closed: bool) -> list[dict]:
    found = Alarm.objects.filter(kind=AlarmKind.CLOCK_DRIFT, closed_at__isnull=not closed)
    return list(found.values_list("detail", flat=True))


def test_an_answer_to_a_time_sync_opens_the_clock_alarm_and_a_good_one_closes_it(committed):
    make_pile()
    schema = committed.schema_name

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login())
            await wire.expect("login_ack")
            sync = await wire.expect("time_sync")  # comes with every login
            wire.send(answer(sync, -400))
            (behind,) = await host.until(schema, lambda: drifts(closed=False))
            offset = await host.query(schema, lambda: Pile.objects.get().clock_offset_s)
            wire.send(answer(sync, 0))
            await host.until(schema, lambda: drifts(closed=True))
            still_open = await host.query(schema, lambda: drifts(closed=False))
            wire.send(answer(sync, 200))
            (ahead,) = await host.until(schema, lambda: drifts(closed=False))
            wire.send(answer(sync, 170))  # flagged, and no alarm
            await host.until(schema, lambda: not drifts(closed=False))
            return offset, behind, still_open, ahead, await host.query(schema, Pile.objects.get)

    offset, behind, still_open, ahead, pile = run(go())
    assert -405 < offset <= -399
    assert (Decimal(behind["offset_s"]), still_open) == (offset, [])
    assert 195 < Decimal(ahead["offset_s"]) <= 201
    assert 165 < pile.clock_offset_s <= 171
    assert Alarm.objects.filter(kind=AlarmKind.CLOCK_DRIFT).count() == 2


def test_a_wrong_clock_is_set_again_by_the_schedule(committed):
    make_pile()
    schema = committed.schema_name

    def an_hour_passes():
        pile = Pile.objects.get()
        Pile.objects.update(last_login_at=pile.last_login_at - timedelta(hours=1, minutes=1))

    async def go():
        async with running() as host:
            wire = await host.dial()
            wire.send(login())
            await wire.expect("login_ack")
            wire.send(answer(await wire.expect("time_sync"), 30))
            await host.until(schema, lambda: Pile.objects.get().clock_offset_s)
            assert await host.query(schema, clocks.sync_clocks) == 0  # the login set it a moment ago
            await host.query(schema, an_hour_passes)
            assert await host.query(schema, clocks.sync_clocks) == 1
            wire.send(answer(await wire.expect("time_sync"), 0))
            await host.until(schema, lambda: abs(Pile.objects.get().clock_offset_s) <= 1)
            return await host.until(schema, lambda: PileCommand.objects.filter(state="done").first())

    command = run(go())
    assert command.kind == "sync_time"
    assert abs(Decimal(command.result["offset_s"])) <= 1
