"""`manage.py create_piles`: register piles in bulk."""

import json
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.management.base import BadArguments, refused
from apps.common.schema import schema_context
from apps.piles.enums import PileKind
from apps.piles.models import Pile
from apps.piles.services import ROUTE_KIND, create_piles
from apps.sites.models import Station
from apps.tenancy.errors import RouteTaken
from apps.tenancy.management.choosing import schema_named
from apps.tenancy.selectors import routes


def _power(text: str) -> Decimal:
    try:
        power = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not 0 < power < 10_000:
        raise ValueError(text)
    return power


class Command(BaseCommand):
    """Exit codes: 0 all are registered, 1 refused, with the reason on standard error, 2 wrong arguments."""

    help = (
        "Register piles with consecutive 14-digit codes at one station. Codes that this tenant has registered already "
        "are passed over, so that it can be run again; a code of another tenant's is refused (exit code 1), and what "
        "was registered before it stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Where, which, and how many."""
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument("--station", required=True, help="the station's number")
        parser.add_argument("--first", required=True, help="the first pile code, 14 digits")
        parser.add_argument("--count", required=True, type=int, help="how many piles")
        parser.add_argument("--guns", type=int, default=2, help="guns of each pile (default 2)")
        parser.add_argument("--kind", choices=PileKind.values, default=PileKind.DC.value, help="default dc")
        parser.add_argument(
            "--power", type=_power, default=Decimal(120), help="rated power in kW (default 120)"
        )
        parser.add_argument("--dry-run", action="store_true", help="only count")
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end")

    def handle(self, *args: Any, **options: Any) -> None:
        """Register them, with a line of progress for each batch."""
        if options["count"] < 1:
            raise BadArguments("--count has to be at least 1")
        try:
            with schema_context(schema_named(options["tenant"])):
                station = Station.objects.filter(station_no=options["station"]).first()
                if station is None:
                    numbers = ", ".join(Station.objects.values_list("station_no", flat=True)[:20])
                    raise BadArguments(f"no station {options['station']!r}; there are: {numbers or 'none'}")
                _check_codes(options["first"], options["count"])
                created = self._count(options) if options["dry_run"] else self._create(station, options)
        except DomainError as error:
            refused(self, options, error)
        known = options["count"] - created
        if options["json"]:
            answer = {"created": created, "known": known, "dry_run": options["dry_run"]}
            self.stdout.write(json.dumps(answer))
        else:
            verb = "would be registered" if options["dry_run"] else "registered"
            self.stdout.write(f"{created} piles {verb}, {known} were known")

    def _create(self, station: Station, options: dict[str, Any]) -> int:
        created = seen = 0
        batches = create_piles(
            station=station,
            first_code=options["first"],
            count=options["count"],
            gun_count=options["guns"],
            kind=options["kind"],
            power_kw=options["power"],
            actor=Actor("command", name="create_piles"),
        )
        for seen, new in enumerate(batches, 1):
            created += new
            if not options["json"] and options["count"] > new:
                self.stdout.write(f"batch {seen}: {created} new of {options['count']}")
                self.stdout.flush()
        return created

    def _count(self, options: dict[str, Any]) -> int:
        codes = [f"{int(options['first']) + index:014d}" for index in range(options["count"])]
        known = set(Pile.objects.filter(pile_code__in=codes).values_list("pile_code", flat=True))
        taken = sorted(set(routes(ROUTE_KIND, codes)) - known)
        if taken:
            raise RouteTaken(key=taken[0])
        return len(codes) - len(known)


def _check_codes(first: str, count: int) -> None:
    if len(first) != 14 or not first.isascii() or not first.isdigit():
        raise BadArguments(f"--first has to be 14 digits, not {first!r}")
    if int(first) + count > 10**14:
        raise BadArguments(f"{count} codes from {first} go beyond 14 digits")
