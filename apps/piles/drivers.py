"""How a command reaches a pile. One driver per protocol; `settings.PILE_DRIVERS` names them by dotted path.

ChannelDriver serves every protocol whose connections are held by our own gateway processes. Which process holds a
pile is in Redis (a gateway writes it at login, `ykc_server.routes`); the message goes to that process's channel.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import redis
import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.utils.module_loading import import_string

log = structlog.get_logger(__name__)

# Find the living process that holds a pile, and publish to its channel.
PUBLISH = """
local route = redis.call('HGET', KEYS[1], ARGV[1])
local channel = route and string.match(route, '^[^|]+')
if not channel or redis.call('EXISTS', ARGV[2] .. channel) == 0 then return 0 end
redis.call('PUBLISH', channel, ARGV[3])
return 1
"""
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
    """Delivers to the channel of the gateway process that holds the pile.

    Publishes itself what the channel layer would, in one round trip with the look-up: from a thread without an event
    loop the layer makes a loop and a connection for every message.
    """

    def deliver(self, *, schema: str, pile_code: str, message: dict[str, Any]) -> str:
        """Hand the message to the gateway process that holds the pile; "" or the reason why not."""
        try:
            data = get_channel_layer().serialize(message)
            found = _publish()(keys=[routes_key(schema)], args=[pile_code, process_key(""), data])
        except (redis.RedisError, OSError) as error:
            log.warning("command_not_delivered", schema=schema, pile_code=pile_code, error=str(error))
            return "unreachable"
        return "" if found else "offline"


@functools.cache
def _publish() -> Any:
    return redis_client().register_script(PUBLISH)


@functools.cache
def driver_for(protocol: str) -> Driver:
    """Return the driver of a protocol. Raises KeyError for a protocol that no setting names."""
    driver: Driver = import_string(settings.PILE_DRIVERS[protocol])()
    return driver
