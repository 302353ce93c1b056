"""Celery entry points of notifications."""

from celery import shared_task


@shared_task(name="notifications.deliver_due")
def deliver_due() -> None:
    """Send the messages that are due, but for those in apps."""
    from apps.notifications import services

    services.deliver_due()


@shared_task(name="notifications.deliver_app")
def deliver_app() -> None:
    """Send the messages in apps that are due."""
    from apps.notifications import services

    services.deliver_app()


@shared_task(name="notifications.purge")
def purge() -> None:
    """Delete old messages."""
    from apps.notifications import services

    services.purge()
