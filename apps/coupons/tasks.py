"""Celery entry points of coupons."""

from celery import shared_task


@shared_task(name="coupons.expire")
def expire() -> None:
    """Mark coupons whose last day is over."""
    from apps.coupons import services

    while services.expire() == services.EXPIRE_AT_ONCE:
        pass
