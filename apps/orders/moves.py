"""Locking an order and moving it: the only place that writes `state`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from apps.common.ids import Actor
from apps.orders import live
from apps.orders.enums import MOVES, OrderState
from apps.orders.errors import IllegalMove
from apps.orders.models import Order, OrderEvent


def note(order: Order, kind: str, actor: Actor, at: datetime, **data: Any) -> None:
    """Write an event that does not move the order."""
    _event(order, kind=kind, before=OrderState(order.state), actor=actor, at=at, data=data)


def move(order: Order, to: OrderState, kind: str, actor: Actor, at: datetime, **data: Any) -> None:
    """Move a locked order and write the event. The caller saves the order. Raises IllegalMove."""
    before = OrderState(order.state)
    if to not in MOVES[before]:
        raise IllegalMove(f"{order.order_no}: {before} → {to}")
    order.state = to
    _event(order, kind=kind, before=before, actor=actor, at=at, data=data)


def _event(
    order: Order, *, kind: str, before: OrderState, actor: Actor, at: datetime, data: dict[str, Any]
) -> None:
    OrderEvent.objects.create(
        order=order,
        at=at,
        kind=kind,
        from_state=before,
        to_state=order.state,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        data=data,
    )
    if before != OrderState.PENDING:  # nobody can watch an order yet that this transaction makes
        transaction.on_commit(partial(live.push, order.transaction_no))
