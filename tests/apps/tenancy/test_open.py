"""Opening tenants, and keeping their schemas up to date."""

from __future__ import annotations

import json
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.db.migrations.loader import MigrationLoader

from apps.common.errors import DomainError
from apps.common.schema import run_in_schema
from apps.sites.models import Station
from apps.tenancy import services
from apps.tenancy.errors import CodeTaken, HostTaken, RouteTaken, SchemaExists, TemplateBehind, TenantInvalid
from apps.tenancy.models import Domain, InboundRoute, Tenant, TenantState
from apps.tenancy.selectors import active_schemas, routes, schemas_behind, working_schemas
from tests.apps.tenancy.test_schemas import tables_in, tenant_tables


@pytest.fixture
def opened(committed: Tenant):
    """Codes put here are closed again after the test: row, host and schema."""
    codes: list[str] = []
    yield codes
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        for code in codes:
            Domain.objects.filter(tenant__code=code).delete()
            Tenant.objects.filter(code=code).delete()
            cursor.execute(f'drop schema if exists "t_{code}" cascade')


def test_an_opened_tenant_is_active_and_complete(opened: list[str]) -> None:
    opened.append("gamma")
    made = services.create_tenant(code="gamma", name=" 丙充电 ", hostname="Gamma.test")
    assert (made.schema_name, made.state, made.name) == ("t_gamma", TenantState.ACTIVE, "丙充电")
    assert Domain.objects.get(domain="gamma.test").tenant_id == made.id
    assert tables_in("t_gamma") == tenant_tables()
    assert schemas_behind(["t_gamma"]) == {}
    assert active_schemas() == ["t_alpha", "t_beta", "t_gamma"]
    # Permissions came along, rows of other tenants did not, and ids go on where the template's end.
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from t_gamma.auth_permission")
        permissions = cursor.fetchone()
        cursor.execute("select count(*) from tenant_template.auth_permission")
        assert permissions == cursor.fetchone()
        assert permissions[0] > 50
    station = run_in_schema(
        "t_gamma", Station.objects.create, station_no="S1", name="站", latitude="31.2", longitude="121.4"
    )
    assert run_in_schema("t_gamma", Station.objects.count) == 1
    assert run_in_schema("t_alpha", Station.objects.count) == 0
    assert station.pk == 1


def test_opening_two_at_once_makes_both(opened: list[str]) -> None:
    opened += ["gamma", "delta"]
    outcomes = open_at_once([("gamma", "gamma.test"), ("delta", "delta.test")])
    assert outcomes == ["t_delta", "t_gamma"]
    assert active_schemas() == ["t_alpha", "t_beta", "t_delta", "t_gamma"]


def test_the_same_code_twice_at_once_is_opened_once(opened: list[str]) -> None:
    opened.append("gamma")
    outcomes = open_at_once([("gamma", "one.test"), ("gamma", "two.test")])
    assert outcomes == ["t_gamma", "tenancy.code_taken"]
    assert Domain.objects.filter(tenant__code="gamma").count() == 1


def open_at_once(wanted: list[tuple[str, str]]) -> list[str]:
    start, outcomes = threading.Barrier(len(wanted)), []

    def work(code: str, host: str) -> None:
        start.wait(10)
        try:
            outcomes.append(services.create_tenant(code=code, name="丙", hostname=host).schema_name)
        except DomainError as error:
            outcomes.append(error.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=one) for one in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(outcomes)


def test_a_failed_copy_leaves_nothing(opened: list[str]) -> None:
    """The template gets a row that its own constraint refuses when it is copied."""
    connection.set_schema_to_public()
    with connection.cursor() as cursor:
        cursor.execute("create table tenant_template.refuses (id int)")
        cursor.execute("insert into tenant_template.refuses values (1)")
        cursor.execute("alter table tenant_template.refuses add check (id < 0) not valid")
    try:
        with pytest.raises(Exception, match="refuses"):
            services.create_tenant(code="gamma", name="丙", hostname="gamma.test")
    finally:
        with connection.cursor() as cursor:
            cursor.execute("drop table tenant_template.refuses")
    assert not Tenant.objects.filter(code="gamma").exists()
    assert not Domain.objects.filter(domain="gamma.test").exists()
    assert tables_in("t_gamma") == set()
    # And nothing stands in the way of the next try.
    opened.append("gamma")
    services.create_tenant(code="gamma", name="丙", hostname="gamma.test")


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code": "Gamma"}, TenantInvalid),
        ({"code": "g"}, TenantInvalid),
        ({"code": "1gamma"}, TenantInvalid),
        ({"code": "ga-mma"}, TenantInvalid),
        ({"code": "gamma\n"}, TenantInvalid),
        ({"code": "alpha"}, CodeTaken),
        ({"code": "platform"}, CodeTaken),
        ({"name": "  "}, TenantInvalid),
        ({"name": "x" * 101}, TenantInvalid),
        ({"hostname": "ALPHA.test"}, HostTaken),
        ({"hostname": "platform.test"}, HostTaken),
        ({"hostname": "gamma.test:8000"}, TenantInvalid),
        ({"hostname": "gamma test"}, TenantInvalid),
        ({"hostname": "-gamma.test"}, TenantInvalid),
        ({"hostname": ""}, TenantInvalid),
        ({"hostname": "gamma..test"}, TenantInvalid),
    ],
)
def test_what_cannot_be_opened(tenant: Tenant, changed: dict[str, str], error: type[DomainError]) -> None:
    with pytest.raises(error):
        services.create_tenant(**{"code": "gamma", "name": "丙", "hostname": "gamma.test", **changed})


def test_a_schema_without_a_tenant_is_not_taken_over(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("create schema t_gamma")
    with pytest.raises(SchemaExists):
        services.create_tenant(code="gamma", name="丙", hostname="gamma.test")


def test_a_template_that_is_behind_is_never_copied(tenant: Tenant) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from tenant_template.django_migrations where app = 'sites' and name like '0002%%'"
        )
    with pytest.raises(TemplateBehind):
        services.create_tenant(code="gamma", name="丙", hostname="gamma.test")


def test_the_command_opens_and_explains(opened: list[str]) -> None:
    opened.append("gamma")
    arguments = ["--code", "gamma", "--name", "丙", "--host", "gamma.test", "--json"]
    assert run("create_tenant", *arguments, "--dry-run") == (0, {**ANSWER, "created": False})
    assert tables_in("t_gamma") == set()
    assert run("create_tenant", *arguments) == (0, ANSWER)
    code, answer = run("create_tenant", *arguments)
    assert (code, answer["error"]) == (1, "tenancy.code_taken")
    with pytest.raises(CommandError):
        call_command("create_tenant", "--code", "delta")


ANSWER = {"code": "gamma", "name": "丙", "hostname": "gamma.test", "schema": "t_gamma", "created": True}


def run(*arguments: str) -> tuple[int, dict]:
    out = StringIO()
    try:
        call_command(*arguments, stdout=out)
        code = 0
    except SystemExit as done:
        code = int(done.code or 0)
    return code, json.loads(out.getvalue())


def test_only_schemas_that_are_behind_are_migrated(committed: Tenant) -> None:
    assert run("migrate_tenants", "--check", "--json") == (0, {"schemas": {}, "count": 0})
    connection.set_schema_to_public()
    newest, before = sorted(
        (name for app, name in MigrationLoader(None).disk_migrations if app == "reports"), reverse=True
    )[:2]
    call_command(
        "migrate_schemas",
        "reports",
        before,
        tenant=True,
        schema_name="t_beta",
        interactive=False,
        verbosity=0,
    )
    assert run("migrate_tenants", "--check", "--json") == (1, {"schemas": {"t_beta": 1}, "count": 1})
    assert run("migrate_tenants", "--json") == (0, {"schemas": {"t_beta": 1}, "count": 1})
    with connection.cursor() as cursor:
        cursor.execute(
            "select count(*) from t_beta.django_migrations where app = 'reports' and name = %s", [newest]
        )
        assert cursor.fetchone() == (1,)
    assert run("migrate_tenants", "--json") == (0, {"schemas": {}, "count": 0})


def test_routes_belong_to_one_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    services.claim_routes(kind="pile", keys=["2", "1"])
    services.claim_route(kind="pile", key="1")
    assert routes("pile", ["1", "2", "3"]) == {"1": "t_alpha", "2": "t_alpha"}
    with pytest.raises(RouteTaken, match="1"):
        run_in_schema("t_beta", services.claim_routes, kind="pile", keys=["0", "1"])
    assert not InboundRoute.objects.filter(key="0").exists()
    run_in_schema("t_beta", services.claim_route, kind="partner", key="1")
    run_in_schema("t_beta", services.release_route, kind="pile", key="1")
    assert routes("pile", ["1"]) == {"1": "t_alpha"}
    services.release_route(kind="pile", key="1")
    run_in_schema("t_beta", services.claim_route, kind="pile", key="1")
    assert routes("pile", ["1"]) == {"1": "t_beta"}


def test_a_suspended_tenant_sells_nothing_but_its_work_goes_on(tenant: Tenant, other_tenant: Tenant) -> None:
    Tenant.objects.filter(pk=other_tenant.pk).update(state=TenantState.SUSPENDED)
    assert active_schemas() == ["t_alpha"]
    assert working_schemas() == ["t_alpha", "t_beta"]
    Tenant.objects.filter(pk=other_tenant.pk).update(state=TenantState.OPENING)
    assert working_schemas() == ["t_alpha"]


def test_a_tenants_constraints_and_indexes_have_the_templates_names(tenant: Tenant) -> None:
    """A later migration removes or renames them by name, in the template and in every tenant."""

    def names(schema: str) -> set[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                """select tablename, indexname from pg_indexes where schemaname = %(schema)s
                   union select owner.relname, facts.conname from pg_constraint facts
                     join pg_class owner on owner.oid = facts.conrelid
                    where facts.connamespace = to_regnamespace(%(schema)s) and not owner.relispartition""",
                {"schema": schema},
            )
            return set(cursor.fetchall())

    template = names("tenant_template")
    assert ("orders_order", "order_request_unique") in template
    assert names("t_alpha") == template
