"""Piles that dial in under codes that nobody has registered: noted in batches, for somebody to approve."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from apps.common.time import now
from apps.piles.services import ROUTE_KIND
from apps.tenancy.services import Sighting, newcomers_seen

if TYPE_CHECKING:
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)


class Newcomers:
    """Sightings of one gateway process that are not written yet. What does not fit is counted and forgotten."""

    LIMIT = 2_000
    EVERY_S = 2.0

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: dict[str, Sighting] = {}
        self._wake = asyncio.Event()
        self.every_s = self.EVERY_S

    def note(self, code: str, address: str, facts: dict[str, str]) -> None:
        """A login was refused because nobody has registered its code."""
        if not (code.isascii() and code.isdigit()):
            return  # no pile code: nobody could approve it
        known = self._waiting.get(code)
        if known is None and len(self._waiting) >= self.LIMIT:
            self._gateway.count("newcomers_dropped")
            return
        times = known.times + 1 if known else 1
        self._waiting[code] = Sighting(code, now(), times, address, facts)
        self._wake.set()

    async def run(self) -> None:
        """Write what waits, every few seconds, until cancelled."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(self.every_s)
            self._wake.clear()
            seen, self._waiting = list(self._waiting.values()), {}
            try:
                kept = await self._gateway.pool.run("public", newcomers_seen, kind=ROUTE_KIND, seen=seen)
            except Exception as error:  # noqa: BLE001 - whatever is wrong, the piles dial again
                log.warning("newcomers_not_stored", count=len(seen), error=str(error))
            else:
                self._gateway.count("newcomers_dropped", len(seen) - kept)
