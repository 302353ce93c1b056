"""How a command reaches a pile. One driver per protocol; `settings.PILE_DRIVERS` names them by dotted path.

ChannelDriver serves every protocol whose connections are held by our own gateway processes. Which process holds a
pile is in Redis (a gateway writes it at login, `ykc_server.routes`); the message goes to that process's channel.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import redis
import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)

PROCESS_TTL_S = 15
"""A gateway process that has not renewed its key for so long is dead."""


def routes_key(schema: str) -> str:
    """Name of the Redis hash pile code → "<process channel>|<connection id>" of one tenant."""
    return f"chargeplat:routes:{schema}"


def process_key(channel: str) -> str:
    """Name of the Redis key by which a gateway process says that it lives."""
    return f"chargeplat:process:{channel}"


@functools.cache
def redis_client() -> redis.Redis:
    """Return this process's Redis client (thread-safe, pooled)."""
    return redis.Redis.from_url(settings.REDIS, decode_responses=True, socket_timeout=5)


class Driver(Protocol):
    """Carries commands to the piles of one protocol."""

    def deliver(self, *, schema: str, pile_code: str, message: dict[str, Any]) -> str:
        """Hand the message over. Returns "" or why it could not be handed over (offline, unreachable)."""
        ...


class ChannelDriver:
    """Delivers through the channel layer to the gateway process that holds the pile."""

    def deliver(self, *, schema: str, pile_code: str, message: dict[str, Any]) -> str:
        """Hand the message to the gateway process that holds the pile; "" or the reason why not."""
        try:
            route = redis_client().hget(routes_key(schema), pile_code)
            if not route:
                return "offline"
            channel = str(route).split("|", 1)[0]
            if not redis_client().exists(process_key(channel)):
                return "offline"
            async_to_sync(get_channel_layer().send)(channel, message)
        except (redis.RedisError, OSError) as error:
            log.warning("command_not_delivered", schema=schema, pile_code=pile_code, error=str(error))
            return "unreachable"
        return ""


@functools.cache
def driver_for(protocol: str) -> Driver:
    """Return the driver of a protocol. Raises KeyError for a protocol that no setting names."""
    driver: Driver = import_string(settings.PILE_DRIVERS[protocol])()
    return driver
