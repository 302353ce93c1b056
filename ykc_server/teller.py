"""Telling services what plain handlers noticed: the latest word of each subject, one tenant beside the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

Report = TypeVar("Report")


class Teller(Generic[Report]):
    """Calls `tell(reports)` in the pool with what came since its last call; of a subject only the latest word counts.

    At most one call per tenant runs at a time, so what waits is bounded by the subjects. With `pause_s` a call waits
    for what comes within that time.
    """

    def __init__(
        self, gateway: Gateway, tell: Callable[[list[Report]], None], *, pause_s: float = 0.0
    ) -> None:
        self._gateway = gateway
        self._tell = tell
        self._pause_s = pause_s
        self._waiting: dict[str, dict[Hashable, Report]] = {}

    def put(self, schema: str, subject: Hashable, report: Report) -> None:
        """Have a report told soon."""
        if schema in self._waiting:
            self._waiting[schema][subject] = report
        else:
            self._waiting[schema] = {subject: report}
            self._gateway.spawn(self._work(schema))

    async def _work(self, schema: str) -> None:
        try:
            while self._waiting[schema]:
                await asyncio.sleep(self._pause_s)
                reports = self._waiting[schema]
                self._waiting[schema] = {}
                try:
                    await self._gateway.pool.run_surely(schema, self._tell, list(reports.values()))
                except Exception:
                    log.exception("reports_not_told", schema=schema, count=len(reports))
        finally:
            del self._waiting[schema]
