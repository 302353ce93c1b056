"""Opening tenants, keeping their schemas up to date, and who owns which key from outside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Count, F
from django.utils import translation
from django_tenants.clone import CLONE_SCHEMA_FUNCTION, CloneSchema
from django_tenants.utils import schema_exists

from apps.common.schema import current_schema, run_in_schema, schema_context
from apps.common.time import now
from apps.tenancy import hosts
from apps.tenancy.enums import OpeningStep, TenantState
from apps.tenancy.errors import (
    CodeTaken,
    HostTaken,
    NewcomerGone,
    RouteTaken,
    SchemaExists,
    TemplateBehind,
    TenantInvalid,
)
from apps.tenancy.models import Domain, InboundRoute, Newcomer, Package, Tenant
from apps.tenancy.presets import first_packages
from apps.tenancy.selectors import (
    host_name,
    schema_names,
    schemas_behind,
    tenant_of_schema,
    working_schemas,
)

PLATFORM_CODE = "platform"
_SCHEMA_WORK = 7_203_377  # any number that no other advisory lock of ours has
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_ROUTES_PER_INSERT = 2000
_NEWCOMER_WORK = 7_203_378
NEWCOMERS = 5_000
NEWCOMERS_PER_ADDRESS = 200
NEWCOMER_DAYS = 30
_first_rows: list[Callable[[], object]] = []
_renewals: list[Callable[[], object]] = []
_first_people: list[Callable[[Administrator], object]] = []


@dataclass(frozen=True, slots=True)
class Administrator:
    """Who may do everything in a new tenant from its first moment; the password as its hash."""

    username: str
    password_hash: str
    name: str = ""
    phone: str = ""


def begin_with(function: Callable[[], object]) -> None:
    """Have `function` called inside the schema of every new tenant, in the transaction that opens it."""
    _first_rows.append(function)


def after_migrating(function: Callable[[], object]) -> None:
    """Have `function` called inside public and every tenant's schema at the end of each `migrate_tenants`.

    It must be idempotent, and cheap where nothing is new.
    """
    _renewals.append(function)


def people_by(function: Callable[[Administrator], object]) -> None:
    """Have `function` make the first administrator inside the schema of a new tenant, after its first rows."""
    _first_people.append(function)


def check_new_tenant(*, code: str, name: str, hostname: str) -> None:
    """Say whether a tenant could be opened. Raises TenantInvalid, CodeTaken, HostTaken or SchemaExists."""
    try:
        Tenant._meta.get_field("code").run_validators(code)
    except ValidationError:
        raise TenantInvalid(field="code", value=code) from None
    if not name.strip() or len(name) > 100:
        raise TenantInvalid(field="name", value=name)
    host = check_hostname(hostname, taken=False)
    if Tenant.objects.filter(code=code).exists():
        raise CodeTaken(tenant_code=code)
    _check_free(host)
    if schema_exists(schema_of(code)):
        raise SchemaExists(schema=schema_of(code))


def check_hostname(hostname: str, *, taken: bool = True) -> str:
    """Return a host in the form in which it is kept. Raises TenantInvalid, and with `taken` HostTaken."""
    host = host_name(hostname)
    if host != hostname.lower() or len(host) > 253 or not _HOST.fullmatch(host):
        raise TenantInvalid(field="host", value=hostname)
    if taken:
        _check_free(host)
    return host


def _check_free(host: str) -> None:
    if host in settings.PLATFORM_HOSTS or Domain.objects.filter(domain=host).exists():
        raise HostTaken(host=host)


def create_tenant(
    *,
    code: str,
    name: str,
    hostname: str,
    package: Package | None = None,
    expires_on: date | None = None,
    administrator: Administrator | None = None,
    progress: Callable[[OpeningStep], object] = lambda step: None,
    finish: Callable[[Tenant], object] = lambda tenant: None,
) -> Tenant:
    """Open a tenant: its row, its host, and its schema as a copy of the template's.

    Row, host and schema are one transaction, so a failure or a crash leaves nothing; copies are made one at a time.
    `finish` is called at the end of that transaction, `progress` before each step. Takes seconds: not for a request.
    Raises what `check_new_tenant` raises, and TemplateBehind inside a transaction.
    """
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        check_new_tenant(code=code, name=name, hostname=hostname)
        progress(OpeningStep.TEMPLATE)
        migrate_template()
        progress(OpeningStep.QUEUE)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("select pg_advisory_xact_lock(%s)", [_SCHEMA_WORK])
            # Again, now that nobody else can be opening one.
            check_new_tenant(code=code, name=name, hostname=hostname)
            tenant = Tenant.objects.create(
                schema_name=schema_of(code),
                code=code,
                name=name.strip(),
                package=package,
                expires_on=expires_on,
            )
            Domain.objects.create(domain=host_name(hostname), tenant=tenant)
            progress(OpeningStep.SCHEMA)
            _clone(tenant.schema_name)
            progress(OpeningStep.ROWS)
            with schema_context(tenant.schema_name):
                for function in _first_rows:
                    function()
                if administrator is not None:
                    for make in _first_people:
                        make(administrator)
            tenant.state = TenantState.ACTIVE
            tenant.save(update_fields=["state", "updated_at"])
            finish(tenant)
        return tenant


def ensure_platform() -> Tenant:
    """Make what must exist beside the tenants: the platform's row and hosts, first packages, and the template schema.

    Idempotent.
    """
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        platform, _ = Tenant.objects.get_or_create(
            schema_name=settings.PUBLIC_SCHEMA_NAME,
            defaults={"code": PLATFORM_CODE, "name": "chargeplat", "state": TenantState.ACTIVE},
        )
        for number, host in enumerate(settings.PLATFORM_HOSTS):
            Domain.objects.get_or_create(
                domain=host_name(host), defaults={"tenant": platform, "is_primary": number == 0}
            )
        first_packages()
        migrate_template()
        return platform


def migrate_template() -> int:
    """Make the template schema or bring it up to date; return how many migrations were applied.

    Raises TemplateBehind when there is something to do inside a transaction (migrating commits).
    """
    template = settings.TENANT_TEMPLATE_SCHEMA
    if not schemas_behind([template]):
        return 0
    if connection.in_atomic_block:
        raise TemplateBehind
    with schema_work():
        missing = schemas_behind([template])
        if missing:
            migrate_schema(template)
        return missing.get(template, 0)


def migrate_all(progress: Callable[[str, int], None]) -> dict[str, int]:
    """Bring public, the template and every tenant that is behind up to date; return schema → migrations applied.

    `progress` is called with schema and number before each. Tenants' tasks and requests may go on meanwhile. At the end
    every schema gets the rows that a new version adds (`after_migrating`).
    """
    done: dict[str, int] = {}
    public, template = settings.PUBLIC_SCHEMA_NAME, settings.TENANT_TEMPLATE_SCHEMA
    with schema_context(public), schema_work():
        for schemas in (lambda: [public], lambda: [template], schema_names):
            for schema, missing in sorted(schemas_behind(schemas()).items()):
                progress(schema, missing)
                migrate_schema(schema)
                done[schema] = missing
        for schema in (public, *working_schemas()):
            for function in _renewals:
                run_in_schema(schema, function)
    return done


def migrate_schema(schema: str) -> None:
    """Apply all migrations to one schema, making it where it does not exist. Commits; not inside a transaction.

    What django-tenants' `migrate_schemas` does, but migrations of apps that have no tables in the schema are only
    recorded: to work out what models look like between two operations that change nothing took a third of the time in
    which a new deployment starts.
    """
    is_public = schema == settings.PUBLIC_SCHEMA_NAME
    if not is_public and not schema_exists(schema):
        with connection.cursor() as cursor:
            cursor.execute(f"create schema {connection.ops.quote_name(schema)}")
    names = settings.SHARED_APPS if is_public else settings.TENANT_APPS
    labels = {config.label for config in apps.get_app_configs() if config.name in names}
    connection.set_schema(schema, include_public=False)  # type: ignore[attr-defined]
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()  # with public in the path its table would be found
    connection.set_schema(schema)  # type: ignore[attr-defined]
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] in labels]
    plan = executor.migration_plan(targets)
    # As Django's own command does.
    state = executor._create_project_state(with_applied_migrations=True)  # type: ignore[attr-defined]  # noqa: SLF001
    # Content types of renamed models follow by operations that a receiver adds to the plan.
    emit_pre_migrate_signal(0, False, connection.alias, apps=state.apps, plan=plan)
    executor.migrate(targets, plan, state=state.clone())
    with transaction.atomic():  # some of them alone would be a history that cannot be
        for app, name in sorted(
            executor.loader.disk_migrations.keys() - recorder.applied_migrations().keys()
        ):
            recorder.record_applied(app, name)
    with translation.override(None):  # names of permissions are stored, for every language
        emit_post_migrate_signal(0, False, connection.alias, plan=plan)
    connection.close()  # statements prepared before saw other tables
    connection.set_schema_to_public()  # type: ignore[attr-defined]


@contextmanager
def schema_work() -> Iterator[None]:
    """Only one process at a time makes or changes schemas.

    The lock is held by a connection of its own: migrating closes the thread's.
    """
    holder = connection.copy()
    try:
        with holder.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(%s)", [_SCHEMA_WORK])
        yield
    finally:
        holder.close()


def claim_route(*, kind: str, key: str) -> None:
    """Register an outside key for the tenant of the current schema. Raises RouteTaken if another has it."""
    claim_routes(kind=kind, keys=[key])


def claim_routes(*, kind: str, keys: Iterable[str]) -> None:
    """Register outside keys, all or none; those that are this tenant's already are left alone. Raises RouteTaken."""
    tenant = tenant_of_schema(current_schema())
    ordered = sorted(set(keys))  # two tenants that claim the same keys at once must not deadlock
    with transaction.atomic():
        InboundRoute.objects.bulk_create(
            (InboundRoute(kind=kind, key=key, tenant=tenant) for key in ordered),
            batch_size=_ROUTES_PER_INSERT,
            ignore_conflicts=True,
        )
        foreign = InboundRoute.objects.filter(kind=kind, key__in=ordered).exclude(tenant=tenant)
        taken = foreign.order_by("key").first()
        if taken is not None:
            raise RouteTaken(key=taken.key)


def release_route(*, kind: str, key: str) -> None:
    """Give up an outside key of the current schema's tenant; nothing happens if it is not this tenant's."""
    InboundRoute.objects.filter(kind=kind, key=key, tenant__schema_name=current_schema()).delete()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that nobody has registered, as one process saw it since it last told: code, last time, how often."""

    key: str
    at: datetime
    times: int
    address: str
    facts: dict[str, str]


def newcomers_seen(*, kind: str, seen: Sequence[Sighting]) -> int:
    """Keep first-seen devices for somebody to approve; return how many of `seen` were kept.

    Bounded, because anybody can dial in: NEWCOMERS_PER_ADDRESS codes of one address and NEWCOMERS in all; those not
    seen for NEWCOMER_DAYS make room. Codes that were registered meanwhile are left out. With a single tenant open
    for business a device is offered to it, otherwise the platform has to assign it. Public schema.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_xact_lock(%s)", [_NEWCOMER_WORK])
        Newcomer.objects.filter(last_seen_at__lt=now() - timedelta(days=NEWCOMER_DAYS)).delete()
        keys = [sighting.key for sighting in seen]
        taken = set(InboundRoute.objects.filter(kind=kind, key__in=keys).values_list("key", flat=True))
        known = set(Newcomer.objects.filter(kind=kind, key__in=keys).values_list("key", flat=True))
        room = NEWCOMERS - Newcomer.objects.count()
        of_address = Newcomer.objects.filter(
            address__in={sighting.address for sighting in seen if sighting.address}
        )
        counts = Counter(dict(of_address.order_by().values_list("address").annotate(Count("id"))))
        tenant = _only_tenant()
        rows = []
        for sighting in sorted(seen, key=lambda sighting: sighting.key):
            if sighting.key in taken:
                continue
            if sighting.key not in known:
                if room <= 0 or counts[sighting.address] >= NEWCOMERS_PER_ADDRESS:
                    continue
                room -= 1
                counts[sighting.address] += 1
            rows.append(
                Newcomer(
                    kind=kind,
                    key=sighting.key,
                    first_seen_at=sighting.at,
                    last_seen_at=sighting.at,
                    times=sighting.times,
                    address=sighting.address or None,
                    facts=sighting.facts,
                    tenant=tenant,
                )
            )
        fresh = [row for row in rows if row.key not in known]
        Newcomer.objects.bulk_create(fresh)
        for row in rows:
            if row.key in known:
                Newcomer.objects.filter(kind=kind, key=row.key).update(
                    last_seen_at=row.last_seen_at,
                    times=F("times") + row.times,
                    address=row.address,
                    facts=row.facts,
                )
    return len(rows)


def offer_newcomer(*, newcomer: Newcomer, tenant: Tenant) -> Tenant | None:
    """Offer a first-seen device to a tenant, whose staff may then approve it. Returns whom it was offered to before.

    Raises NewcomerGone when it was approved or dropped meanwhile.
    """
    with transaction.atomic():
        row = (
            Newcomer.objects.select_for_update(of=["self"])
            .select_related("tenant")
            .filter(pk=newcomer.pk)
            .first()
        )
        if row is None:
            raise NewcomerGone(key=newcomer.key)
        before = row.tenant
        row.tenant = tenant
        row.save(update_fields=["tenant"])
    return before


def drop_newcomer(*, kind: str, key: str) -> None:
    """Forget a first-seen device: it was approved, or nobody wants it. It is listed again when it dials again."""
    Newcomer.objects.filter(kind=kind, key=key).delete()


def _only_tenant() -> Tenant | None:
    open_tenants = Tenant.objects.filter(state=TenantState.ACTIVE).exclude(
        schema_name=settings.PUBLIC_SCHEMA_NAME
    )[:2]
    return open_tenants[0] if len(open_tenants) == 1 else None


def schema_of(code: str) -> str:
    """Return the schema name for a tenant's code."""
    return f"t_{code}"


class _Clone(CloneSchema):
    """django-tenants asks the settings who owns the function; a URL without a user leaves that to the server."""

    def _create_clone_schema_function(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("select current_user")
            cursor.execute(CLONE_SCHEMA_FUNCTION.format(db_user=cursor.fetchone()[0]))


def _clone(schema: str) -> None:
    """Copy the template with its rows: applied migrations, content types and permissions."""
    try:
        _Clone().clone_schema(settings.TENANT_TEMPLATE_SCHEMA, schema, "DATA")
        with connection.cursor() as cursor:
            cursor.execute("reset client_min_messages")  # the clone function sets it
        _name_indexes_as_in_template(schema)
    finally:
        # It changes search_path as well, behind the back of the connection's memory of it.
        connection.set_schema_to_public()  # type: ignore[attr-defined]
        hosts.forget()


_MISNAMED = """
    WITH defined AS (
        SELECT space.nspname AS schema, index.relname AS name, index.oid,
               concat_ws('|', owner.relname, method.amname, facts.indisunique, facts.indnullsnotdistinct,
                         facts.indclass, facts.indoption, facts.indcollation, facts.indnkeyatts,
                         pg_get_expr(facts.indpred, facts.indrelid),
                         (SELECT string_agg(pg_get_indexdef(facts.indexrelid, place, true), ',' ORDER BY place)
                            FROM generate_series(1, facts.indnatts) AS place)) AS definition
          FROM pg_index facts
          JOIN pg_class index ON index.oid = facts.indexrelid
          JOIN pg_am method ON method.oid = index.relam
          JOIN pg_class owner ON owner.oid = facts.indrelid
          JOIN pg_namespace space ON space.oid = owner.relnamespace
         WHERE space.nspname IN (%(template)s, %(clone)s) AND NOT owner.relispartition),
    placed AS (
        SELECT *, row_number() OVER (PARTITION BY schema, definition ORDER BY oid) AS place FROM defined)
    SELECT mine.name, theirs.name FROM placed mine JOIN placed theirs USING (definition, place)
     WHERE mine.schema = %(clone)s AND theirs.schema = %(template)s AND mine.name <> theirs.name
"""


def _name_indexes_as_in_template(schema: str) -> None:
    """Give a clone's unique constraints and indexes the template's names, which later migrations use.

    The clone function keeps the names of plain indexes and primary keys only; PostgreSQL invents the others.
    """
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(_MISNAMED, {"template": settings.TENANT_TEMPLATE_SCHEMA, "clone": schema})
        names: list[tuple[str, str]] = cursor.fetchall()
        # In two steps, since one index may have the name that another is to get.
        steps = [(old, f"renamed_{number}") for number, (old, _new) in enumerate(names)]
        steps += [(f"renamed_{number}", new) for number, (_old, new) in enumerate(names)]
        for old, new in steps:
            cursor.execute(f"ALTER INDEX {quoted(schema)}.{quoted(old)} RENAME TO {quoted(new)}")
