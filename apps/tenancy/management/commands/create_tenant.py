"""`manage.py create_tenant`: open a tenant."""

import json
import os
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand

from apps.common.errors import DomainError
from apps.common.management.base import BAD_ARGUMENTS, FOUND, refused
from apps.common.time import read_day
from apps.tenancy.errors import TenantInvalid
from apps.tenancy.models import Package
from apps.tenancy.services import Administrator, check_new_tenant, create_tenant, schema_of


class Command(BaseCommand):
    """Exit codes: 0 opened (or could be, with --dry-run), 1 code or host are taken, 2 arguments that are not right."""

    help = (
        "Open a tenant: its row, its host and its schema, a copy of the template's. All or nothing; takes seconds. "
        "Exit code 1 when the code or the host is taken, 2 when an argument is not right."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, and where."""
        parser.add_argument(
            "--code", required=True, help="public code: 2 to 32 of a-z and 0-9, a letter first"
        )
        parser.add_argument("--name", required=True, help="name shown to people")
        parser.add_argument("--host", required=True, help="host name of its site, such as demo.example.com")
        parser.add_argument("--package", help="code of its package; every feature without limits by default")
        parser.add_argument("--until", type=read_day, help="its last day (2027-12-31); none by default")
        parser.add_argument(
            "--admin",
            help="user name of its first administrator, whose password is in the variable ADMIN_PASSWORD",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say whether it could be opened")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Open it and say so."""
        what = {"code": options["code"], "name": options["name"], "hostname": options["host"]}
        try:
            more = self._more(options)
            if options["dry_run"]:
                check_new_tenant(**what)
            else:
                create_tenant(**what, **more)
        except DomainError as error:
            wrong = isinstance(error, TenantInvalid)
            refused(self, options, error, exit_code=BAD_ARGUMENTS if wrong else FOUND)
        done = {**what, "schema": schema_of(options["code"]), "created": not options["dry_run"]}
        if options["json"]:
            self.stdout.write(json.dumps(done, ensure_ascii=False))
        else:
            verb = "could be opened" if options["dry_run"] else "is open"
            self.stdout.write(
                f"Tenant {done['code']} {verb}: schema {done['schema']}, host {done['hostname']}"
            )

    def _more(self, options: dict[str, Any]) -> dict[str, Any]:
        package = Package.objects.filter(code=options["package"]).first() if options["package"] else None
        if options["package"] and package is None:
            raise TenantInvalid(field="package", value=options["package"])
        administrator = None
        if options["admin"]:
            password = os.environ.get("ADMIN_PASSWORD", "")
            try:
                validate_password(password)
            except ValidationError as error:
                raise TenantInvalid(field="ADMIN_PASSWORD", value=" ".join(error.messages)) from error
            administrator = Administrator(options["admin"], make_password(password))
        return {"package": package, "expires_on": options["until"], "administrator": administrator}
