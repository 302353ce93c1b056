"""The test database: made once for each set of migrations, then copied.

A template holds the public schema, the platform on ``platform.test`` and the tenants ``alpha`` and ``beta``, and no
business rows. Without ``DATABASE_URL`` each test process has servers of its own in a state directory of its own (two
runs never meet), and the template is a data directory that is copied. With it, the template is a database on that
server, and each process clones one for itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from chargeplat import embedded

TENANTS = {"alpha": "甲充电", "beta": "乙充电"}
PLATFORM_HOST = "platform.test"
KEPT_TEMPLATES = 2  # of this branch and of the one before
# Workers of pytest-xdist inherit the environment: the first process names the place for all.
BASE = Path(os.environ.setdefault("CHARGEPLAT_TEST_STATE", str(embedded.state_dir() / "tests")))


def own_state_dir() -> Path:
    """A new state directory for this process; what killed runs left behind goes."""
    embedded.ensure_state_dir(BASE)
    for left in BASE.glob("run-*"):
        if embedded.process_start(int(left.name.split("-")[1])) is None:
            embedded.services(left).remove()
    return embedded.ensure_state_dir(BASE / f"run-{os.getpid()}")


@contextmanager
def embedded_database(services: embedded.Services) -> Iterator[None]:
    """Run PostgreSQL with the finished database in it."""
    store = embedded.services(BASE)
    with store.locked():
        template = store.dir / f"template-{fingerprint()}"
        with services.locked():
            if template.exists():
                _copy(template, services.data_dir)
        if not template.exists():
            services.start(embedded.POSTGRES, fast=True)
            services.ensure_database()
            build()
            services.stop()
            _copy(services.data_dir, template.with_suffix(".new"))
            template.with_suffix(".new").rename(template)
            for old in sorted(store.dir.glob("template-*"), key=lambda p: p.stat().st_mtime)[
                :-KEPT_TEMPLATES
            ]:
                shutil.rmtree(old)
        os.utime(template)
    services.start(fast=True)
    yield


@contextmanager
def server_database() -> Iterator[None]:
    """A clone of the template on the server of ``DATABASE_URL``; its user must be allowed to create databases."""
    template, own = f"cp_template_{fingerprint()}", f"cp_test_{os.getpid()}"
    with open(Path(tempfile.gettempdir()) / "chargeplat-template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _server("select 1 from pg_database where datname = {}", sql.Literal(template)):
            unfinished = f"{template}_new"
            _server("drop database if exists {} with (force)", sql.Identifier(unfinished))
            _server("create database {}", sql.Identifier(unfinished))
            _use(unfinished)
            build()
            _use("postgres")
            _server("alter database {} rename to {}", sql.Identifier(unfinished), sql.Identifier(template))
        _server(
            "create database {} template {} strategy file_copy", sql.Identifier(own), sql.Identifier(template)
        )
    _use(own)
    yield
    _use("postgres")
    _server("drop database if exists {} with (force)", sql.Identifier(own))


def build() -> None:
    """Migrate the public and the template schema, put the platform on its host and open the two tenants."""
    from django.db import connections

    from apps.tenancy import services

    services.migrate_all(lambda schema, missing: None)
    services.ensure_platform()
    for code, name in TENANTS.items():
        services.create_tenant(code=code, name=name, hostname=f"{code}.test")
    connections.close_all()


def fingerprint() -> str:
    """Changes whenever the template would: migrations, what opens a tenant, and this file."""
    from django.apps import apps

    digest = hashlib.sha256()
    sources = [Path(__file__), Path(embedded.__file__)]
    for app in apps.get_app_configs():
        sources += sorted(Path(app.path).glob("migrations/*.py"))
        if app.name.startswith("apps."):
            # Roles, accounts and default rows that a new tenant is given come from these.
            sources += [
                p
                for p in (Path(app.path) / f"{n}.py" for n in ("services", "receivers", "roles"))
                if p.exists()
            ]
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class Cleaner:
    """Puts the database back as the template made it, after a test whose code committed.

    Tables that were empty are emptied, tables that the template filled are restored where they changed; sequences go
    on. Triggers and key order are switched off for it (the ledger refuses deletes), which needs a superuser.
    """

    def __init__(self) -> None:
        self.connect()
        tables = self.connection.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and not c.relispartition"
            " and (n.nspname = 'public' or n.nspname in (select schema_name from public.tenancy_tenant))"
        ).fetchall()
        names = [sql.Identifier(schema, table) for schema, table in tables]
        self.empty: list[sql.Identifier] = []
        self.filled: list[tuple[sql.Identifier, bytes]] = []
        for name in names:
            if self.connection.execute(sql.SQL("select 1 from {} limit 1").format(name)).fetchone():
                with self.connection.cursor().copy(sql.SQL("copy {} to stdout").format(name)) as copy:
                    self.filled.append((name, b"".join(copy)))
            else:
                self.empty.append(name)
        self.any_row = self._union("select {i} where exists (select from {name})", self.empty)
        self.digest = self._union(
            "select {i}, count(*), sum(hashtextextended(t::text, 0)) from {name} t",
            [name for name, _ in self.filled],
        )
        self.before = self.connection.execute(self.digest).fetchall()

    def connect(self) -> None:
        """Connect, or connect again after the server was stopped."""
        self.connection = psycopg.connect(**_dsn(), autocommit=True)
        self.connection.execute("set session_replication_role = replica; set lock_timeout = '10s'")

    def clean(self) -> None:
        """Raises psycopg.errors.LockNotAvailable when the test left a connection in a transaction."""
        for (i,) in self.connection.execute(self.any_row).fetchall():
            self.connection.execute(sql.SQL("delete from {}").format(self.empty[i]))
        now = self.connection.execute(self.digest).fetchall()
        changed = {row[0] for row in {*now} ^ {*self.before}}
        for i, (name, rows) in enumerate(self.filled):
            if i in changed:
                with self.connection.transaction():
                    self.connection.execute(sql.SQL("delete from {}").format(name))
                    with self.connection.cursor().copy(sql.SQL("copy {} from stdin").format(name)) as copy:
                        copy.write(rows)

    def close(self) -> None:
        self.connection.close()

    @staticmethod
    def _union(select: str, names: list[sql.Identifier]) -> sql.Composed:
        parts = [sql.SQL(select).format(i=sql.Literal(i), name=name) for i, name in enumerate(names)]
        return sql.SQL(" union all ").join(parts)


class Server:
    """The embedded PostgreSQL, to be stopped and started in the middle of a test."""

    def __init__(self, services: embedded.Services) -> None:
        self._services = services

    def stop(self) -> None:
        """A fast shutdown: connections are cut, what was committed stays."""
        process = self._services.owned[embedded.POSTGRES]
        process.send_signal(signal.SIGINT)
        process.wait(30)

    def start(self) -> None:
        """Have it answer again."""
        self._services.start(embedded.POSTGRES, fast=True)

    def forget(self) -> None:
        """Give up this thread's connections, which the stop has cut. Not inside an event loop: it has its own."""
        from django.db import connections

        connections.close_all()


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def _dsn(dbname: str | None = None) -> dict[str, Any]:
    from django.db import connection

    parameters = connection.get_connection_params()
    wanted = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    return wanted | {"dbname": dbname or connection.settings_dict["NAME"]}


def _server(statement: str, *names: sql.Composable) -> list[tuple[Any, ...]]:
    with psycopg.connect(**_dsn("postgres"), autocommit=True) as connection:
        cursor = connection.execute(sql.SQL(statement).format(*names))
        return cursor.fetchall() if cursor.description else []


def _use(name: str) -> None:
    from django.conf import settings
    from django.db import connections

    connections.close_all()
    settings.DATABASES["default"]["NAME"] = name
    connections["default"].settings_dict["NAME"] = name
