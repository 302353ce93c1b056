"""`manage.py demo_driver`: a driver whom the tenant's payment apps know."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.management.base import BadArguments
from apps.common.phones import normalize_phone
from apps.common.schema import schema_context
from apps.customers.models import Customer
from apps.reports.demo import paying
from apps.tenancy.management.choosing import schema_named


class Command(BaseCommand):
    """Exit codes: 0 done (or could be, with --dry-run), 2 there is no such tenant or driver."""

    help = (
        "Make a driver known in the WeChat and Alipay apps of a tenant's merchant accounts, as a sign-in there would: "
        "for demonstrations, where there are no such apps. The driver can then top up through the sandboxes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom."""
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument("--phone", required=True, help="of a driver who has signed in before")
        parser.add_argument("--dry-run", action="store_true", help="only say whether there is such a driver")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, tenant: str, phone: str, dry_run: bool, **options: Any) -> None:
        """Only accounts at a sandbox of this machine: nobody is made known to a real app."""
        schema = schema_named(tenant)
        try:
            number = normalize_phone(phone)
        except DomainError as error:
            raise BadArguments(str(error)) from error
        with schema_context(schema):
            customer = Customer.objects.filter(phone=number).first()
            if customer is None:
                raise BadArguments(f"nobody has signed in with {number}")
            if not dry_run:
                paying.know_at_providers(customer)
        if options["json"]:
            self.stdout.write(json.dumps({"phone": number, "known": not dry_run, "dry_run": dry_run}))
            return
        done = "could be made known to" if dry_run else "can top up through"
        self.stdout.write(f"{number} {done} the sandboxes")
