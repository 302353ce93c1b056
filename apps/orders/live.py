"""Telling watchers that an order's picture changed. They read the snapshot themselves; nothing depends on it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from apps.common.schema import current_schema
from apps.piles.drivers import redis_client

log = structlog.get_logger(__name__)

UPDATE = {"type": "live.update"}
PUBLISH = "for place = 2, #ARGV do redis.call('PUBLISH', ARGV[place], ARGV[1]) end"
"""A message and the channels that it goes to: one round trip for all, where the layer makes one for each."""


def group_of(schema: str, transaction_no: str) -> str:
    """Return the channel group of an order's watchers; the schema keeps tenants apart."""
    return f"live.{schema}.{transaction_no}"


def published(groups: Iterable[str]) -> list[str | bytes]:
    """Return the arguments of PUBLISH that wake these groups: what the layer's `group_send` would publish."""
    return [get_channel_layer().serialize(UPDATE), *(f"asgi__group__{group}" for group in groups)]


def push(*transaction_nos: str) -> None:
    """Wake the watchers of these orders. A failure is logged only: REST shows the same picture.

    Not by the layer: from a thread without an event loop it makes a loop and a connection for every message.
    """
    if not hasattr(get_channel_layer(), "serialize"):
        return  # the layer of who writes history: nobody watches it
    schema = current_schema()
    try:
        _publish()(args=published(group_of(schema, number) for number in transaction_nos))
    except (RedisError, OSError) as error:
        log.warning("live_push_failed", transaction_nos=transaction_nos[:5], error=str(error))


@functools.cache
def _publish() -> Any:
    return redis_client().register_script(PUBLISH)
