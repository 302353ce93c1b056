"""Celery entry points of reports."""

from celery import shared_task


@shared_task(name="reports.roll")
def roll() -> None:
    """Sum up today, and days that are over and were not summed up since."""
    from apps.reports import rollups

    rollups.roll_due()


@shared_task(name="reports.roll_again")
def roll_again(first: str, last: str) -> None:
    """Sum up a range of business days anew because somebody asked."""
    from datetime import date

    from apps.reports import rollups

    rollups.roll(first=date.fromisoformat(first), last=date.fromisoformat(last))


@shared_task(name="reports.sample_online")
def sample_online() -> None:
    """Note how many guns are online."""
    from apps.reports import samples

    samples.sample_online()


@shared_task(name="reports.tell_platform")
def tell_platform() -> None:
    """Push the tenant's figures of now and of the last days to the platform."""
    from apps.reports import tenants

    tenants.tell_platform()


@shared_task(name="reports.tell_platform_again")
def tell_platform_again() -> None:
    """Push the sums of the last weeks, for what came late."""
    from apps.reports import tenants

    tenants.tell_platform(days=tenants.NIGHTLY_DAYS)


@shared_task(name="reports.send_due")
def send_due() -> None:
    """Mail finance reports whose days are over."""
    from apps.reports import schedules

    schedules.send_due()
