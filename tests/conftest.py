"""Fixtures of all tests. Two kinds of database tests, and no third:

``tenant``     one transaction in alpha's schema, rolled back: services, selectors, pages;
``committed``  real commits, put back afterwards: whatever uses connections of its own (gateway, writers, threads).

Everything is made when a test first asks for it: tests of pure code start no server.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests import database

# Before settings are read: they compute the servers' paths from it.
os.environ["CHARGEPLAT_STATE"] = str(database.own_state_dir())
os.environ["DJANGO_SETTINGS_MODULE"] = "chargeplat.settings"

import django
from django.conf import settings
from django.utils import translation

if settings.configured:
    raise pytest.UsageError(
        "unset DJANGO_SETTINGS_MODULE: it makes pytest-django read the settings too early"
    )
settings.ALLOWED_HOSTS = [".test"]
settings.PLATFORM_HOSTS = [database.PLATFORM_HOST]
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
settings.CELERY_TASK_ALWAYS_EAGER = settings.CELERY_TASK_EAGER_PROPAGATES = True
django.setup()
del os.environ["DJANGO_SETTINGS_MODULE"]  # a worker of pytest-xdist would inherit it

from chargeplat import embedded  # noqa: E402
from tests.forks import Forks  # noqa: E402
from tests.live.system import live_system  # noqa: E402, F401 - one running system for all that drive it
from tests.miniprogram.pages import built  # noqa: E402, F401 - built once for all that look at them

if TYPE_CHECKING:
    from django.test import Client

    from apps.tenancy.models import Tenant

SERVICES = embedded.services()

# The project, its tests and what they need are hundreds of megabytes that stay: the collector need not look at them
# again and again. A tenth of the time of pages.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVICES.owned:
        SERVICES.stop()
    SERVICES.remove()


def is_live(item: pytest.Item) -> bool:
    """Whether a test drives the running system, or a browser."""
    return "live_system" in getattr(item, "fixturenames", ()) or any(
        item.get_closest_marker(name) for name in ("browser", "live")
    )


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if is_live(item):
            item.add_marker(pytest.mark.xdist_group("live"))  # one running system, driven by one process
        if "committed" in names and (
            names & {"db", "transactional_db"} or item.get_closest_marker("django_db")
        ):
            # The transaction would not see what others commit, and its locks would stop the cleaning.
            raise pytest.UsageError(
                f"{item.nodeid}: takes `committed` and a transaction together; choose one"
            )


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop the running system behind the last test that drives it: it would take a seventh of a core until the end.

    Only under xdist, where these tests follow each other.
    """
    if (
        hasattr(item.config, "workerinput")
        and nextitem is not None
        and is_live(item)
        and not is_live(nextitem)
    ):
        manager = item.session._fixturemanager
        for fixture in manager.getfixturedefs("live_system", item) or ():
            fixture.finish(item._request)  # type: ignore[attr-defined]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """In CI a browser or live test that cannot run is a failure, not a skip."""
    report = yield
    needed = any(item.get_closest_marker(name) for name in ("browser", "live"))
    if report.skipped and needed and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and CI is set: {report.longrepr[-1]}"
    return report


@pytest.fixture(scope="session", autouse=True)
def whole_templates_only(django_test_environment: None) -> None:
    """Have `response.context` know the contexts of whole templates only.

    Django's test environment copies the context at each include and each parent as well, two hundred times a page.
    """
    from django.template.base import Template
    from django.template.context import Context
    from django.test.signals import template_rendered

    def render(template: Template, context: Context) -> Any:
        if context.template is template:
            template_rendered.send(sender=template, template=template, context=context)
        return template.nodelist.render(context)

    Template._render = render  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def language() -> Iterator[None]:
    """A request leaves its language to the thread: the next test begins with the site's own."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def redis_server() -> None:
    """Redis for cache, channel layer and route table."""
    if not settings.REDIS_URL:
        SERVICES.start(embedded.VALKEY)


@pytest.fixture(scope="session")
def django_db_setup(redis_server: None, django_db_blocker: Any) -> Iterator[None]:
    """Replaces pytest-django's: the database comes from the template."""
    make = database.embedded_database(SERVICES) if settings.EMBEDDED else database.server_database()
    with django_db_blocker.unblock(), make:
        yield
        from django.db import connections

        connections.close_all()


@pytest.fixture(scope="session")
def cleaner(django_db_setup: None, django_db_blocker: Any) -> Iterator[database.Cleaner]:
    with django_db_blocker.unblock():
        made = database.Cleaner()
    yield made
    made.close()


@pytest.fixture
def tenant(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    """Tenant alpha (``alpha.test``); this thread's connection is in its schema, and all is rolled back."""

    async def keep() -> None: ...

    # Consumers close old connections before each message; here that would end the test's transaction.
    monkeypatch.setattr("channels.consumer.aclose_old_connections", keep)
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)
    yield from _inside("alpha")


@pytest.fixture
def committed(cleaner: database.Cleaner, django_db_blocker: Any) -> Iterator[Tenant]:
    """Tenant alpha, real commits on any connection and thread; afterwards the database is as it was.

    The test stops its own threads and servers before it ends: a transaction that is left open fails the cleaning.
    """
    from django.db import connections

    with django_db_blocker.unblock():
        yield from _inside("alpha")
        connections.close_all()
        cleaner.clean()


@pytest.fixture(scope="session")
def forks(django_db_setup: None) -> Iterator[Forks]:
    """Processes to be killed; they work with this process's servers."""
    made = Forks()
    yield made
    made.close()


@pytest.fixture
def database_server(committed: Tenant, cleaner: database.Cleaner) -> Iterator[database.Server]:
    """PostgreSQL itself, for tests that stop it; it runs again afterwards. Only where it is the tests' own."""
    if not settings.EMBEDDED:
        pytest.skip("the database server is not ours to stop")
    server = database.Server(SERVICES)
    yield server
    server.forget()
    server.start()
    cleaner.close()
    cleaner.connect()


@pytest.fixture
def other_tenant(request: pytest.FixtureRequest) -> Tenant:
    """Tenant beta (``beta.test``), beside `tenant` or `committed`; the connection stays in alpha's schema."""
    from django_tenants.utils import schema_context

    from apps.tenancy.models import Tenant

    assert {"tenant", "committed"} & set(request.fixturenames)
    with schema_context("public"):
        return Tenant.objects.get(code="beta")


@pytest.fixture
def tenant_client() -> Client:
    """An HTTP client on alpha's host."""
    return _client("alpha.test")


@pytest.fixture
def platform_client() -> Client:
    """An HTTP client on the platform's host."""
    return _client(database.PLATFORM_HOST)


def _client(host: str) -> Client:
    from django.test import Client

    return Client(headers={"host": host})


def _inside(code: str) -> Iterator[Tenant]:
    from django.core.cache import cache
    from django.db import connection

    from apps.tenancy import hosts
    from apps.tenancy.models import Tenant

    connection.set_schema_to_public()
    found = Tenant.objects.get(code=code)
    connection.set_tenant(found)
    yield found
    connection.set_schema_to_public()
    hosts.forget()
    cache.clear()  # FLUSHDB: limits, routes and last states as well
