"""Celery entry points of accounts."""

from celery import shared_task


@shared_task(name="accounts.purge")
def purge() -> None:
    """Forget old lines of the sign-in log, and sessions that are over."""
    from apps.accounts.upkeep import purge as forget

    forget()


@shared_task(name="accounts.end_late_visits")
def end_late_visits() -> None:
    """End support visits whose time is over."""
    from apps.accounts import support

    support.leave_late()
