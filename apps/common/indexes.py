"""For migrations: indexes of tables that are written meanwhile, and those that Django makes and nobody asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.migrations import AddIndex, RemoveIndex, RunSQL

LARGE_PAGES = 10_000
"""From so many pages on (80 MB) a table's writers would notice that an index is being made."""

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


class AddIndexQuietly(AddIndex):
    """Make an index without stopping those who write a large table; that of a small one, as most are, at once.

    For migrations with `atomic = False`, which may be run again after they were stopped half-way: what is there stays,
    what was not finished is made anew.
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make it."""
        _make(self, to_state.apps.get_model(app_label, self.model_name), schema_editor, self.index)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drop it."""
        _drop(self, from_state.apps.get_model(app_label, self.model_name), schema_editor, self.index)


class RemoveIndexQuietly(RemoveIndex):
    """Drop an index without stopping those who read or write a large table; see AddIndexQuietly."""

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Drop it."""
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        _drop(self, from_state.apps.get_model(app_label, self.model_name), schema_editor, index)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make it again."""
        index = to_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        _make(self, to_state.apps.get_model(app_label, self.model_name), schema_editor, index)


def _make(operation: Any, model: Any, schema_editor: Any, index: Any) -> None:
    if not operation.allow_migrate_model(schema_editor.connection.alias, model):
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            """SELECT made.indisvalid FROM pg_index made JOIN pg_class index ON index.oid = made.indexrelid
                WHERE index.relname = %s AND index.relnamespace = current_schema()::regnamespace""",
            [index.name],
        )
        found = cursor.fetchone()
    if found and found[0]:
        return
    if found:
        schema_editor.remove_index(model, index)
    schema_editor.add_index(model, index, concurrently=_is_large(model, schema_editor))


def _drop(operation: Any, model: Any, schema_editor: Any, index: Any) -> None:
    if operation.allow_migrate_model(schema_editor.connection.alias, model):
        schema_editor.remove_index(model, index, concurrently=_is_large(model, schema_editor))


def _is_large(model: Any, schema_editor: Any) -> bool:
    if schema_editor.connection.in_atomic_block:
        return False
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size(%s::regclass) / 8192", [model._meta.db_table])
        return bool(cursor.fetchone()[0] > LARGE_PAGES)
