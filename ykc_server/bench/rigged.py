"""The real gateway with something to compare it with put in. Not for piles.

python -m ykc_server.bench.rigged PORT raw     also sends what comes over a plain Redis channel to its piles
python -m ykc_server.bench.rigged PORT rows    stores records one by one, a commit each, over eight connections
"""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import django
import uvloop

if TYPE_CHECKING:
    from ykc_server.gateway import Gateway

CHANNEL = "chargeplat:bench:raw"
CONNECTIONS = 8


async def run_until_told(gateway: Gateway, listener: Any) -> None:
    """Serve as `run_ykc_server` does until SIGTERM."""
    from ykc_server.management.commands.run_ykc_server import allow_files, answer_first

    allow_files()
    answer_first()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    listener.close()
    await gateway.stop()
    os._exit(0)


async def forward(gateway: Gateway) -> None:
    """Write the frame of each message to its pile: schema, code and frame with blanks between."""
    from django.conf import settings
    from redis.asyncio import Redis

    client = Redis.from_url(settings.REDIS, socket_timeout=None)
    async with client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        async for message in subscription.listen():
            if message["type"] == "message":
                schema, code, frame = message["data"].split(b" ", 2)
                if consumer := gateway.sessions[schema.decode()].get(code.decode()):
                    consumer.write(frame)


def row_by_row(gateway: Gateway) -> Any:
    """Return a record writer that commits each record alone."""
    from ykc_server.ingest import RECORD_LOCK_TIMEOUT, Connection, Record, RecordWriter, make_row

    class RowByRow(RecordWriter):
        """As it would be written without a group commit; neither settles nor raises alarms, which is to its favour."""

        def __init__(self, gateway: Gateway) -> None:
            super().__init__(gateway)
            self.queue: asyncio.Queue[Record] = asyncio.Queue()

        async def run(self) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(CONNECTIONS):
                    group.create_task(self.work(Connection(RECORD_LOCK_TIMEOUT)))
                while True:
                    await self._wake.wait()
                    self._wake.clear()
                    while self._waiting:
                        self.queue.put_nowait(self._waiting.popleft())

        async def work(self, connection: Connection) -> None:
            while True:
                record = await self.queue.get()
                await connection.write({record.session.schema: make_row(record)}, insert)
                self._confirm([record])

    return RowByRow(gateway)


def insert(schema: str, row: Any) -> tuple[bytes, list[Any]]:
    """Return the plain INSERT of one record and its values."""
    return _insert(schema), [getattr(row, name) for name in _names()]


@functools.cache
def _names() -> list[str]:
    from ykc_server.ingest import RECORD_COLUMNS

    return [name for name in RECORD_COLUMNS if name != "times"]


@functools.cache
def _insert(schema: str) -> bytes:
    from psycopg import sql

    from apps.orders.models import TransactionRecord

    statement = sql.SQL(
        "INSERT INTO {} ({}, protocol, times_received) VALUES ({}, 'ykc', 1) ON CONFLICT DO NOTHING"
    )
    return statement.format(
        sql.Identifier(schema, TransactionRecord._meta.db_table),
        sql.SQL(", ".join(_names())),
        sql.SQL(", ".join("%s::jsonb" if name == "report" else "%s" for name in _names())),
    ).as_bytes()


async def serve(port: int, rig: str) -> None:
    from chargeplat.asgi import application
    from ykc_server.gateway import Gateway
    from ykc_server.server import YkcServer

    gateway = Gateway()
    if rig == "rows":
        gateway.records = row_by_row(gateway)
    server = YkcServer(application, gateway, per_address=20_000, in_all=19_744)
    await gateway.start()
    if rig == "raw":
        gateway.spawn(forward(gateway))
    await server.listen("127.0.0.1", port)
    await run_until_told(gateway, server)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")
    django.setup()
    uvloop.run(serve(int(sys.argv[1]), sys.argv[2]))
