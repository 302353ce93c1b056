"""`manage.py bill -`: bills for sessions given as JSON, so that anybody can check them with an oracle of their own."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.management.base import BadArguments
from apps.orders.billing import BillInputError, bill_session


class Command(BaseCommand):
    """Needs neither a database nor a tenant."""

    help = (
        "Read one charging session per line as JSON and print one bill per line as JSON, with an explanation. "
        'A line that cannot be billed gives {"error": "..."} in its place, and the exit code is 1 at the end. '
        "Exit code 2: there is no such file. Blank lines are passed over. The form is described in "
        "docs/worked-examples.md."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One source of sessions."""
        parser.add_argument("source", help="a file with one session per line, or - for standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the bills in the order of the lines."""
        if options["source"] == "-":
            failed = self._bill(sys.stdin.buffer)
        else:
            try:
                with Path(options["source"]).open("rb") as lines:
                    failed = self._bill(lines)
            except OSError as error:
                raise BadArguments(f"{options['source']}: {error.strerror}") from error
        if failed:
            sys.exit(1)

    def _bill(self, lines: Iterable[bytes]) -> bool:
        failed = False
        for line in lines:
            if not line.strip():
                continue
            try:
                answer = bill_session(json.loads(line))
            except BillInputError as error:
                answer = {"error": str(error)}
            except (ValueError, RecursionError) as error:
                answer = {"error": f"not JSON: {error}"}
            failed = failed or "error" in answer
            self.stdout.write(json.dumps(answer))
        return failed
