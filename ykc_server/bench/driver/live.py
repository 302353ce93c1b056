"""A thousand drivers who watch their charges: from the write of a pile's 0x13 to the picture at the phone."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.common.schema import schema_context
from apps.common.time import now
from apps.customers.models import Customer
from apps.orders import services as orders
from apps.orders.enums import LIVE, OrderState
from apps.orders.models import Order
from apps.orders.settling import settle_record, store_record
from apps.piles.models import Connector
from apps.piles.selectors import IDLE
from apps.reports.demo.plan import Gun, record_of
from ykc_server.bench import load
from ykc_server.bench.business import HOST
from ykc_server.bench.goals import Result, percentile
from ykc_server.bench.load import PileClient
from ykc_server.bench.pace import CALM_S, CYCLE_S, Pace
from ykc_server.bench.processes import Measured
from ykc_server.bench.stage import Stage, undisturbed
from ykc_server.protocol.messages import RemoteStart, RemoteStartAck

PILES = 1_000
MOST_ROUNDS = 3
ROUND_S = CYCLE_S / 2
"""Every gun reports once."""
PRESET = Decimal("20.00")
COST = Decimal("1.00")
"""What a charge costs at most: a driver's money lasts for many runs."""
OPENED_AT_ONCE = 20
ARRIVES_WITHIN_S = 10.0
START = RemoteStart.spec.kind


class Charges(Pace):
    """Guns that take every start and then charge; each 0x13 has another energy, by which its picture is known."""

    def __init__(self, stage: Stage, fleet: load.Fleet) -> None:
        super().__init__(fleet, charging=len(fleet.piles))
        self.stage = stage
        self.numbers: dict[str, str] = {}
        self.phones: dict[str, Phone] = {}
        self.on_other = self._started

    def _started(self, pile: PileClient, frame: bytes) -> None:
        if frame[5] != START or pile.code in self.numbers:
            self.stage.errors.wrong += 1
            return
        self.numbers[pile.code] = frame[6:22].hex().upper()
        answer = RemoteStartAck(
            transaction_no=frame[6:22], pile_no=frame[22:29], gun_no=frame[29:30], result=1, fail_reason=0
        )
        pile.write(answer.encode(frame[2:4]))

    def _send(self, pile: PileClient, kind: int) -> None:
        sequence = (pile.answered & 0xFFFF).to_bytes(2, "little")
        if kind == 0x03:
            super()._send(pile, kind)
        elif (phone := self.phones.get(pile.code)) is None or not phone.is_open:
            return  # nobody watches yet: heartbeats alone keep the connection
        elif kind == 0x13:
            phone.energy += 1
            report = load.realtime(
                pile.code, charging=True, energy=phone.energy, number=self.numbers[pile.code]
            )
            phone.sent[phone.energy] = time.perf_counter()
            self._data(pile, report.encode(sequence))
        else:
            self._data(pile, load.battery(pile.code, kind, sequence, number=self.numbers[pile.code]))


class Phone:
    """One driver's socket. Every report has to be seen, none before it was made, none after a newer one."""

    def __init__(self, stage: Stage, order_no: str, token: str) -> None:
        self.stage = stage
        self.order_no, self.token = order_no, token
        self.energy = 0
        """Of the gun's last report, 0.0001 kWh."""
        self.sent: dict[int, float] = {}
        self.latencies_ms: list[float] = []
        self.again = 0
        """Pictures without news: what changed is nothing that the picture shows, or was seen before."""
        self.is_open = False
        self._sequence = self._seen = 0
        self._socket: Any = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self, web: Measured) -> None:
        """Connect, sign in and wait for the first picture."""
        from websockets.asyncio.client import connect

        url = f"ws://{HOST}:{web.port}/ws/v1/charges/{self.order_no}/"
        self._socket = await connect(
            url,
            host="127.0.0.1",
            port=web.port,
            compression=None,
            proxy=None,
            open_timeout=60,
            ping_interval=None,
        )
        await self._socket.send(json.dumps({"token": self.token}))
        self._picture(await asyncio.wait_for(self._socket.recv(), 60))
        self._listening = asyncio.create_task(self._listen())
        self.is_open = True

    async def close(self) -> None:
        """Hang up; a socket that the server closed counts as wrong."""
        if self._listening is not None:
            self.stage.errors.wrong += self._listening.done()
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def _listen(self) -> None:
        async for text in self._socket:
            self._picture(text)

    def _picture(self, text: str) -> None:
        arrived = time.perf_counter()
        shown = json.loads(text)
        energy = int(Decimal(shown["energy_kwh"]) * 10_000)
        is_right = shown["order_no"] == self.order_no and shown["sequence"] >= self._sequence
        self._sequence = shown["sequence"]
        since = self.sent.pop(energy, None)
        if since is not None:
            self.latencies_ms.append((arrived - since) * 1e3)
        elif energy == self._seen:
            self.again += 1
        else:
            is_right = False
        self._seen = energy
        self.stage.errors.wrong += not is_right


async def live(stage: Stage) -> list[Result]:
    """p95 of the milliseconds from a gun's report to the driver's picture, every report accounted for."""
    codes = stage.piles(PILES)
    with stage.gateway() as gateway, stage.web(core=stage.server_core) as web:
        fleet = stage.fleet(gateway)
        await fleet.dial(codes)
        await fleet.log_in()
        play = Charges(stage, fleet)
        play.report(0)
        play.start()
        await asyncio.to_thread(finish, stage, codes)  # of a run that was killed
        await gateway.quiet(below_s=CALM_S)
        await asyncio.to_thread(await_free, stage, codes)
        stage.note(f"live: starting {len(codes)} charges")
        numbers = await asyncio.to_thread(begin, stage, codes)
        play.phones = {
            code: Phone(stage, number, token)
            for code, number, token in zip(codes, numbers, stage.tokens, strict=False)
        }
        await gateway.quiet(below_s=CALM_S)
        if play.numbers.keys() != set(codes):
            raise RuntimeError(
                f"{len(codes) - len(play.numbers)} of {len(codes)} starts did not come to the pile"
            )
        phones = list(play.phones.values())
        for place in range(0, len(phones), OPENED_AT_ONCE):
            await asyncio.gather(*(phone.open(web) for phone in phones[place : place + OPENED_AT_ONCE]))
        stage.note(f"live: {len(phones)} phones watch")
        with undisturbed():
            p95s = await _rounds(stage, play, phones, web)
        stage.errors.missing += sum(len(phone.sent) for phone in phones)
        again = sum(phone.again for phone in phones)
        stage.note(
            f"live: {again - len(phones)} pictures without news, {sum(len(p.sent) for p in phones)} lost"
        )
        await asyncio.gather(*(phone.close() for phone in phones))
        await asyncio.to_thread(finish, stage, codes)
        fleet.close()
    every, rounds = p95s
    note = f"p50 {percentile(every, 0.5):.0f} ms, slowest {max(every):.0f} ms of {len(every):,}"
    return [Result("live", percentile(every, 0.95), rounds, note=note)]


async def _rounds(
    stage: Stage, play: Charges, phones: Sequence[Phone], web: Measured
) -> tuple[list[float], list[float]]:
    """Return the milliseconds of all reports after the first ones, and the p95 of each round."""
    await asyncio.sleep(ROUND_S)  # the first report moves the order on, which is work of its own
    every: list[float] = []
    p95s: list[float] = []
    for phone in phones:
        phone.latencies_ms.clear()
    for turn in range(min(stage.rounds, MOST_ROUNDS)):
        used = web.cpu_s()
        await asyncio.sleep(ROUND_S)
        some = [latency for phone in phones for latency in phone.latencies_ms]
        for phone in phones:
            phone.latencies_ms.clear()
        if not some:
            raise RuntimeError("no picture came")
        used = (web.cpu_s() - used) * 1e3 / len(some)
        p95s.append(percentile(some, 0.95))
        every += some
        stage.note(
            f"live {turn + 1}: p50 {percentile(some, 0.5):.0f} ms, p95 {p95s[-1]:.0f} ms, worst {max(some):.0f} ms "
            f"of {len(some)} pictures, web {used:.1f} ms CPU each"
        )
    await play.stop()
    deadline = time.monotonic() + ARRIVES_WITHIN_S
    while time.monotonic() < deadline and any(phone.sent for phone in phones):  # noqa: ASYNC110 - rare
        await asyncio.sleep(0.05)
    return every, p95s


def await_free(stage: Stage, codes: Sequence[str]) -> None:
    """Wait until the database knows all piles as online with free guns; raises RuntimeError after a minute."""
    free = Connector.objects.filter(IDLE, pile__pile_code__in=codes, pile__is_online=True)
    with schema_context(stage.schema):
        for _ in range(120):
            if (count := free.count()) == len(codes):
                break
            time.sleep(0.5)
        else:
            raise RuntimeError(f"{count} of {len(codes)} piles are online and free")
    connection.close()


def begin(stage: Stage, codes: Sequence[str]) -> list[str]:
    """Start a charge of a driver of their own at each pile; return the orders' numbers."""
    with schema_context(stage.schema):
        drivers = Customer.objects.filter(phone__startswith="+86139").order_by("phone")[: len(codes)]
        numbers = [
            orders.start_charge(
                customer=driver,
                connector_code=f"{code}01",
                request_key=uuid.uuid4().hex,
                preset_amount=PRESET,
            ).order_no
            for code, driver in zip(codes, drivers, strict=True)
        ]
    connection.close()
    return numbers


def finish(stage: Stage, codes: Sequence[str]) -> None:
    """End and settle what charges at these piles, so that drivers have their money back and piles are free."""
    with schema_context(stage.schema):
        going = Order.objects.filter(state__in=LIVE, connector__pile__pile_code__in=codes)
        ids = []
        for order in going.select_related("connector"):
            report = record_of(
                transaction_no=order.transaction_no,
                gun=Gun(order.connector.code, Decimal(120)),
                begin=order.created_at,
                end=now(),
                average_kw=Decimal(30),
                tariff=order.frozen_tariff(),
                limit=COST,
            )
            settle_record(record_id=store_record(report=report, received_at=report.end_time).pk)
            ids.append(order.pk)
        unsettled = Order.objects.filter(pk__in=ids).exclude(state=OrderState.COMPLETED).count()
        stage.errors.wrong += unsettled
    connection.close()
