"""`manage.py pile_status`: which piles are online, and what their guns do."""

import json
import sys
from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.management.base import FOUND
from apps.common.schema import schema_context
from apps.piles.enums import ConnectorState, PileState
from apps.piles.management.choosing import add_choice, chosen
from apps.piles.models import ConnectorStatus, Pile
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 all is well, 1 a pile in service is offline or one of its guns has a fault, 2 wrong arguments."""

    help = (
        "Show which piles are online and what their guns do, of one pile, a station or a tenant. Exit codes: 0 all is "
        "well, 1 a pile that is in service is offline or one of its guns has a fault, 2 wrong arguments."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which piles."""
        add_choice(parser)
        parser.add_argument("--troubled", action="store_true", help="list only piles with trouble")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print a line for each pile and a sum."""
        with schema_context(schema_named(options["tenant"])):
            piles, _station = chosen(options)
            rows = _rows(piles)
        listed = [row for row in rows if row["trouble"] or not options["troubled"]]
        states = Counter(state for row in rows for state in row["guns"].values())
        troubled = sum(1 for row in rows if row["trouble"])
        total = {
            "piles": len(rows),
            "online": sum(1 for row in rows if row["online"]),
            "troubled": troubled,
            "guns": {state.value: states[state.value] for state in ConnectorState},
        }
        if options["json"]:
            self.stdout.write(json.dumps({**total, "rows": listed}, ensure_ascii=False))
        else:
            for row in listed:
                guns = " ".join(f"{number}:{state}" for number, state in row["guns"].items())
                line = "online" if row["online"] else "offline"
                self.stdout.write(f"{row['pile']} {line:7} {guns} {row['trouble']}".rstrip())
            counts = ", ".join(f"{count} {state}" for state, count in total["guns"].items())
            self.stdout.write(
                f"{total['online']} of {total['piles']} online, {troubled} with trouble; guns: {counts}"
            )
        if troubled:
            sys.exit(FOUND)


def _rows(piles: list[Pile]) -> list[dict[str, Any]]:
    guns: dict[int, dict[str, str]] = {pile.pk: {} for pile in piles}
    found = ConnectorStatus.objects.filter(connector__pile_id__in=guns).order_by("connector__code")
    for pile_id, number, state in found.values_list("connector__pile_id", "connector__connector_no", "state"):
        guns[pile_id][number] = state
    rows = []
    for pile in piles:
        trouble = ""
        if pile.state == PileState.IN_SERVICE:
            if not pile.is_online:
                trouble = "offline"
            elif ConnectorState.FAULT in guns[pile.pk].values():
                trouble = "fault"
        rows.append(
            {
                "pile": pile.pile_code,
                "station": pile.station.station_no,
                "state": pile.state,
                "online": pile.is_online,
                "last_seen": pile.last_seen_at.isoformat() if pile.last_seen_at else None,
                "guns": guns[pile.pk],
                "trouble": trouble,
            }
        )
    return rows
