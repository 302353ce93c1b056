"""Events of lower apps that orders follow: enqueue one task, nothing else."""

from __future__ import annotations

from typing import Any

import structlog
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from apps.orders import tasks
from apps.piles.reports import ConnectorReport
from apps.piles.signals import connector_changed

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
