"""Celery entry points of invoices."""

from celery import shared_task


@shared_task(name="invoices.follow_refund")
def follow_refund(order_no: str) -> None:
    """Let the invoice of a refunded order follow."""
    from apps.invoices import following

    following.follow_refund(order_no=order_no)


@shared_task(name="invoices.follow_refunds")
def follow_refunds() -> None:
    """Let invoices follow refunds whose task was lost."""
    from apps.invoices import following

    following.follow_refunds()
