"""`manage.py order_states`: the order's moves as a diagram, for docs/flows/charging.md."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from apps.orders.enums import MOVES


def diagram() -> str:
    """Return the table of moves as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    lines += [f"    {state.value} --> {to.value}" for state, moves in MOVES.items() for to in sorted(moves)]
    lines += [f"    {state.value} --> [*]" for state, moves in MOVES.items() if not moves]
    return "\n".join(lines)


class Command(BaseCommand):
    help = "Print the moves between order states as a Mermaid diagram."
    requires_system_checks: list[str] = []

    def handle(self, **_options: Any) -> None:
        self.stdout.write(diagram())
