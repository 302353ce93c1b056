"""A worker that settles what is stored and is killed with SIGKILL at a named step; see test_settling_many.py.

python -m tests.apps.orders.killed SCHEMA STEP
"""

from __future__ import annotations

import os
import sys
from typing import Any

from tests.apps.wallet.killed import after, before


def main() -> None:
    """Work, and die on the way."""
    schema, step = sys.argv[1:]
    os.environ["DJANGO_SETTINGS_MODULE"] = "chargeplat.settings"
    import django

    django.setup()
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


if __name__ == "__main__":
    main()
