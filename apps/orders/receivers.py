"""Events that orders follow, of lower apps and their own: enqueue one task, nothing else."""

from __future__ import annotations

from typing import Any

import structlog
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from apps.orders import tasks
from apps.orders.signals import orders_settled
from apps.piles.reports import ConnectorReport
from apps.piles.signals import connector_changed
from apps.wallet.signals import recharge_paid

CURVE_AFTER_S = 15
"""The last rows of telemetry are stored within seconds of their frames; the record may be settled before."""

log = structlog.get_logger(__name__)


@receiver(connector_changed)
def follow_connector(report: ConnectorReport, **_kwargs: Any) -> None:
    """Enqueue the change for the order of this transaction, if the report names one."""
    if not report.transaction_no.strip("0"):
        return
    try:
        tasks.connector_changed.delay(
            report.transaction_no,
            f"{report.pile_code}{report.connector_no}",
            report.state.value,
            str(report.energy_kwh),
            report.reported_at.isoformat(),
        )
    except (OperationalError, OSError) as error:
        # The broker is away: the watchdog reads the connector's status.
        log.warning("task_not_queued", task="orders.connector_changed", error=str(error))


@receiver(orders_settled)
def keep_curves(order_nos: list[str], **_kwargs: Any) -> None:
    """Enqueue the thinning of these orders' telemetry."""
    try:
        tasks.store_curve.apply_async(order_nos, countdown=CURVE_AFTER_S)
    except (OperationalError, OSError) as error:
        # The broker is away: `store_missing_curves` finds the orders.
        log.warning("task_not_queued", task="orders.store_curve", error=str(error))


@receiver(recharge_paid)
def follow_recharge(recharge_no: str, **_kwargs: Any) -> None:
    """Enqueue the top-up for the customer's running orders."""
    try:
        tasks.raise_holds.delay(recharge_no)
    except (OperationalError, OSError) as error:
        # The broker is away: the watchdog finds the top-up.
        log.warning("task_not_queued", task="orders.raise_holds", error=str(error))
