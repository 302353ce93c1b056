"""Questions about tenants. The tables are in the public schema, which every schema's search path ends with."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from apps.tenancy import hosts
from apps.tenancy.enums import WORKING, TenantState
from apps.tenancy.errors import TenantClosed, TenantNotNamed, TenantSuspended, UnknownHost, UnknownTenant
from apps.tenancy.models import Domain, InboundRoute, Tenant

API_PREFIX = "/api/"


def active_schemas() -> list[str]:
    """Return the schemas of tenants that are open for business, in order of name."""
    return list(_tenants().filter(state=TenantState.ACTIVE).values_list("schema_name", flat=True))


def working_schemas() -> list[str]:
    """Return the schemas whose background work goes on: a suspended tenant's running charges end and settle too."""
    return list(_tenants().filter(state__in=WORKING).values_list("schema_name", flat=True))


def tenant_of_schema(schema: str) -> Tenant:
    """Return the tenant of a schema. Raises Tenant.DoesNotExist."""
    return Tenant.objects.get(schema_name=schema)


def routes(kind: str, keys: Iterable[str]) -> dict[str, str]:
    """Return key → schema for those of `keys` that somebody has registered. One query."""
    found = InboundRoute.objects.filter(kind=kind, key__in=list(keys), tenant__state__in=WORKING)
    return dict(found.values_list("key", "tenant__schema_name"))


def tenant_of_host(host: str) -> Tenant | None:
    """Return the tenant (or the platform) that a Host header names, in any state; None when nobody has it.

    Needs the database only every few seconds per host; call it in a thread that may.
    """
    name = host_name(host)
    tenant = hosts.recall(f"host:{name}")
    if tenant is None:
        domain = Domain.objects.select_related("tenant__package").filter(domain=name).first()
        if domain is None:
            return None
        tenant = domain.tenant
        hosts.remember(f"host:{name}", tenant)
    return tenant


def tenant_of_code(code: str) -> Tenant:
    """Return the tenant with a public code, in any state; never the platform. Raises UnknownTenant."""
    tenant = hosts.recall(f"code:{code}")
    if tenant is None:
        tenant = _tenants().select_related("package").filter(code=code).first()
        if tenant is None:
            raise UnknownTenant
        hosts.remember(f"code:{code}", tenant)
    return tenant


def tenant_for(*, host: str, path: str, code: str = "") -> Tenant:
    """Return the tenant that a request or a socket addresses: by its host, or by the code of X-Tenant.

    The code counts only under /api/ on the platform's hosts (the mini-program has one address for all tenants). On a
    tenant's own host it may only repeat that tenant's. Raises UnknownHost, UnknownTenant, TenantNotNamed,
    TenantSuspended, TenantClosed.
    """
    tenant = tenant_of_host(host)
    if tenant is None:
        raise UnknownHost
    if tenant.schema_name == settings.PUBLIC_SCHEMA_NAME:
        if not path.startswith(API_PREFIX):
            return tenant
        if not code:
            raise TenantNotNamed
        tenant = tenant_of_code(code)
    elif code and code != tenant.code:
        raise UnknownTenant
    if tenant.state == TenantState.OPENING:
        raise UnknownHost
    if tenant.state == TenantState.SUSPENDED:
        raise TenantSuspended
    if tenant.state == TenantState.CLOSED:
        raise TenantClosed
    return tenant


def host_name(host: str) -> str:
    """Return a Host header without its port, in lower case."""
    name = host.strip().lower().rstrip(".")
    return name if name.endswith("]") else name.rsplit(":", 1)[0] if ":" in name else name


def schemas_behind(schemas: Iterable[str]) -> dict[str, int]:
    """Return how many migrations each of `schemas` lacks, for those that lack any. One query over all of them."""
    wanted = set(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)
    have: dict[str, set[tuple[str, str]]] = {schema: set() for schema in schemas}
    with connection.cursor() as cursor:
        cursor.execute(
            "select schemaname from pg_tables where tablename = 'django_migrations' and schemaname = any(%s)",
            [list(have)],
        )
        part = sql.SQL("select {}, app, name from {}.django_migrations")
        parts = [part.format(sql.Literal(schema), sql.Identifier(schema)) for (schema,) in cursor.fetchall()]
        if parts:
            cursor.execute(sql.SQL(" union all ").join(parts))
            for schema, app, name in cursor.fetchall():
                have[schema].add((app, name))
    return {schema: len(wanted - done) for schema, done in have.items() if wanted - done}


def schema_names() -> list[str]:
    """Return every tenant's schema, whatever its state, without public and the template."""
    return list(_tenants().values_list("schema_name", flat=True))


def _tenants():  # type: ignore[no-untyped-def]
    return Tenant.objects.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME).order_by("schema_name")
