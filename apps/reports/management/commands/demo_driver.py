"""`manage.py demo_driver`: a driver whom the tenant's payment apps know."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.common.errors import DomainError
from apps.common.phones import normalize_phone
from apps.common.schema import schema_context
from apps.customers.models import Customer
from apps.reports.demo import paying
from apps.tenancy.services import schema_of


class Command(BaseCommand):
    """Exit codes: 0 done, 1 there is no such driver."""

    help = (
        "Make a driver known in the WeChat and Alipay apps of a tenant's merchant accounts, as a sign-in there would: "
        "for demonstrations, where there are no such apps. The driver can then top up through the sandboxes."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom."""
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument("--phone", required=True, help="of a driver who has signed in before")

    def handle(self, *, tenant: str, phone: str, **_options: Any) -> None:
        """Only accounts at a sandbox of this machine: nobody is made known to a real app."""
        try:
            schema = schema_of(tenant)
            number = normalize_phone(phone)
        except DomainError as error:
            raise CommandError(str(error)) from error
        with schema_context(schema):
            customer = Customer.objects.filter(phone=number).first()
            if customer is None:
                raise CommandError(f"nobody has signed in with {number}")
            paying.know_at_providers(customer)
        self.stdout.write(f"{number} can top up through the sandboxes")
