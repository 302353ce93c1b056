"""Events that invoices follow: enqueue one task, nothing else."""

from __future__ import annotations

from typing import Any

from django.dispatch import receiver

from apps.common.queue import enqueue
from apps.invoices import tasks
from apps.orders.signals import order_refunded


@receiver(order_refunded)
def follow_refund(order_no: str, **_kwargs: Any) -> None:
    """Enqueue the refund for the order's invoice."""
    # With the broker away `follow_refunds` finds it.
    enqueue(tasks.follow_refund, order_no)
