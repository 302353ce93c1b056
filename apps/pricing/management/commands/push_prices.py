"""`manage.py push_prices`: send the prices in force to piles, or schedule others for later."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.management.base import FOUND, BadArguments, refused
from apps.common.schema import schema_context
from apps.common.time import FIRST_DAY, LAST_DAY, SHANGHAI, now
from apps.piles.enums import CommandKind
from apps.piles.management.choosing import add_sending, chosen, send_and_follow
from apps.pricing.enums import TaskDays
from apps.sites.models import Station
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 all have them, 1 some did not take them, or nothing was sent, 2 wrong arguments."""

    help = (
        "Send the prices in force to a pile, the piles of a station, or all of a tenant. A pile that charges gets them "
        "when it is idle. Exit codes: 0 all others have them, 1 nothing was sent (no pile has a price, or all charge), "
        "or some piles refused, were offline or gave no answer (they are asked again as long as the price is in "
        "force), 2 wrong arguments. "
        "With --schedule nothing is sent now: a price task is made for a template's version, from that time on. "
        "Exit codes then: 0 scheduled, 1 refused, or it waits for a second person, 2 wrong arguments."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which piles; and which prices from when."""
        add_sending(parser)
        parser.add_argument(
            "--schedule",
            metavar="TIME",
            help='from when, "2026-12-01 00:00" in Chinese time; needs --template',
        )
        parser.add_argument(
            "--until", metavar="TIME", help="with --schedule: until when; then what was before is back"
        )
        parser.add_argument("--template", help="with --schedule: the price template's name")
        parser.add_argument(
            "--version-number", type=int, help="with --schedule: its version; the newest by default"
        )
        parser.add_argument(
            "--days",
            choices=[str(days) for days in TaskDays],
            default=str(TaskDays.ALL),
            help="with --schedule",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Send, and follow the answers; or schedule."""
        with schema_context(schema_named(options["tenant"])):
            if options["schedule"] is None:
                for name in ("until", "template", "version_number"):
                    if options[name] is not None:
                        raise BadArguments(f"--{name.replace('_', '-')} needs --schedule")
                send_and_follow(self, options, CommandKind.SET_BILLING_MODEL, name="push_prices")
            else:
                self._schedule(options)

    def _schedule(self, options: dict[str, Any]) -> None:
        from apps.backoffice import approvals
        from apps.pricing import changes, price_tasks
        from apps.pricing.price_tasks import Place

        version = self._version(options)
        piles, station = chosen(options)
        if station is not None:
            places = [Place(station=station)]
        elif options["pile"]:
            places = [Place(pile=pile) for pile in piles]
        else:
            places = [Place(station=one) for one in Station.objects.order_by("name", "pk")]
        words: dict[str, Any] = {
            "places": places,
            "days": TaskDays(options["days"]),
            "starts_at": _moment(options["schedule"]),
            "ends_at": _moment(options["until"]) if options["until"] else None,
        }
        try:
            if options["dry_run"]:
                found = price_tasks.check(**words)
                before = price_tasks.versions_at(places, found[0].start)
                percent = changes.largest_change(before, [version] * len(places))
                waits = approvals.needs_second_person(changes.ASSIGN.code, percent)
                task = None
            else:
                task = changes.request_task(
                    name=f"{version} {options['schedule']}",
                    version=version,
                    actor=Actor("command", name="push_prices"),
                    reason=options["reason"],
                    **words,
                )
                waits, percent = task.state == "waiting", task.approval.amount if task.approval else None
        except DomainError as error:
            refused(self, options, error)
        told = {
            "task": task.pk if task else None,
            "version": str(version),
            "places": [str(place) for place in places],
            "largest_change_percent": None if percent is None else str(percent),
            "needs_second_person": waits,
            "dry_run": options["dry_run"],
        }
        if options["json"]:
            self.stdout.write(json.dumps(told, ensure_ascii=False))
        else:
            self.stdout.write("\n".join(told["places"]))
            change = "from a price of zero" if percent is None else f"{percent} %"
            state = "needs a second person" if waits else "needs nobody else"
            head = "not scheduled, dry run" if task is None else f"price task {task.pk}"
            self.stdout.write(f"{head}: {version}, {len(places)} places, largest change {change}, {state}")
        if waits and task is not None:
            sys.exit(FOUND)

    def _version(self, options: dict[str, Any]) -> Any:
        from apps.pricing.models import PriceTemplate

        if not options["template"]:
            raise BadArguments("--schedule needs --template")
        template = PriceTemplate.objects.filter(name=options["template"]).first()
        if template is None:
            names = ", ".join(PriceTemplate.objects.values_list("name", flat=True)[:20])
            raise BadArguments(f"no price template {options['template']!r}; there are: {names or 'none'}")
        versions = template.versions.order_by("-number")
        if options["version_number"] is not None:
            versions = versions.filter(number=options["version_number"])
        version = versions.first()
        if version is None:
            raise BadArguments(f"{template} has no version {options['version_number'] or ''}".rstrip())
        return version


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadArguments(f'{text!r} is no time; write "2026-12-01 00:00"') from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SHANGHAI)
    if not FIRST_DAY <= moment.date() <= LAST_DAY:
        raise BadArguments(f"{text!r} is no time; write a year from {FIRST_DAY.year} to {LAST_DAY.year}")
    if moment < now().replace(second=0, microsecond=0):
        raise BadArguments(f"{text} is over")
    return moment
