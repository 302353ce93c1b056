"""Statements that PostgreSQL keeps parsed and planned: for the few that a driver's app asks with nearly every request.

To plan a query of three tables takes as long as to answer it. Where connections are pooled, the plan is made once on
each; elsewhere a connection lives for one request, and behind PgBouncer it is not ours: there it is a plain query.

A plan is good for one search path: PostgreSQL makes another where a connection has gone over to another tenant's
(PREPARE, notes).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import NotSupportedError, connection

_known: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()
"""psycopg connection → {name of a statement: what it is called there}."""
_numbers = count(1)


class Prepared:
    """One statement: `sql` names its parameters $1, $2 …, `types` are theirs."""

    def __init__(self, name: str, types: Sequence[str], sql: str) -> None:
        self._name = name
        self._prepare = f"({', '.join(types)}) AS {sql}"
        self._values = f"({', '.join(['%s'] * len(types))})"
        # The same as one query, in which each value is of the type that it is prepared for.
        plain = sql.replace("%", "%%")
        for number, kind in enumerate(types, 1):
            plain = plain.replace(f"${number}", f"%(p{number})s::{kind}")
        self._plain = plain

    def rows(self, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of the statement in the current schema."""
        with connection.cursor() as cursor:
            if not keeps_plans():
                cursor.execute(self._plain, {f"p{number}": value for number, value in enumerate(values, 1)})
                return cursor.fetchall()
            called = self._called(cursor)
            try:
                cursor.execute(f"EXECUTE {called} {self._values}", values)
            except NotSupportedError:  # a migration changed a column: what was prepared answers no more
                del _known[connection.connection][self._name]
                if connection.in_atomic_block:
                    raise
                cursor.execute(f"DEALLOCATE {called}")
                cursor.execute(f"EXECUTE {self._called(cursor)} {self._values}", values)
            return cursor.fetchall()

    def _called(self, cursor: Any) -> str:
        """Return what the statement is called on this connection, prepared if need be."""
        known = _known.setdefault(connection.connection, {})
        if self._name not in known:
            name = f"{self._name}_{next(_numbers)}"
            cursor.execute(f"PREPARE {name} {self._prepare}")
            known[self._name] = name
        return known[self._name]


def keeps_plans() -> bool:
    """Whether this connection comes back for further requests, with what was prepared on it."""
    return bool(connection.settings_dict["OPTIONS"].get("pool")) and settings.TENANT_LIMIT_SET_CALLS
