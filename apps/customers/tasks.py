"""Celery entry points of customers."""

from celery import shared_task


@shared_task(name="customers.tell")
def tell(customer_id: int, kind: str, reference: str) -> None:
    """Hand a message of an inbox to the messengers that bring it to the driver's phone."""
    from apps.customers import inbox

    inbox.tell(customer_id=customer_id, kind=kind, reference=reference)


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
