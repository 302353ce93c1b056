"""Locking an order and moving it: the only place that writes `state`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from apps.common.bulk import insert_rows
from apps.common.ids import Actor
from apps.orders import live
from apps.orders.enums import LIVE, MOVES, OrderState
from apps.orders.errors import IllegalMove
from apps.orders.models import Order, OrderEvent

_gathered: ContextVar[list[OrderEvent] | None] = ContextVar("gathered", default=None)


def begin(order: Order, actor: Actor, at: datetime) -> None:
    """Write a new order, already in STARTING, with the events of its making and of its start.

    Nobody can watch an order yet that this transaction makes, so nobody is told.
    """
    order.state = OrderState.STARTING
    order.save(force_insert=True)
    created = _row(order, "created", OrderState.PENDING, OrderState.PENDING, actor, at, {})
    data = {"hold": str(order.hold_amount)}
    requested = _row(order, "start_requested", OrderState.PENDING, OrderState.STARTING, actor, at, data)
    insert_rows([created, requested])


def note(order: Order, kind: str, actor: Actor, at: datetime, **data: Any) -> None:
    """Write an event that does not move the order."""
    _event(order, kind=kind, before=OrderState(order.state), actor=actor, at=at, data=data)


def move(order: Order, to: OrderState, kind: str, actor: Actor, at: datetime, **data: Any) -> None:
    """Move a locked order and write the event. The caller saves the order. Raises IllegalMove."""
    before = OrderState(order.state)
    if to not in MOVES[before]:
        raise IllegalMove(f"{order.order_no}: {before} → {to}")
    order.state = to
    if order.parallel_seq and to not in LIVE:
        order.legs.filter(is_live=True).update(is_live=False)
    _event(order, kind=kind, before=before, actor=actor, at=at, data=data)


@contextmanager
def gathered() -> Iterator[None]:
    """Write all events of this block in one statement at its end, and wake the watchers of all its orders at once."""
    if _gathered.get() is not None:
        yield  # the outer block writes them
        return
    events: list[OrderEvent] = []
    token = _gathered.set(events)
    try:
        yield
    finally:
        _gathered.reset(token)
    insert_rows(events)
    _tell(events)


def _event(
    order: Order, *, kind: str, before: OrderState, actor: Actor, at: datetime, data: dict[str, Any]
) -> None:
    event = _row(order, kind, before, OrderState(order.state), actor, at, data)
    events = _gathered.get()
    if events is not None:
        events.append(event)
        return
    event.save()
    _tell([event])


def _tell(events: list[OrderEvent]) -> None:
    numbers = {event.order.transaction_no for event in events}
    if numbers:
        transaction.on_commit(partial(live.push, *sorted(numbers)))


def _row(  # noqa: PLR0917 - the columns of the row, in their order
    order: Order,
    kind: str,
    before: OrderState,
    after: OrderState,
    actor: Actor,
    at: datetime,
    data: dict[str, Any],
) -> OrderEvent:
    return OrderEvent(
        order=order,
        at=at,
        kind=kind,
        from_state=before,
        to_state=after,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        data=data,
    )
