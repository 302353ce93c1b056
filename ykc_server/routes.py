"""Which gateway process holds which pile, in Redis: the table that `apps.piles.drivers.ChannelDriver` reads.

One hash per tenant (pile code → "<process channel>|<connection id>") and one key per process that expires when nobody
renews it. All writes of a batch of logins or losses go in one round trip. Redis may be emptied at any moment: a
process that finds its key gone writes all its routes anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.piles.drivers import PROCESS_TTL_S, process_key, routes_key

log = structlog.get_logger(__name__)

# A route is deleted only while it still names the connection that was lost: the pile may be back elsewhere.
FORGET = """
local gone = 0
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    gone = gone + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
return gone
"""


class Route(NamedTuple):
    """A pile of a tenant and the connection that it is reached by."""

    schema: str
    pile_code: str
    connection_id: str


class Routes:
    """The routes of one process. Raises redis.exceptions.RedisError or OSError while Redis is away."""

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self._redis = Redis.from_url(
            settings.REDIS, decode_responses=True, socket_timeout=5, max_connections=20
        )
        self._forget = self._redis.register_script(FORGET)

    async def put(self, routes: Iterable[Route]) -> dict[Route, tuple[str, str]]:
        """Write routes. Returns, for those that another process held, its channel and connection id."""
        by_schema: dict[str, list[Route]] = defaultdict(list)
        for route in routes:
            by_schema[route.schema].append(route)
        if not by_schema:
            return {}
        async with self._redis.pipeline(transaction=True) as pipe:
            for schema, some in by_schema.items():
                pipe.hmget(routes_key(schema), [route.pile_code for route in some])
                pipe.hset(routes_key(schema), mapping={route.pile_code: self._value(route) for route in some})
            results = await pipe.execute()
        others = {}
        for some, before in zip(by_schema.values(), results[::2], strict=False):
            for route, value in zip(some, before, strict=True):
                channel, _, connection_id = (value or "").partition("|")
                if connection_id and channel != self.channel:
                    others[route] = (channel, connection_id)
        return others

    async def holder(self, schema: str, pile_code: str) -> tuple[str, str] | None:
        """Return the channel of the living process that holds a pile, and the connection's id; None for nobody."""
        value = await self._redis.hget(routes_key(schema), pile_code)  # type: ignore[misc]
        channel, _, connection_id = (value or "").partition("|")
        if not connection_id or not await self._redis.exists(process_key(channel)):
            return None
        return channel, connection_id

    async def forget(self, routes: Iterable[Route]) -> None:
        """Delete the routes of lost connections, where no newer connection has taken them."""
        arguments: dict[str, list[str]] = defaultdict(list)
        for route in routes:
            arguments[route.schema] += [route.pile_code, self._value(route)]
        for schema, some in arguments.items():
            for start in range(0, len(some), 2_000):
                await self._forget(keys=[routes_key(schema)], args=some[start : start + 2_000])

    async def announce(self) -> None:
        """Say for the first time that this process lives; after `put`, so that its routes are there."""
        await self._redis.set(process_key(self.channel), 1, ex=PROCESS_TTL_S)

    async def renew(self) -> bool:
        """Say that this process lives. False when Redis had forgotten it, and so its routes too."""
        return bool(await self._redis.set(process_key(self.channel), 1, ex=PROCESS_TTL_S, xx=True))

    async def close(self) -> None:
        """Say that this process ends; its routes are worth nothing without its key."""
        try:
            await self._redis.delete(process_key(self.channel))
        except (RedisError, OSError) as error:
            log.warning("route_table_unreachable", error=str(error))
        await self._redis.aclose()

    def _value(self, route: Route) -> str:
        return f"{self.channel}|{route.connection_id}"
