"""Many rows in one statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from django.db import connection, models


def update_rows(rows: Sequence[models.Model], fields: Sequence[str]) -> None:
    """Write these fields, and `updated_at` where there is one, of rows of one table that are locked by the caller.

    As `save(update_fields=…)` of each does, but in one statement whose columns the table itself types. Raises
    LookupError when a row is gone.
    """
    if not rows:
        return
    statement, values = _update(type(rows[0]), tuple(fields))
    with connection.cursor() as cursor:
        cursor.execute(statement, [to_json([{"id": row.pk, **values(row)} for row in rows])])
        if cursor.rowcount != len(rows):
            raise LookupError(
                f"{len(rows) - cursor.rowcount} of {len(rows)} rows of {rows[0]._meta.db_table} are gone"
            )


def insert_rows(rows: Sequence[models.Model]) -> None:
    """Insert rows of one table in one statement whose columns the table itself types. The rows get no ids.

    As `bulk_create` does, without building an expression for each value of each row.
    """
    if not rows:
        return
    statement, values = _insert(type(rows[0]))
    with connection.cursor() as cursor:
        cursor.execute(statement, [to_json([values(row) for row in rows])])


Values = Callable[[models.Model], dict[str, Any]]


@lru_cache(maxsize=64)
def _update(model: type[models.Model], fields: tuple[str, ...]) -> tuple[str, Values]:
    meta = model._meta
    columns: list[Any] = [meta.get_field(name) for name in fields]
    columns += [field for field in meta.concrete_fields if getattr(field, "auto_now", False)]
    quote = connection.ops.quote_name
    table, names = quote(meta.db_table), [quote(field.column) for field in columns]
    statement = (
        f"UPDATE {table} AS old SET {', '.join(f'{name} = new.{name}' for name in names)}"  # noqa: S608 - our own names
        f" FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) AS new WHERE old.id = new.id"
    )
    return statement, _values(columns, adding=False)


@lru_cache(maxsize=64)
def _insert(model: type[models.Model]) -> tuple[str, Values]:
    meta = model._meta
    columns: list[Any] = [field for field in meta.concrete_fields if not field.primary_key]
    quote = connection.ops.quote_name
    table, names = quote(meta.db_table), ", ".join(quote(field.column) for field in columns)
    statement = (
        f"INSERT INTO {table} ({names}) SELECT {names}"  # noqa: S608 - our own names
        f" FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb)"
    )
    return statement, _values(columns, adding=True)


def _values(columns: Sequence[Any], *, adding: bool) -> Values:
    """Return what takes a row's columns from it; only fields that fill themselves in are asked."""
    filling = [field for field in columns if getattr(field, "auto_now", False) or _fills(field)]
    plain = [(field.column, field.attname) for field in columns if field not in filling]

    def values(row: models.Model) -> dict[str, Any]:
        found = {column: getattr(row, name) for column, name in plain}
        for field in filling:
            found[field.column] = field.pre_save(row, adding)
        return found

    return values


def _fills(field: Any) -> bool:
    return bool(getattr(field, "auto_now_add", False)) or isinstance(field, models.FileField)


def _text(value: Any) -> str:
    return str.__str__(value) if isinstance(value, str) else str(value)


_encode = msgspec.json.Encoder(decimal_format="string", enc_hook=_text).encode


def to_json(values: Any) -> str:
    """Return rows for `jsonb_to_recordset`: amounts and times as texts, exact to the last digit."""
    return _encode(values).decode()
