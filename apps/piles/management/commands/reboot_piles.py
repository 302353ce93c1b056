"""`manage.py reboot_piles`: restart piles."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.piles.commands import Reboot
from apps.piles.management.choosing import add_sending, send_and_follow
from apps.tenancy.selectors import tenant_of_code


class Command(BaseCommand):
    """Exit codes: 0 all restart, 1 nothing was sent, 2 some did not take it."""

    help = (
        "Restart a pile, the piles of a station, or all of a tenant, each when none of its guns charges. Exit codes: "
        "0 all restart, 1 nothing was sent, 2 some piles refused, were offline or gave no answer. Never repeated."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which piles, and when."""
        add_sending(parser)
        parser.add_argument("--now", action="store_true", help="at once: breaks off what is being charged")

    def handle(self, *args: Any, **options: Any) -> None:
        """Send, and follow the answers."""
        try:
            tenant = tenant_of_code(options["tenant"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        with schema_context(tenant.schema_name):
            send_and_follow(self, options, Reboot(when_idle=not options["now"]), name="reboot_piles")
