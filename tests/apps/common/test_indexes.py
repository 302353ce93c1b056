"""Indexes that migrations make while a table is written: small tables at once, large ones without stopping anybody."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.migrations.state import ProjectState
from django.test.utils import CaptureQueriesContext

from apps.common import indexes
from apps.common.indexes import AddIndexQuietly, RemoveIndexQuietly

NAME = "made_by_a_test"


def is_valid() -> bool | None:
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT made.indisvalid FROM pg_index made
                WHERE made.indexrelid = to_regclass(format('%%I.%%I', current_schema(), %s))""",
            [NAME],
        )
        found = cursor.fetchone()
    return found[0] if found else None


def run(operation: Any, before: ProjectState, after: ProjectState, *, back: bool = False) -> list[str]:
    with CaptureQueriesContext(connection) as asked, connection.schema_editor(atomic=False) as editor:
        if back:
            operation.database_backwards("orders", editor, after, before)
        else:
            operation.database_forwards("orders", editor, before, after)
    words = (" ".join(query["sql"].split()[:3]).upper() for query in asked.captured_queries)
    return [found for found in words if found.startswith(("CREATE", "DROP"))]


@pytest.mark.parametrize(("large", "how"), [(indexes.LARGE_PAGES, "INDEX"), (-1, "INDEX CONCURRENTLY")])
def test_an_index_is_made_and_dropped_as_large_as_its_table_is(
    committed: Any, monkeypatch: pytest.MonkeyPatch, large: int, how: str
) -> None:
    monkeypatch.setattr(indexes, "LARGE_PAGES", large)
    add = AddIndexQuietly("order", models.Index(fields=["vin"], name=NAME))
    remove = RemoveIndexQuietly("order", NAME)
    without, with_it = ProjectState.from_apps(apps), ProjectState.from_apps(apps)
    add.state_forwards("orders", with_it)
    try:
        (made,) = run(add, without, with_it)
        assert made.startswith(f"CREATE {how}")
        assert is_valid() is True
        assert run(add, without, with_it) == []  # a migration that was stopped half-way runs again

        with connection.cursor() as cursor:
            cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", [NAME])
        assert [one.split()[0] for one in run(add, without, with_it)] == ["DROP", "CREATE"]
        assert is_valid() is True

        (dropped,) = run(remove, with_it, without)
        assert dropped.startswith(f"DROP {how}")
        assert is_valid() is None
        run(remove, with_it, without, back=True)
        assert is_valid() is True
        run(add, without, with_it, back=True)
        assert is_valid() is None
        run(remove, with_it, without)  # what is gone is gone
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP INDEX IF EXISTS {NAME}")
