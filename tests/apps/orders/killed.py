"""A worker that settles what is stored and is killed with SIGKILL at a named step; see test_settling_many.py."""

from __future__ import annotations

from typing import Any

from tests.apps.wallet.killed import after, before


def main(arguments: list[str]) -> None:
    """Work, and die on the way."""
    schema, step = arguments
    from apps.common.schema import schema_context
    from apps.orders import desk, settling, unbilled
    from apps.wallet import ledger

    steps: dict[str, Any] = {
        "money written": lambda: after(ledger, "write"),
        "bills written": lambda: before(desk, "update_rows"),
        "records written": lambda: before(desk, "close_alarms"),
        "committed": lambda: before(unbilled, "records_worked_off"),
    }
    steps[step]()
    with schema_context(schema):
        settling.settle_pending()
