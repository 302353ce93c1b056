"""What the commands to piles have in common: choosing the piles, following a batch, exit codes.

Exit codes: 0 all went well, 1 a rule said no, or some piles did not do it, 2 wrong arguments: nothing was begun.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.management.base import FOUND, BadArguments, refused
from apps.piles import bulk, services
from apps.piles.commands import Command as PileOrder
from apps.piles.enums import CommandKind, CommandState
from apps.piles.models import CommandBatch, Pile
from apps.piles.selectors import batch_progress
from apps.sites.models import Station

POLL_S = 0.5
LOOKED_AT = ("pile__pile_code", "connector_no", "state", "result")


def add_choice(parser: ArgumentParser) -> None:
    """Add --tenant, --station or --pile, and --json."""
    parser.add_argument("--tenant", required=True, help="the tenant's code")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--station", help="the station's number; without it and --pile all piles")
    which.add_argument("--pile", action="append", default=[], help="a pile code; may be given several times")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def add_sending(parser: ArgumentParser) -> None:
    """Add what commands that send have beside the choice."""
    add_choice(parser)
    parser.add_argument("--reason", default="", help="why, for the list of commands")
    parser.add_argument(
        "--wait", type=float, default=40, help="seconds to wait for the piles' answers (default 40)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say which piles")


def chosen(options: dict[str, Any]) -> tuple[list[Pile], Station | None]:
    """Return the piles that the options name, by code, but for retired ones. Raises BadArguments."""
    if number := options["station"]:
        station = Station.objects.filter(station_no=number).first()
        if station is None:
            numbers = ", ".join(Station.objects.values_list("station_no", flat=True)[:20])
            raise BadArguments(f"no station {number!r}; there are: {numbers or 'none'}")
        return bulk.chosen_piles(station=station), station
    if codes := options["pile"]:
        piles = bulk.chosen_piles(piles=Pile.objects.filter(pile_code__in=codes))
        if missing := sorted(set(codes) - {pile.pile_code for pile in piles}):
            raise BadArguments(f"no pile {', '.join(missing)}, or it is retired")
        return piles, None
    return bulk.chosen_piles(), None


def send_and_follow(
    command: BaseCommand, options: dict[str, Any], what: PileOrder | CommandKind, *, name: str
) -> None:
    """Send to the chosen piles, show how it goes, and leave with the exit code. Works in the tenant's schema."""
    piles, station = chosen(options)
    if options["dry_run"]:
        _say(command, options, {"piles": [pile.pile_code for pile in piles], "dry_run": True}, code=0)
        return
    try:
        batch = bulk.send_bulk(
            command=what,
            piles=None if station else piles,
            station=station,
            actor=Actor("command", name=name),
            reason=options["reason"],
        )
    except DomainError as error:
        refused(command, options, error)
    bulk.deliver_batch(
        batch_id=batch.pk
    )  # so that it works without a worker; what one has taken is left to it
    counts = _follow(command, options, batch)
    failed = [
        {"pile": code, "connector": number, "state": state, "result": result}
        for code, number, state, result in batch.commands.exclude(state=CommandState.DONE)
        .order_by("id")
        .values_list(*LOOKED_AT)
    ]
    answer = {"batch": batch.pk, "piles": batch.total, "commands": counts, "not_done": failed}
    _say(command, options, answer, code=FOUND if failed else 0)


def _follow(command: BaseCommand, options: dict[str, Any], batch: CommandBatch) -> dict[str, int]:
    until, last = time.monotonic() + options["wait"], None
    while True:
        services.expire_commands()
        counts = batch_progress(batches=[batch])[batch.pk]
        if counts != last and not options["json"]:
            words = (f"{counts[word]} {word}" for word in ("done", "failed", "open"))
            command.stdout.write(f"{', '.join(words)} of {counts['total']}")
            command.stdout.flush()
        last = counts
        if not counts["open"] or time.monotonic() >= until:
            return counts
        time.sleep(POLL_S)


def _say(command: BaseCommand, options: dict[str, Any], answer: dict[str, Any], *, code: int) -> None:
    if options["json"]:
        command.stdout.write(json.dumps(answer, ensure_ascii=False))
    elif answer.get("dry_run"):
        command.stdout.write("\n".join([*answer["piles"], f"{len(answer['piles'])} piles, nothing sent"]))
    else:
        for row in answer["not_done"]:
            why = row["result"].get("reason", "")
            command.stdout.write(f"{row['pile']}{row['connector']}: {row['state']} {why}".rstrip())
        command.stdout.write(f"bulk command {answer['batch']}: {answer['piles']} piles")
    if code:
        sys.exit(code)
