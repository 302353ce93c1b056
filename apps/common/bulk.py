"""Many changed rows in one statement."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.db import connection, models


def update_rows(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Write these fields, and `updated_at` where there is one, of rows of one table that are locked by the caller.

    As `save(update_fields=…)` of each does, but in one statement whose columns the table itself types. Raises
    LookupError when a row is gone.
    """
    if not rows:
        return
    meta = rows[0]._meta
    columns: list[Any] = [meta.get_field(name) for name in fields]
    columns += [field for field in meta.concrete_fields if getattr(field, "auto_now", False)]
    values = [
        {"id": row.pk, **{field.column: field.pre_save(row, False) for field in columns}} for row in rows
    ]
    quote = connection.ops.quote_name
    table, names = quote(meta.db_table), [quote(field.column) for field in columns]
    statement = (
        f"UPDATE {table} AS old SET {', '.join(f'{name} = new.{name}' for name in names)}"  # noqa: S608 - our own names
        f" FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) AS new WHERE old.id = new.id"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [to_json(values)])
        if cursor.rowcount != len(rows):
            raise LookupError(
                f"{len(rows) - cursor.rowcount} of {len(rows)} rows of {meta.db_table} are gone"
            )


def to_json(values: Any) -> str:
    """Return rows for `jsonb_to_recordset`: amounts and times as texts, exact to the last digit."""
    return json.dumps(values, default=str)
