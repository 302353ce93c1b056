"""Monthly partitions of telemetry and raw frames: made ahead, dropped when they are old.

A tenant begins without any; the gateway's writers have them made when they meet a month that has none, so nothing is
lost when the daily task did not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from psycopg import sql

from apps.common.schema import current_schema
from apps.common.time import SHANGHAI, now
from apps.piles.models import RawFrame, Telemetry
from apps.tenancy.models import Tenant

log = structlog.get_logger(__name__)

TABLES = (Telemetry._meta.db_table, RawFrame._meta.db_table)
LOCK_TIMEOUT = "5s"
_NAME = re.compile(r"_(\d{4})(\d{2})$")
_MAKING = 7_203_411  # any number that no other advisory lock of ours has

# Made beside its parent and attached then: PARTITION OF would lock out whoever writes another month.
MAKE = "CREATE TABLE {partition} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
ATTACH = "ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES FROM ({first}) TO ({end})"
EXISTING = """
SELECT p.relname FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhrelid
  JOIN pg_class t ON t.oid = i.inhparent JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE n.nspname = %s AND t.relname = %s ORDER BY p.relname
"""


@dataclass
class Kept:
    """Names of the partitions made and dropped, and the number of old frames deleted from those that stay."""

    made: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    frames_deleted: int = 0


def ensure_partitions(*, at: datetime | None = None) -> list[str]:
    """Make the partitions of the month of `at` (default now) and of the next; return the names of new ones.

    Months are Shanghai's. Safe at the same time from several processes. Raises OperationalError on a lock time-out.
    """
    first = month_of(at or now())
    with transaction.atomic():
        _wait_at_most(LOCK_TIMEOUT)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_MAKING, current_schema()])
        missing = _missing(first)
        for table, name, month in missing:
            _make(table, name, month)
    made = [name for _, name, _ in missing]
    if made:
        log.info("partitions_made", schema=current_schema(), names=made)
    return made


def _missing(first: datetime) -> list[tuple[str, str, datetime]]:
    """Return table, name and month of the partitions that the month of `first` and the next one lack."""
    found = []
    for table in TABLES:
        existing = partitions_of(table)
        for month in (first, next_month(first)):
            name = f"{table}_{month:%Y%m}"
            if name not in existing:
                found.append((table, name, month))
    return found


def keep_partitions(*, at: datetime | None = None, dry_run: bool = False) -> Kept:
    """Make what this and the next month need; drop what is older than the tenant wants to keep.

    Telemetry goes by whole months (`Tenant.telemetry_months` before the present one stay); frames go by days
    (`Tenant.frame_days`), whole months as partitions and the rest row by row. With `dry_run` nothing
    changes, and what would is returned.
    """
    moment = at or now()
    kept = Kept()
    if dry_run:
        kept.made = [name for _, name, _ in _missing(month_of(moment))]
    else:
        kept.made = ensure_partitions(at=moment)
    tenant = Tenant.objects.get(schema_name=current_schema())
    oldest = month_of(moment)
    for _ in range(tenant.telemetry_months):
        oldest = month_of(oldest - timedelta(days=1))
    frames_since = moment - timedelta(days=tenant.frame_days)
    for table, end in ((TABLES[0], oldest), (TABLES[1], frames_since)):
        for name in partitions_of(table):
            month = _month_named(name)
            if month is not None and next_month(month) <= end:
                if not dry_run:
                    _drop(name)
                kept.dropped.append(name)
    old = RawFrame.objects.filter(at__lt=frames_since)
    if dry_run:
        kept.frames_deleted = old.count()
        return kept
    kept.frames_deleted, _ = old.delete()
    if kept.dropped or kept.frames_deleted:
        log.info(
            "partitions_dropped", schema=current_schema(), names=kept.dropped, frames=kept.frames_deleted
        )
    return kept


def partitions_of(table: str) -> list[str]:
    """Return the names of a table's partitions in the current schema, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTING, [current_schema(), table])
        return [name for (name,) in cursor.fetchall()]


def month_of(moment: datetime) -> datetime:
    """Return the first moment of the Shanghai month that `moment` is in."""
    return moment.astimezone(SHANGHAI).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(first: datetime) -> datetime:
    """Return the first moment of the month after the one that begins at `first`."""
    return month_of(first + timedelta(days=32))


def _month_named(name: str) -> datetime | None:
    found = _NAME.search(name)
    return datetime(int(found[1]), int(found[2]), 1, tzinfo=SHANGHAI) if found else None


def _make(table: str, name: str, month: datetime) -> None:
    schema = current_schema()
    names = {"table": sql.Identifier(schema, table), "partition": sql.Identifier(schema, name)}
    bounds = {"first": sql.Literal(month.isoformat()), "end": sql.Literal(next_month(month).isoformat())}
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(MAKE).format(**names))
        cursor.execute(sql.SQL(ATTACH).format(**names, **bounds))


def _drop(name: str) -> None:
    """Drop one month. It needs the table for itself for a moment; what writes then waits or tries again."""
    with transaction.atomic():
        _wait_at_most(LOCK_TIMEOUT)
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(current_schema(), name)))


def _wait_at_most(lock_timeout: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [lock_timeout])
