"""`manage.py reboot_piles`: restart piles."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.schema import schema_context
from apps.piles.commands import Reboot
from apps.piles.management.choosing import add_sending, send_and_follow
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 all restart, 1 some did not take it, or nothing was sent, 2 wrong arguments."""

    help = (
        "Restart a pile, the piles of a station, or all of a tenant, each when none of its guns charges. Exit codes: "
        "0 all restart, 1 some piles refused, were offline or gave no answer, 2 wrong arguments. Never repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which piles, and when."""
        add_sending(parser)
        parser.add_argument("--now", action="store_true", help="at once: breaks off what is being charged")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send, and follow the answers."""
        with schema_context(schema_named(options["tenant"])):
            send_and_follow(self, options, Reboot(when_idle=not options["now"]), name="reboot_piles")
