"""Celery entry points of prices."""

from celery import shared_task


@shared_task(name="pricing.push_due_prices")
def push_due_prices() -> None:
    """Send queued prices to the piles that can take them now."""
    from apps.pricing import services

    services.push_due_prices()
