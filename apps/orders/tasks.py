"""Celery entry points of orders."""

from celery import shared_task


@shared_task(name="orders.settle_pending")
def settle_pending() -> None:
    """Settle records that were stored and nobody has settled yet."""
    from apps.orders import settling

    settling.settle_pending()


@shared_task(name="orders.watch_orders")
def watch_orders() -> None:
    """Look after orders that wait for something that may never come."""
    from apps.orders import watchdog

    watchdog.watch_orders()


@shared_task(name="orders.watch_starts")
def watch_starts() -> None:
    """Find guns at which one start after another fails."""
    from apps.orders import start_failures

    start_failures.watch_starts()


@shared_task(name="orders.connector_changed")
def connector_changed(
    transaction_no: str, connector_code: str, state: str, energy_kwh: str, reported_at: str
) -> None:
    """Let an order follow its connector."""
    from datetime import datetime

    from apps.orders import services

    services.connector_changed(
        transaction_no=transaction_no,
        connector_code=connector_code,
        state=state,
        energy_kwh=energy_kwh,
        reported_at=datetime.fromisoformat(reported_at),
    )


@shared_task(name="orders.store_curve")
def store_curve(*order_nos: str) -> None:
    """Keep what settled charges looked like."""
    from apps.orders import battery

    for order_no in order_nos:
        battery.store_curve(order_no=order_no)


@shared_task(name="orders.tell_settled")
def tell_settled(*order_nos: str) -> None:
    """Tell drivers that their bills are ready."""
    from apps.orders import telling

    telling.tell_settled(order_nos=order_nos)


@shared_task(name="orders.store_missing_curves")
def store_missing_curves() -> None:
    """Keep what settled charges looked like whose task was lost."""
    from apps.orders import battery

    battery.store_missing_curves()


@shared_task(name="orders.raise_holds")
def raise_holds(recharge_no: str) -> None:
    """Let the holds of running orders grow after a top-up."""
    from apps.orders import balance

    balance.raise_holds(recharge_no=recharge_no)


@shared_task(name="orders.watch_limits")
def watch_limits() -> None:
    """Stop charges that have reached a limit which their pile does not know."""
    from apps.orders import watchdog

    watchdog.watch_limits()


@shared_task(name="orders.watch_unbilled")
def watch_unbilled() -> None:
    """Find energy that nobody pays for."""
    from apps.orders import unbilled

    unbilled.watch_unbilled()


@shared_task(name="orders.check_meter")
def check_meter(*record_ids: int) -> None:
    """Compare the meters of records with those of the records before and after them."""
    from apps.orders import unbilled

    unbilled.check_meters(record_ids=record_ids)


@shared_task(name="orders.reconcile_energy")
def reconcile_energy() -> None:
    """Compare yesterday's piles with its bills."""
    from apps.orders import energy_reconcile

    energy_reconcile.reconcile_energy_nightly()


@shared_task(name="orders.close_books")
def close_books() -> None:
    """Check the ledger and close yesterday, once a night."""
    from apps.orders import closing

    closing.close_books_nightly()


@shared_task(name="orders.check_books")
def check_books(kind: str, person: str, name: str, close: bool) -> None:
    """Check the ledger because somebody asked, and close the days that are over when nothing is found."""
    from apps.common.ids import Actor
    from apps.orders import closing

    actor = Actor(kind, person, name)
    if close:
        closing.close_books(actor=actor)
    else:
        closing.check_books(asked_by=actor)
