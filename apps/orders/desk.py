"""The desk at which one or many orders are settled: read and locked together, written together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial

import structlog
from django.db import transaction

from apps.common.bulk import insert_rows, update_rows
from apps.orders import signals, unbilled
from apps.orders.guns import guns_of
from apps.orders.models import BillLine, Order, TransactionRecord
from apps.orders.paying import Cashier
from apps.orders.selectors import Sampled, billing_policy, last_samples
from apps.piles.enums import AlarmKind
from apps.piles.services import clocks_reported, close_alarms

log = structlog.get_logger(__name__)

WORKED_OFF = ("state", "order", "processed_at")
"""What settling changes of a record."""
# fmt: off
SETTLED = (
    "state", "started_at", "ended_at", "settled_at", "stop_code", "waiting_for_plug", "verdict", "findings",
    "energy_kwh", "electricity_fee", "service_fee", "enterprise_discount", "coupon_discount", "coupon",
    "electricity_payable", "service_payable", "payable", "platform_borne", "station_borne", "explanation",
    "paid_principal", "paid_bonus", "paid_enterprise", "bonus_electricity", "bonus_service", "debt",
)
# fmt: on
"""What settling changes of an order."""


class Desk:
    """What settling reads and writes for one or many locked orders: each kind of row in one statement.

    The rules work on single orders and records; what they change is written by `write`, once, at the end.
    """

    def __init__(self, charges: Sequence[tuple[Order, list[TransactionRecord]]]) -> None:
        """Read and lock what settling these orders by their records needs: order (the caller's) → wallet → coupon."""
        self.policy = billing_policy()
        self.samples = samples_of_charges(charges)
        self.cashier = Cashier([order for order, _ in charges], self.policy)
        self.orders: list[Order] = []
        self.records: list[TransactionRecord] = []
        self.lines: list[BillLine] = []
        self.clocks: list[tuple[str, Decimal, datetime]] = []
        self.worked_off: list[int] = []
        self.settled: list[Order] = []

    def write(self) -> None:
        """Write all of it, and tell of it after commit."""
        self.cashier.till.write()
        insert_rows(self.lines)
        update_rows(self.orders, SETTLED)
        update_rows(self.records, WORKED_OFF)
        pile = [(order.connector.pile.pile_code, order.connector.connector_no) for order in self.orders]
        places = [(*place, order.order_no) for place, order in zip(pile, self.orders, strict=True)]
        close_alarms(kind=AlarmKind.MISSING_RECORD, places=places)
        if self.clocks:  # money does not wait for a pile's row
            transaction.on_commit(partial(clocks_reported, self.clocks), robust=True)
        if self.settled:
            transaction.on_commit(partial(_tell, self.settled))
        if self.worked_off:
            transaction.on_commit(
                partial(unbilled.records_worked_off, record_ids=self.worked_off), robust=True
            )


def _tell(orders: list[Order]) -> None:
    """Announce settled orders; a receiver that fails is logged, and keeps nobody from hearing of the other orders."""
    for order in orders:
        log.info("order_settled", order_no=order.order_no, payable=str(order.payable), verdict=order.verdict)
        signals.order_settled.send_robust(sender=None, order_no=order.order_no)
    signals.orders_settled.send_robust(sender=None, order_nos=[order.order_no for order in orders])


def samples_of_charges(charges: Sequence[tuple[Order, list[TransactionRecord]]]) -> dict[str, Sampled]:
    """Return what each gun last reported before its record came, by transaction number, in one query."""
    asked = []
    for order, records in charges:
        guns = {gun.transaction_no: gun.connector for gun in guns_of(order)}
        for record in records:
            connector = guns.get(record.transaction_no, order.connector)
            asked.append((record.transaction_no, connector.pk, order.created_at, record.received_at))
    return last_samples(asked)
