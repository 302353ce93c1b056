"""What all measures stand on: servers on their core, the generator and the database on the other, and notes."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from django.conf import settings
from psycopg import sql
from redis import Redis

from apps.tenancy.services import schema_of
from chargeplat import embedded
from ykc_server.bench.business import TENANT
from ykc_server.bench.load import Errors, Fleet
from ykc_server.bench.processes import Measured, free_port, server
from ykc_server.ingest import database_arguments

T = TypeVar("T")
STORED_WITHIN_S = 20.0


class Stage:
    """One run, inside the generator's process and event loop. `share` of all numbers of piles, to try it out."""

    def __init__(
        self,
        state: Path,
        say: Callable[[str], object],
        *,
        rounds: int,
        seconds: float,
        share: float = 1.0,
        chop: bool = False,
    ) -> None:
        self.state = state
        self.rounds, self.seconds, self.share, self.chop = rounds, seconds, share, chop
        self.errors = Errors()
        self.codes: list[str] = []
        self.tokens: list[str] = []
        self._say = say
        self._began = time.monotonic()
        cores = sorted(os.sched_getaffinity(0))
        self.server_core: int | None = cores[0] if len(cores) > 1 else None
        self._own_core: int | None = cores[1] if len(cores) > 1 else None

    def pin(self, services: embedded.Services) -> None:
        """Keep this process and the database off the core of the servers under measurement."""
        if self._own_core is None:
            self.note("one core only: generator and server share it")
            return
        for pid in (0, *(process.pid for process in services.owned.values())):
            os.sched_setaffinity(pid, {self._own_core})

    def note(self, text: str) -> None:
        """Show progress."""
        self._say(f"[{time.monotonic() - self._began:5.1f} s] {text}")

    def piles(self, count: int, *, after: int = 0) -> list[str]:
        """Return codes of `count` piles (or the run's share of them) that stand behind the first `after`."""
        return self.codes[self.some(after) :][: self.some(count)]

    def some(self, count: int) -> int:
        """Return the run's share of a number, at least two."""
        return max(int(count * self.share), 2) if count else 0

    def fleet(self, process: Measured) -> Fleet:
        """Return piles for a server."""
        return Fleet(process.port, self.errors, chop=self.chop)

    # -- servers

    def gateway(self) -> AbstractContextManager[Measured]:
        """Start a gateway on the servers' core."""
        port = free_port()
        command = ["manage.py", "run_ykc_server", "--host", "127.0.0.1", "--port", str(port)]
        return server(command, port, core=self.server_core, log=self.state / "gateway.log")

    def web(self, *, core: int | None) -> AbstractContextManager[Measured]:
        """Start a web process, as in operation."""
        port = free_port()
        command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "chargeplat.asgi:application"]
        return server(command, port, core=core, log=self.state / "web.log", environment={"DB_POOL": "true"})

    def helper(self, module: str, *arguments: str) -> AbstractContextManager[Measured]:
        """Start one of the servers of this package on the servers' core; its first argument is its port."""
        port = free_port()
        command = ["-m", f"ykc_server.bench.{module}", str(port), *arguments]
        return server(command, port, core=self.server_core, log=self.state / f"{module}.log")

    def echo(self) -> AbstractContextManager[Measured]:
        """Start an echo on the servers' core."""
        return self.helper("echo")

    # -- the database

    @property
    def schema(self) -> str:
        """Schema of the benchmark's tenant."""
        return schema_of(TENANT)

    def count(self, table: str) -> int:
        """Rows of a table of the tenant."""
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(self.schema, table))
        with psycopg.connect(**database_arguments(), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def empty(self, table: str) -> None:
        """Delete all rows of a table of the tenant."""
        with psycopg.connect(**database_arguments(), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(self.schema, table)))

    async def settled(self, table: str, expected: int) -> int:
        """Wait until a table has the rows that it should have, or gets no more. Returns how many it has."""
        deadline = time.monotonic() + STORED_WITHIN_S
        found, since = -1, time.monotonic()
        while time.monotonic() < deadline:
            now_there = await asyncio.to_thread(self.count, table)
            if now_there == expected:
                return now_there
            if now_there != found:
                found, since = now_there, time.monotonic()
            elif time.monotonic() - since > 4.0:  # two of the telemetry writer's intervals
                break
            await asyncio.sleep(0.2)
        return found

    @staticmethod
    def redis_commands() -> int:
        """Commands that Redis has worked on so far."""
        with Redis.from_url(settings.REDIS) as client:
            info: Any = client.info("stats")
        return int(info["total_commands_processed"])

    # -- this process

    async def on_server_core(self, function: Callable[[], T]) -> T:
        """Call a function in a thread that runs where the servers run."""

        def call() -> T:
            if self.server_core is not None:
                os.sched_setaffinity(0, {self.server_core})  # of this thread alone
            return function()

        with ThreadPoolExecutor(1) as thread:
            return await asyncio.get_running_loop().run_in_executor(thread, call)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without the garbage collector: a full collection among ten thousand piles takes longer than an answer."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
