"""The guns of an order: one, or several where one car charges over them at once (并充, YKC V1.6, 7.8)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.orders.models import Order
from apps.piles.enums import ConnectorState
from apps.piles.models import Connector

FEN = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class OrderGun:
    """A gun and the transaction number under which it charges for the order."""

    transaction_no: str
    connector: Connector

    @property
    def speaks(self) -> bool:
        """Whether the gun's last word is about this order."""
        return self.connector.status.transaction_no == self.transaction_no

    @property
    def charges(self) -> bool:
        """Whether the gun's last word is that it charges for this order."""
        return self.speaks and self.connector.status.state == ConnectorState.CHARGING


def guns_of(order: Order) -> list[OrderGun]:
    """Return the guns of an order, the main one first."""
    guns = [OrderGun(order.transaction_no, order.connector)]
    if order.parallel_seq:
        legs = order.legs.select_related("connector__status", "connector__pile").order_by("id")
        guns += [OrderGun(leg.transaction_no, leg.connector) for leg in legs]
    return guns


def shares(amount: Decimal, count: int) -> list[Decimal]:
    """Share yuan out over `count` guns, to the fen; the first ones get what does not divide.

    A pile compares each gun's own amount with its own balance: whole balances would let it charge `count` holds.
    """
    fen, left = divmod(int(amount / FEN), count)
    return [(fen + (1 if place < left else 0)) * FEN for place in range(count)]
