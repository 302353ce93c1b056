"""Telling watchers that an order's picture changed. They read the snapshot themselves; nothing depends on it."""

from __future__ import annotations

import structlog
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer

from apps.common.schema import current_schema

log = structlog.get_logger(__name__)

UPDATE = {"type": "live.update"}


def group_of(schema: str, transaction_no: str) -> str:
    """Return the channel group of an order's watchers; the schema keeps tenants apart."""
    return f"live.{schema}.{transaction_no}"


def push(transaction_no: str) -> None:
    """Wake the watchers of one order. A failure is logged only: REST shows the same picture."""
    try:
        async_to_sync(get_channel_layer().group_send)(group_of(current_schema(), transaction_no), UPDATE)
    except Exception as error:  # noqa: BLE001 - whatever the layer raises, an order must not fail by it
        log.warning("live_push_failed", transaction_no=transaction_no, error=str(error))
