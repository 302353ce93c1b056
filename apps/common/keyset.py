"""Pages of a long table by the place where the last one ended, never by counting rows.

A place is the values of the fields that the table is ordered by, the last of them unique; all fields go the same way.
PostgreSQL compares whole rows, "(day, id) < (…)", and walks an index on the fields to where the page begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import BooleanField, F, Field, Func, Model, QuerySet, Value

SEPARATOR = "~"

M = TypeVar("M", bound=Model)


class BadPlace(ValueError):
    """A text that is no place in this table."""


class _RowIs(Func):
    """Whether the first half of the expressions, as a row, stands below (or above) the second half."""

    output_field = BooleanField()

    def as_sql(self, compiler: Any, connection: Any, **_options: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        parts = [compiler.compile(expression) for expression in self.get_source_expressions()]
        half = len(parts) // 2
        sides = [", ".join(sql for sql, _params in side) for side in (parts[:half], parts[half:])]
        params = [param for _sql, own in parts for param in own]
        return f"({sides[0]}) {self.extra['operator']} ({sides[1]})", params


def below(queryset: QuerySet[M], fields: Sequence[str], place: Sequence[Any]) -> QuerySet[M]:
    """Return the rows whose values of `fields` come before `place`; the order is the caller's."""
    return queryset.filter(_compare(queryset, fields, place, "<"))


def above(queryset: QuerySet[M], fields: Sequence[str], place: Sequence[Any]) -> QuerySet[M]:
    """Return the rows whose values of `fields` come after `place`; the order is the caller's."""
    return queryset.filter(_compare(queryset, fields, place, ">"))


def write_place(row: Model, fields: Sequence[str]) -> str:
    """Return the place of a row as a text for an address."""
    return SEPARATOR.join(_field(type(row), name).value_to_string(row) for name in fields)


def read_place(model: type[Model], fields: Sequence[str], text: str) -> list[Any]:
    """Return the values of a place. Raises BadPlace for a text that `write_place` cannot have written."""
    parts = text.split(SEPARATOR)
    if len(parts) != len(fields):
        raise BadPlace(text)
    try:
        values = [_field(model, name).clean(part, None) for name, part in zip(fields, parts, strict=True)]
    except (ValidationError, ValueError, OverflowError) as error:
        raise BadPlace(text) from error
    return values


def _field(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, Field)
    return field


def _compare(queryset: QuerySet[M], fields: Sequence[str], place: Sequence[Any], operator: str) -> _RowIs:
    values = [
        Value(value, output_field=_field(queryset.model, name))
        for name, value in zip(fields, place, strict=True)
    ]
    return _RowIs(*(F(name) for name in fields), *values, operator=operator)
