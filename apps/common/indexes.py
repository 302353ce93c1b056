"""For migrations: indexes that Django makes by itself and nobody asks."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.migrations import RunSQL

_DROP = """
DO $$
DECLARE
    one text;
BEGIN
    FOR one IN
        SELECT format('DROP INDEX %I.%I', space.nspname, index.relname)
          FROM pg_index made JOIN pg_class owner ON owner.oid = made.indrelid
          JOIN pg_namespace space ON space.oid = owner.relnamespace
          JOIN pg_class index ON index.oid = made.indexrelid
          JOIN pg_attribute col ON col.attrelid = owner.oid AND col.attnum = made.indkey[0]
          JOIN pg_opclass kind ON kind.oid = made.indclass[0]
         WHERE space.nspname = current_schema() AND NOT made.indisunique AND made.indnatts = 1
           AND made.indpred IS NULL AND kind.opcname LIKE '{kind}'
           AND owner.relname = '{table}' AND col.attname = '{column}'
    LOOP
        EXECUTE one;
    END LOOP;
END
$$
"""


def without_index(places: Iterable[tuple[str, str]]) -> RunSQL:
    """Drop the plain indexes of single columns ((table, column)), those for prefixes included; constraints stay.

    Without the scan of the table that altering a foreign key would take.
    """
    return _dropping(places, "%", "CREATE INDEX ON {table} ({column})")


def without_prefix_index(places: Iterable[tuple[str, str]]) -> RunSQL:
    """Drop the indexes of text columns that only LIKE 'prefix%' uses; Django makes one beside each index of a text."""
    return _dropping(places, "varchar_pattern_ops", "CREATE INDEX ON {table} ({column} varchar_pattern_ops)")


def _dropping(places: Iterable[tuple[str, str]], kind: str, back: str) -> RunSQL:
    chosen = list(places)
    return RunSQL(
        [_DROP.format(table=table, column=column, kind=kind) for table, column in chosen],
        [back.format(table=table, column=column) for table, column in chosen],
    )
