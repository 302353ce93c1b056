"""The tenant-aware Celery app and the whole beat schedule."""

import gc
import os
from typing import Any

from celery.schedules import crontab
from celery.signals import worker_before_create_process
from tenant_schemas_celery.app import CeleryApp

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")

app = CeleryApp("chargeplat")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_before_create_process.connect
def _freeze(**_: Any) -> None:
    """Let the garbage collector pass over what is loaded before a worker's child is made.

    Its full runs wait until a quarter of what it knows is new: with all of the program in it, twenty megabytes of
    garbage of tasks. Pages that it does not write to also stay shared between the children.
    """
    gc.collect()
    gc.freeze()


# The platform's own work, in the public schema.
_OWN = {
    name: {"task": name, "schedule": when}
    for name, when in {
        "accounts.end_late_visits": 60.0,
        "tenancy.find_openings": 30.0,
        "tenancy.suspend_expired": crontab(minute="10"),
    }.items()
}

# For tenants beat, which runs in the public schema, only fans out: one small task for each (apps.tenancy.tasks).
app.conf.beat_schedule = _OWN | {
    name: {"task": "tenancy.fan_out", "schedule": when, "args": [name]}
    for name, when in {
        "orders.settle_pending": 15.0,
        "files.find_exports": 60.0,
        "files.purge": crontab(hour="3", minute="50"),
        "orders.watch_orders": 10.0,
        "orders.watch_unbilled": 15.0,
        "notifications.deliver_due": 15.0,
        "notifications.deliver_app": 15.0,
        "notifications.purge": crontab(hour="3", minute="40"),
        "piles.expire_commands": 10.0,
        "piles.watch_silent_piles": 30.0,
        "piles.watch_alarms": 15.0,
        "orders.watch_starts": 60.0,
        "piles.sync_cards": 60.0,
        "piles.sync_clocks": 600.0,
        "pricing.push_due_prices": 30.0,
        "orders.watch_limits": 5.0,
        "customers.purge_inbox": crontab(hour="3", minute="20"),
        "invoices.follow_refunds": 300.0,
        "coupons.expire": crontab(hour="0", minute="5"),
        "wallet.check_recharges": 15.0,
        "wallet.execute_refunds": 15.0,
        "wallet.process_notices": 15.0,
        "wallet.refresh_keys": crontab(hour="2", minute="20"),
        "orders.store_missing_curves": crontab(hour="4", minute="10"),
        "wallet.reconcile": 1800.0,
        "reports.roll": 300.0,
        "reports.send_due": crontab(hour="7-21", minute="10"),
        "orders.reconcile_energy": crontab(hour="5", minute="20"),
        "accounts.purge": crontab(hour="4", minute="30"),
        "customers.export_data": 300.0,
        "customers.purge": crontab(hour="4", minute="35"),
        "reports.tell_platform": 300.0,
        "reports.tell_platform_again": crontab(hour="4", minute="40"),
        "piles.keep_partitions": crontab(hour="3", minute="30"),
        "reports.sample_online": crontab(minute="*/10"),
        # Asked every hour of the night: a call that no worker took is dropped, and what is done is not done again.
        "orders.close_books": crontab(hour="1-6", minute="20"),
    }.items()
}
