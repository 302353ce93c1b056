"""Celery entry points of customers."""

from celery import shared_task


@shared_task(name="customers.tell")
def tell(named: list[tuple[int, str, str]]) -> None:
    """Hand messages of inboxes to the messengers that bring them to the drivers' phones."""
    from apps.customers import inbox

    inbox.tell(named=named)


@shared_task(name="customers.purge_inbox")
def purge_inbox() -> None:
    """Delete old messages of inboxes."""
    from apps.customers import inbox

    inbox.purge()


@shared_task(name="customers.export_data")
def export_data() -> None:
    """Write the copies of their data that drivers wait for."""
    from apps.customers import data_export

    data_export.run_all()


@shared_task(name="customers.purge")
def purge() -> None:
    """Forget sessions that were over long ago."""
    from apps.customers import sessions

    sessions.purge()
