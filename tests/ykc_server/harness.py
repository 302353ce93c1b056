"""A gateway with real sockets inside one event loop, and piles that are nothing but bytes."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import uvloop
from channels.routing import ProtocolTypeRouter
from redis.asyncio import Redis

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles.models import Pile
from apps.piles.services import create_pile
from apps.sites.models import Station
from ykc_server.consumer import PileConsumer
from ykc_server.gateway import Gateway
from ykc_server.ingest import database_arguments
from ykc_server.protocol import FrameBuffer, Message, decode
from ykc_server.protocol.messages import Heartbeat, Login, Realtime, TransactionRecord
from ykc_server.server import YkcServer

APPLICATION = ProtocolTypeRouter({"ykc": PileConsumer.as_asgi()})
CODE = "32010600213533"
OTHER_CODE = "32010600213534"
PATIENCE_S = 60.0

run = uvloop.run


def make_pile(code: str = CODE, *, guns: int = 1, schema: str = "") -> Pile:
    """Register a pile, in the present schema or in `schema`."""
    if schema:
        with schema_context(schema):
            return make_pile(code, guns=guns)
    station, _ = Station.objects.get_or_create(
        station_no="S1", defaults={"name": "站", "latitude": Decimal("31.2"), "longitude": Decimal("121.4")}
    )
    return create_pile(
        station=station, pile_code=code, kind="dc", power_kw=Decimal(120), gun_count=guns, actor=SYSTEM
    )


class Clock:
    """Time that tests turn."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """One connection of a pile: messages out, messages in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.buffer = FrameBuffer()
        self.frames: list[bytes] = []

    def send(self, *messages: Message | bytes) -> None:
        self.writer.write(b"".join(m if isinstance(m, bytes) else m.encode() for m in messages))

    async def receive(self) -> Message:
        """The next message; fails after a while, and when the connection ends."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.frames:
                data = await self.reader.read(65_536)
                assert data, "the gateway closed the connection"
                self.frames += self.buffer.feed(data)
        return decode(self.frames.pop(0))

    async def expect(self, name: str) -> Any:
        message = await self.receive()
        assert message.spec.name == name
        return message

    async def closed(self) -> None:
        """The gateway closes the connection and says nothing more."""
        async with asyncio.timeout(PATIENCE_S):
            try:
                rest = await self.reader.read()
            except ConnectionResetError:
                rest = b""
        assert rest == b""
        assert self.frames == []

    async def silent(self, *, until: Message, answer: str) -> Any:
        """Nothing sent before is answered: the first answer is that to `until`."""
        self.send(until)
        return await self.expect(answer)

    async def login(self, code: str = CODE) -> None:
        self.send(login(code))
        assert (await self.expect("login_ack")).result == 0
        await self.expect("time_sync")

    def close(self) -> None:
        self.writer.transport.abort()


class RunningGateway:
    """A gateway that listens on a free port."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway, self.port, self.tls_port = gateway, port, 0
        self.started = now()
        self.wires: list[Wire] = []

    async def dial(self, tls: ssl.SSLContext | None = None) -> Wire:
        port = self.tls_port if tls else self.port
        self.wires.append(Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=tls)))
        return self.wires[-1]

    async def pile(self, code: str = CODE) -> Wire:
        """A pile that is logged in."""
        wire = await self.dial()
        await wire.login(code)
        return wire

    async def query(self, schema: str, function: Callable[[], Any]) -> Any:
        return await self.gateway.pool.run_surely(schema, function)

    async def until(self, schema: str, function: Callable[[], Any]) -> Any:
        """Ask the database until the answer is true."""
        return await eventually(lambda: self.query(schema, function))


@asynccontextmanager
async def running(
    *,
    per_address: int = 20_000,
    in_all: int = 20_000,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[RunningGateway]:
    gateway = Gateway(tick_s=0.02, **options)
    gateway.renew_every_s = gateway.newcomers.every_s = 0.05
    server = YkcServer(APPLICATION, gateway, per_address=per_address, in_all=in_all)
    await gateway.start()
    running_gateway = RunningGateway(gateway, await server.listen("127.0.0.1", 0))
    if tls is not None:
        running_gateway.tls_port = await server.listen("127.0.0.1", 0, tls=tls)
    try:
        yield running_gateway
    finally:
        for wire in running_gateway.wires:
            wire.close()
        server.close()
        await gateway.stop()
        await server.closed()


@contextmanager
def locked(schema: str, table: str) -> Iterator[None]:
    """A migration of one tenant holds a table."""
    with psycopg.connect(**database_arguments()) as connection:
        connection.execute(f"lock table {schema}.{table} in access exclusive mode")
        yield
        connection.rollback()


def drop_connections(since: datetime) -> None:
    """The database server drops the connections made since a moment, as when it restarts."""
    with psycopg.connect(**database_arguments(), autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid() and backend_start > %s",
            [since],
        )


async def eventually(ask: Callable[[], Awaitable[Any]]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := await ask()):
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)
    return answer


async def redis(function: Callable[[Redis], Awaitable[Any]]) -> Any:
    from django.conf import settings

    client = Redis.from_url(settings.REDIS, decode_responses=True)
    try:
        return await function(client)
    finally:
        await client.aclose()


def login(code: str = CODE, **changes: Any) -> Login:
    values: dict[str, Any] = {
        "pile_no": code,
        "pile_type": 0,
        "gun_count": 1,
        "protocol_version": 0x10,
        "software_version": "V4.1.50",
        "network_type": 1,
        "sim_no": "89860000000000000001",
        "operator": 4,
        "sequence": b"\x01\x02",
    }
    return Login.make(**values | changes)


def heartbeat(
    code: str = CODE, gun: str = "01", *, fault: bool = False, sequence: bytes = b"\x07\x08"
) -> Heartbeat:
    return Heartbeat.make(pile_no=code, gun_no=gun, gun_status=int(fault), sequence=sequence)


def number(code: str = CODE, counter: int = 1) -> str:
    """A transaction number of a pile's gun 01."""
    return f"{code}01261123150000{counter:04d}"


def realtime(code: str = CODE, **changes: Any) -> Realtime:
    values: dict[str, Any] = {
        "transaction_no": "0" * 32,
        "pile_no": code,
        "gun_no": "01",
        "status": "idle",
        "gun_homed": "yes",
        "gun_plugged": "no",
        "output_voltage": "0.0",
        "output_current": "0.0",
        "cable_temp": None,
        "cable_code": "0",
        "soc": 0,
        "battery_max_temp": None,
        "charge_minutes": 0,
        "remaining_minutes": 0,
        "energy_kwh": "0.0000",
        "loss_energy_kwh": "0.0000",
        "amount": "0.0000",
        "hardware_fault": "0x0000",
    }
    return Realtime.make(**values | changes)


def record(code: str = CODE, counter: int = 1, **changes: Any) -> TransactionRecord:
    values: dict[str, Any] = {
        "transaction_no": number(code, counter),
        "pile_no": code,
        "gun_no": "01",
        "start_time": "2026-11-23T15:00:00+08:00",
        "end_time": "2026-11-23T15:30:00+08:00",
        "meter_start": "100.0000",
        "meter_end": "110.0000",
        "total_kwh": "10.0000",
        "total_loss_kwh": "10.0000",
        "total_amount": "16.0000",
        "vin": "LSVAU2180N2183294",
        "start_mode": "app",
        "transaction_time": "2026-11-23T15:30:00+08:00",
        "stop_reason": 0x40,
        "physical_card_no": "0",
        "sequence": b"\x31\x32",
    }
    for rate_class in ("sharp", "peak", "flat", "valley"):
        in_use = rate_class == "peak"
        values |= {
            f"{rate_class}_price": "1.60000",
            f"{rate_class}_kwh": "10.0000" if in_use else "0.0000",
            f"{rate_class}_loss_kwh": "10.0000" if in_use else "0.0000",
            f"{rate_class}_amount": "16.0000" if in_use else "0.0000",
        }
    return TransactionRecord.make(**values | changes)
