"""Events that invoices follow: enqueue one task, nothing else."""

from __future__ import annotations

from typing import Any

import structlog
from django.dispatch import receiver
from kombu.exceptions import OperationalError

from apps.invoices import tasks
from apps.orders.signals import order_refunded

log = structlog.get_logger(__name__)


@receiver(order_refunded)
def follow_refund(order_no: str, **_kwargs: Any) -> None:
    """Enqueue the refund for the order's invoice."""
    try:
        tasks.follow_refund.delay(order_no)
    except (OperationalError, OSError) as error:
        # The broker is away: `follow_refunds` finds it.
        log.warning("task_not_queued", task="invoices.follow_refund", error=str(error))
