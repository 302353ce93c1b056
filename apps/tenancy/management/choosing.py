"""What ``--tenant`` means to every command."""

from __future__ import annotations

from apps.common.management.base import BadArguments
from apps.tenancy.errors import UnknownTenant
from apps.tenancy.selectors import tenant_of_code, working_schemas


def schema_named(code: str) -> str:
    """Return the schema of the tenant with a code. Raises BadArguments when there is none."""
    try:
        return tenant_of_code(code).schema_name
    except UnknownTenant as error:
        raise BadArguments(f"There is no tenant {code}.") from error


def schemas_named(code: str | None, *, at_work: bool = False) -> list[str]:
    """Return the schema of one tenant, or of all whose work goes on.

    Raises:
        BadArguments: there is no such tenant, or with `at_work` its work does not go on.
    """
    working = working_schemas()
    if not code:
        return working
    schema = schema_named(code)
    if at_work and schema not in working:
        raise BadArguments(f"The work of tenant {code} does not go on.")
    return [schema]
