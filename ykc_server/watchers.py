"""Waking those who watch charging orders: all of one flush in one round trip to Redis."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from apps.orders import live

log = structlog.get_logger(__name__)


class Watchers:
    """A gateway process's own connection for it: nobody else waits behind thousands of messages."""

    def __init__(self) -> None:
        self._redis = Redis.from_url(settings.REDIS, socket_timeout=5)
        self._publish = self._redis.register_script(live.PUBLISH)

    async def wake(self, charges: Sequence[tuple[str, str]]) -> None:
        """Tell the watchers of these (schema, transaction number); they ask by REST too while Redis is away."""
        try:
            await self._publish(args=live.published(live.group_of(*charge) for charge in charges))
        except (RedisError, OSError) as error:
            log.warning("live_push_failed", count=len(charges), error=str(error))

    async def close(self) -> None:
        """Close the connection."""
        await self._redis.aclose()
