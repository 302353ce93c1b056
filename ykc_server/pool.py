"""ORM work of the gateway: a bounded pool of threads of its own, with one kept connection per thread.

The event loop never waits for the database, and no call shares asgiref's one thread-sensitive thread. The tenant's
schema is entered inside the thread, because it belongs to the thread's connection.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.common.schema import run_in_schema

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRUSTED_S = 5.0
"""A connection that worked so long ago is tried before its next use: the server may have been restarted."""
PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0)


class DatabasePool:
    """Calls functions in threads, each inside one tenant's schema."""

    def __init__(self, threads: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="ykc-db")
        self._connections: dict[int, BaseDatabaseWrapper] = {}
        self._used: dict[int, float] = {}

    async def run(self, schema: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call `function` in a thread with its connection in `schema`, and return its result or raise its error."""
        call = partial(self._call, schema, function, args, kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    async def run_surely(self, schema: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """As `run`, but tried again for about 20 s while the database is away. For calls that may be repeated."""
        for pause_s in PAUSES_S:
            try:
                return await self.run(schema, function, *args, **kwargs)
            except (OperationalError, InterfaceError) as error:
                log.warning(
                    "database_call_failed",
                    schema=schema,
                    call=getattr(function, "__qualname__", repr(function)),
                    error=str(error),
                )
                await asyncio.sleep(pause_s)
        return await self.run(schema, function, *args, **kwargs)

    def _call(
        self, schema: str, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> T:
        # settings.CONN_MAX_AGE is 0, so Django's own clean-up would close the connection after each call.
        wrapper = connections[DEFAULT_DB_ALIAS]
        self._connections[id(wrapper)] = wrapper
        last = self._used.get(id(wrapper), 0.0)
        if wrapper.connection is not None and time.monotonic() - last > TRUSTED_S and not wrapper.is_usable():
            wrapper.close()
        try:
            return run_in_schema(schema, function, *args, **kwargs)
        finally:
            if wrapper.connection is not None and wrapper.errors_occurred and not wrapper.is_usable():
                wrapper.close()
            wrapper.errors_occurred = False
            self._used[id(wrapper)] = time.monotonic()

    def close(self) -> None:
        """Drop what has not begun, wait for what has, and close the threads' connections."""
        self._executor.shutdown(cancel_futures=True)
        for wrapper in self._connections.values():
            wrapper.inc_thread_sharing()
            wrapper.close()
        self._connections.clear()
