"""Several gateway processes: on one port, and on several behind a balancer. One of them is killed in mid-charge."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from redis import Redis

from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.orders import services as orders
from apps.orders.enums import OrderState, RecordState
from apps.orders.ledger_check import differences
from apps.orders.models import Order, TransactionRecord
from apps.piles import gateway as pile_gateway
from apps.piles import services as piles
from apps.piles.commands import ReadRealtime
from apps.piles.drivers import routes_key
from apps.piles.enums import AlarmKind, CommandState
from apps.piles.models import Alarm, Connector, Pile, PileCommand
from chargeplat.embedded import BASE_DIR, wait_until
from tests.factories import a_customer, a_price
from tests.ykc_server.harness import make_pile
from tests.ykc_server.test_process import process
from ykc_server.simulator import Car, Fleet, SimulatedPile
from ykc_server.simulator.client import utc_now

CODES = [f"3201060021{number:04d}" for number in range(6)]
PATIENCE_S = 40
CAR = Car(capacity_wh=90_000, start_wh=9_000, max_power_w=60_000)

pytestmark = pytest.mark.timeout(180)


class FleetThread:
    """A fleet with a loop and a thread of its own, and the balancer it may dial."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = list(ports)
        self.piles = [SimulatedPile(code, guns={"01": 60_000}, time_scale=20) for code in CODES]
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="fleet")
        self.turn = 0

    def __enter__(self) -> FleetThread:
        for pile in self.piles:
            pile.plug("01", utc_now(), CAR)
        self.thread.start()
        port = self.ports[0] if len(self.ports) == 1 else self.call(self._balance())
        self.fleet = Fleet(self.piles, "127.0.0.1", port)
        self.work = asyncio.run_coroutine_threadsafe(self.fleet.run(), self.loop)
        return self

    def __exit__(self, *_error: object) -> None:
        self.work.cancel()
        self.call(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def call(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def cut(self, index: int) -> None:
        self.loop.call_soon_threadsafe(self.fleet.clients[index].cut, 0.0)

    def stop(self, index: int) -> None:
        """A pile that is gone for good."""
        self.loop.call_soon_threadsafe(self.fleet.clients[index].stop)

    async def _balance(self) -> int:
        """A TCP balancer as plain as they come: in turn, and the next one if one does not answer."""
        self.pumps: set[asyncio.Task[None]] = set()
        self.balancer = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return self.balancer.sockets[0].getsockname()[1]

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in self.ports:
            self.turn += 1
            try:
                behind = await asyncio.open_connection("127.0.0.1", self.ports[self.turn % len(self.ports)])
            except OSError:
                continue
            for source, target in ((reader, behind[1]), (behind[0], writer)):
                pump = asyncio.create_task(_pump(source, target))
                self.pumps.add(pump)
                pump.add_done_callback(self.pumps.discard)
            return
        writer.transport.abort()

    async def _end(self) -> None:
        if len(self.ports) > 1:
            self.balancer.close()
            for pump in list(self.pumps):
                pump.cancel()
            await asyncio.gather(*self.pumps, return_exceptions=True)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(others, timeout=5) if others else None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except OSError:
        pass
    finally:
        writer.transport.abort()


@contextmanager
def worker() -> Iterator[None]:
    """Follows what connectors report and settles records, as in a real deployment."""
    command = [sys.executable, "-m", "celery", "-A", "chargeplat", "worker", "--purge", "--pool", "solo"]
    quiet = ["-Q", "money,push,default", "--without-mingle", "--without-gossip", "-l", "ERROR"]
    with subprocess.Popen([*command, *quiet], cwd=BASE_DIR, stdout=subprocess.DEVNULL) as child:
        try:
            yield
        finally:
            child.terminate()
            child.wait(20)


@contextmanager
def gateways(*, one_port: bool) -> Iterator[tuple[list, FleetThread]]:
    with process(0) as (first, port), process(port if one_port else 0) as (second, other):
        assert (other == port) is one_port
        with FleetThread([port] if one_port else [port, other]) as fleet:
            yield [first, second], fleet


def channels(schema: str) -> dict[str, str]:
    """Which process holds which pile, by the routes that commands take."""
    with Redis.from_url(settings.REDIS, decode_responses=True) as client:
        return {code: route.split("|")[0] for code, route in client.hgetall(routes_key(schema)).items()}


def spread(fleet: FleetThread, schema: str) -> dict[str, str]:
    """Wait until all piles are online and both processes hold some of them."""
    cuts = iter(range(1_000))

    def done() -> bool:
        if not all(pile.is_online and pile.billing for pile in fleet.piles):
            return False
        held = channels(schema)
        if len(held) == len(CODES) and len(set(held.values())) == 2:
            return True
        if len(held) == len(CODES):  # the kernel gave all to one: let some try again
            fleet.cut(next(cuts) % len(CODES))
        return False

    assert wait_until(done, PATIENCE_S, 0.2)
    return channels(schema)


def register() -> None:
    for code in CODES:
        pile = make_pile(code)
    a_price(station=pile.station)


def start(code: str) -> Order:
    connector = Connector.objects.get(code=f"{code}01")
    order = orders.start_charge(customer=a_customer(), connector_code=connector.code, request_key=code)
    assert wait_until(lambda: state(order) == OrderState.CHARGING, PATIENCE_S), state(order)
    return order


def state(order: Order) -> str:
    return Order.objects.get(pk=order.pk).state


def ask_all() -> None:
    """A command for every pile, answered by every pile."""
    sent = [
        pile_gateway.send(pile=pile, command=ReadRealtime(connector_no="01"), actor=SYSTEM).pk
        for pile in Pile.objects.filter(pile_code__in=CODES)
    ]
    done = PileCommand.objects.filter(pk__in=sent, state=CommandState.DONE)
    assert wait_until(lambda: done.count() == len(CODES), PATIENCE_S), list(
        PileCommand.objects.filter(pk__in=sent).values("state", "result")
    )


@pytest.mark.parametrize("one_port", [True, False], ids=["one port", "behind a balancer"])
def test_commands_find_the_process_and_a_killed_one_loses_nothing(committed, one_port):
    register()
    schema = committed.schema_name
    with worker(), gateways(one_port=one_port) as (children, fleet):
        held = spread(fleet, schema)
        known = set(Alarm.objects.values_list("pk", flat=True))  # of piles that were cut to spread them
        ask_all()
        # A charge on either process.
        by_channel = {channel: code for code, channel in held.items()}
        charged = {code: start(code) for code in by_channel.values()}
        children[0].kill()
        children[0].wait()
        survivor = None

        def back() -> bool:
            nonlocal survivor
            now_held = channels(schema)
            survivor = set(now_held.values())
            return len(survivor) == 1 and all(pile.is_online for pile in fleet.piles)

        assert wait_until(back, PATIENCE_S, 0.2)
        assert survivor < set(by_channel)
        ask_all()
        assert {state(order) for order in charged.values()} == {OrderState.CHARGING}
        for order in charged.values():
            actor = Actor("customer", str(order.customer_id), "driver")
            orders.stop_charge(order_no=order.order_no, actor=actor)

        def settled() -> bool:
            return {state(order) for order in charged.values()} == {OrderState.COMPLETED}

        assert wait_until(settled, PATIENCE_S, 0.2), [state(order) for order in charged.values()]
        assert wait_until(lambda: not any(pile.records for pile in fleet.piles), PATIENCE_S)
        assert children[1].poll() is None
    records = TransactionRecord.objects.all()
    assert sorted(record.transaction_no for record in records) == sorted(
        Order.objects.get(pk=order.pk).transaction_no for order in charged.values()
    )
    assert {record.state for record in records} == {RecordState.SETTLED}
    assert differences() == []
    # Nobody was away long enough to be missed, and no second device was seen.
    assert piles.watch_silent_piles(silent_after=timedelta(seconds=90)) == 0
    assert list(Alarm.objects.exclude(pk__in=known).values_list("kind", "pile_code")) == []


def test_a_pile_that_does_not_come_back_from_a_killed_process_is_missed(committed):
    register()
    schema = committed.schema_name
    with gateways(one_port=False) as (children, fleet):
        spread(fleet, schema)
        assert wait_until(lambda: Pile.objects.filter(is_online=True).count() == len(CODES), PATIENCE_S)
        # Both processes end at once, and one pile with them: nobody is left to say so.
        for child in children:
            child.kill()
            child.wait()
        fleet.stop(0)
    assert Pile.objects.filter(is_online=True).count() == len(CODES)
    Pile.objects.filter(pile_code=CODES[0]).update(last_seen_at=now() - timedelta(minutes=2))
    assert piles.watch_silent_piles(silent_after=timedelta(seconds=90)) == 1
    assert list(Alarm.objects.filter(closed_at=None).values_list("kind", "pile_code")) == [
        (AlarmKind.PILE_OFFLINE, CODES[0])
    ]
