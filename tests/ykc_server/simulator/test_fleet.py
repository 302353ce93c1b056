"""Client and fleet over a real socket, against a platform of a few lines on the same protocol package."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.ykc_server.simulator.wire import PILE_NO, Platform, platform, start, until
from ykc_server.protocol.messages import Login, RemoteStop, TransactionRecord
from ykc_server.simulator import Faults, Fleet, Habits, SimulatedPile
from ykc_server.simulator.client import utc_now


@asynccontextmanager
async def running(fleet):
    task = asyncio.create_task(fleet.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def heard(log, cls):
    return [(line, message) for line, message in log if isinstance(message, cls)]


STOP = RemoteStop.make(pile_no=PILE_NO, gun_no="01")


def test_a_fleet_logs_in_and_charges_to_the_record():
    async def scenario():
        habits = Habits(timedelta(0), timedelta(0))
        piles = [SimulatedPile(f"3201060000000{number}", habits=habits) for number in range(1, 4)]
        async with platform() as (port, log):
            fleet = Fleet(piles, "127.0.0.1", port)
            async with running(fleet):
                await until(lambda: fleet.online == 3 and all(pile.billing for pile in piles))
                logins = heard(log, Login)
                line = next(line for line, message in logins if message.value("pile_no") == PILE_NO)
                line.send(start())
                await until(lambda: piles[0].guns["01"].status == 3)
                assert fleet.charging == 1
                line.send(STOP)
                await until(lambda: heard(log, TransactionRecord) and not piles[0].records)
            assert fleet.online == 0
        assert sorted(message.value("pile_no") for _, message in logins) == [pile.pile_no for pile in piles]
        [(_, record)] = heard(log, TransactionRecord)
        assert record.value("transaction_no") == "1".zfill(32)
        assert record.value("total_amount") == record.value("total_kwh") * 2

    asyncio.run(scenario())


def test_a_cut_before_the_confirmation_brings_the_record_again():
    async def scenario():
        faults = Faults(cut_before_record_ack=1, split_writes=5, crc_swapped=True, garbage=b"\0\1\2")
        pile = SimulatedPile(PILE_NO, faults=faults)
        async with platform() as (port, log):
            fleet = Fleet([pile], "127.0.0.1", port)
            async with running(fleet):
                await until(lambda: pile.billing)
                pile.plug("01", utc_now())
                fleet.clients[0].flush()
                heard(log, Login)[0][0].send(start())
                await until(lambda: pile.guns["01"].session)
                heard(log, Login)[0][0].send(STOP)
                await until(lambda: len(heard(log, TransactionRecord)) == 2 and not pile.records)
        (first_line, first), (second_line, second) = heard(log, TransactionRecord)
        assert first_line is not second_line
        assert first.encode(b"\0\0") == second.encode(b"\0\0")
        assert first_line.line.buffer.swapped_crc >= 4

    asyncio.run(scenario())


def test_a_fleet_that_was_stopped_sends_its_records_later(tmp_path):
    state_path = tmp_path / "fleet.json"

    async def first():
        pile = SimulatedPile(PILE_NO, habits=Habits(timedelta(0)))
        async with (
            platform(confirms=False) as (port, log),
            running(Fleet([pile], "127.0.0.1", port, state_path=state_path)),
        ):
            await until(lambda: pile.billing)
            heard(log, Login)[0][0].send(start())
            await until(lambda: pile.guns["01"].status == 3)
            await until(lambda: json.loads(state_path.read_text())[PILE_NO]["records"])

    async def second():
        pile = SimulatedPile(PILE_NO)
        async with (
            platform() as (port, log),
            running(Fleet([pile], "127.0.0.1", port, state_path=state_path)),
        ):
            await until(lambda: heard(log, TransactionRecord) and not pile.records)
        return heard(log, TransactionRecord)[0][1]

    asyncio.run(first())
    record = asyncio.run(second())
    assert record.value("transaction_no") == "1".zfill(32)
    assert record.stop_reason == 0x83
    assert json.loads(state_path.read_text())[PILE_NO]["records"] == []


def test_a_hook_acts_for_the_driver():
    async def scenario():
        acted = []

        def hook(pile, now):
            acted.append(now)
            pile.plug("01", now)

        pile = SimulatedPile(PILE_NO)
        async with (
            platform() as (port, _log),
            running(Fleet([pile], "127.0.0.1", port, hook_for=lambda pile: hook)),
        ):
            await until(lambda: pile.guns["01"].plugged and len(acted) >= 2)

    asyncio.run(scenario())


def test_a_client_waits_for_a_platform_that_is_not_there_yet():
    async def scenario():
        async with platform() as (port, _log):
            pass
        pile = SimulatedPile(PILE_NO)
        fleet = Fleet([pile], "127.0.0.1", port)
        async with running(fleet):
            await until(lambda: fleet.clients[0].attempts == 2)
            assert fleet.online == 0
            log = []
            server = await asyncio.get_running_loop().create_server(
                lambda: Platform(log, True), "127.0.0.1", port
            )
            await until(lambda: fleet.online == 1)
            server.close()

    asyncio.run(scenario())
