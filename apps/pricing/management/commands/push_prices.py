"""`manage.py push_prices`: send the prices in force to piles."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.errors import DomainError
from apps.common.schema import schema_context
from apps.piles.enums import CommandKind
from apps.piles.management.choosing import add_sending, send_and_follow
from apps.tenancy.selectors import tenant_of_code


class Command(BaseCommand):
    """Exit codes: 0 all have them, 1 nothing was sent, 2 some did not take them."""

    help = (
        "Send the prices in force to a pile, the piles of a station, or all of a tenant. A pile that charges gets them "
        "when it is idle. Exit codes: 0 all others have them, 1 nothing was sent (no pile has a price, or all charge), "
        "2 some piles refused, were offline or gave no answer; they are asked again as long as the price is in force."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which piles."""
        add_sending(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Send, and follow the answers."""
        try:
            tenant = tenant_of_code(options["tenant"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        with schema_context(tenant.schema_name):
            send_and_follow(self, options, CommandKind.SET_BILLING_MODEL, name="push_prices")
