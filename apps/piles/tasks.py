"""Celery entry points of piles."""

from datetime import timedelta

from celery import shared_task


@shared_task(name="piles.expire_commands")
def expire_commands() -> None:
    """Close commands that nobody answered, and deliver those of batches that were left behind."""
    from apps.piles import bulk, services

    services.expire_commands()
    bulk.deliver_left_behind()


@shared_task(name="piles.deliver_batch", acks_late=True)
def deliver_batch(batch_id: int) -> None:
    """Deliver the commands of a batch."""
    from apps.piles import bulk

    bulk.deliver_batch(batch_id=batch_id)


@shared_task(name="piles.watch_silent_piles")
def watch_silent_piles() -> None:
    """Set piles offline whose gateway process died."""
    from apps.piles import services

    services.watch_silent_piles(silent_after=timedelta(seconds=90))


@shared_task(name="piles.keep_partitions")
def keep_partitions() -> None:
    """Make the partitions of the months to come, drop those that are old."""
    from apps.piles import partitions

    partitions.keep_partitions()


@shared_task(name="piles.sync_cards")
def sync_cards() -> None:
    """Go on writing and deleting offline cards where a frame or its answer was lost."""
    from apps.piles import cards

    cards.sync_all()


@shared_task(name="piles.sync_clocks")
def sync_clocks() -> None:
    """Set the clocks that are due."""
    from apps.piles import clocks

    clocks.sync_clocks()


@shared_task(name="piles.watch_alarms")
def watch_alarms() -> None:
    """Find what nobody reports, sort alarms by the rules, tell people."""
    from apps.piles.alarms import watch

    watch.watch_alarms()
