"""Events that orders follow, of lower apps and their own: enqueue one task, nothing else."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from apps.common.queue import enqueue
from apps.orders import tasks
from apps.orders.signals import orders_settled
from apps.piles.reports import ConnectorReport
from apps.piles.signals import connector_changed
from apps.wallet.signals import recharge_paid

CURVE_AFTER_S = 15
"""The last rows of telemetry are stored within seconds of their frames; the record may be settled before."""


@receiver(connector_changed)
def follow_connector(report: ConnectorReport, **_kwargs: Any) -> None:
    """Enqueue the change for the order of this transaction, if the report names one."""
    if not report.transaction_no.strip("0"):
        return
    # With the broker away the watchdog reads the connector's status.
    enqueue(
        tasks.connector_changed,
        report.transaction_no,
        f"{report.pile_code}{report.connector_no}",
        report.state.value,
        str(report.energy_kwh),
        report.reported_at.isoformat(),
    )


@receiver(orders_settled)
def keep_curves(order_nos: list[str], **_kwargs: Any) -> None:
    """Enqueue the thinning of these orders' telemetry."""
    # With the broker away `store_missing_curves` finds the orders.
    enqueue(tasks.store_curve, *order_nos, countdown=CURVE_AFTER_S)


@receiver(orders_settled)
def tell_drivers(order_nos: list[str], **_kwargs: Any) -> None:
    """Enqueue the news for the drivers of these orders."""
    # With the broker away the bill is among the driver's orders all the same.
    enqueue(tasks.tell_settled, *order_nos)


@receiver(recharge_paid)
def follow_recharge(recharge_no: str, **_kwargs: Any) -> None:
    """Enqueue the top-up for the customer's running orders."""
    # With the broker away the watchdog finds the top-up.
    enqueue(tasks.raise_holds, recharge_no)
