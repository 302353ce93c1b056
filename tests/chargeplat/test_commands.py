"""Every command of the project, found by itself: help, dry run, JSON, exit codes, and its line in the manual.

A new command fails until it is named here with arguments that fit `stock`, or with the reason why it cannot be tried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import connection
from psycopg import sql

from apps.common.time import business_day, now
from apps.tenancy.models import Tenant
from tests.apps.orders.sessions import random_session
from tests.wall.stock import PILE_CODE, SECRET, Stock, stock
from tests.ykc_server.test_inspector import HEARTBEAT

PACKAGES = ("apps.", "ykc_server", "chargeplat")
COMMANDS = sorted(name for name, app in get_commands().items() if str(app).startswith(PACKAGES))
MANUAL = Path(settings.BASE_DIR) / "docs/operations.md"

ENDLESS = {
    "run_ykc_server": "a server: runs until it is stopped",
    "simulate_piles": "a fleet: runs until it is stopped, and needs a gateway",
    "simulate_drivers": "drivers: run until they are stopped",
    "bench_ykc": "measures with servers of its own",
    "bench_data": "grows a database of its own",
}
"""Commands of which only the help, the manual and wrong arguments are looked at, and why."""


@dataclass(frozen=True)
class Case:
    """How a command is called: what fits the stock, and what cannot be right."""

    good: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ("--no-such-option",)
    codes: frozenset[int] = frozenset({0})
    """Exit codes that the good arguments may have."""
    writes: bool = False
    """Called without --dry-run it changes rows; that is tried too, so that the dry run proves something."""
    says: str = ""
    """Why it has no --json."""
    own: bool = field(default=False)
    """It writes, but that is tried elsewhere: it would leave a schema, or a business, behind."""


ALPHA = ("--tenant", "alpha")
NOBODY = ("--tenant", "nobody")
YESTERDAY = str(business_day(now()) - timedelta(days=1))

CASES = {
    "bill": Case(("{folder}/sessions.jsonl",), ("/no/such/file",), says="is JSON"),
    "check_ledger": Case(ALPHA, NOBODY, frozenset({0, 1})),
    "close_day": Case((*ALPHA, "--skip-check"), NOBODY, writes=True),
    "create_piles": Case(
        (*ALPHA, "--station", "BETA0001", "--first", "32010600000001", "--count", "2"),
        (*ALPHA, "--station", "NONE", "--first", "32010600000001", "--count", "2"),
        writes=True,
    ),
    "create_tenant": Case(
        ("--code", "gamma", "--name", "丙", "--host", "gamma.test"),
        ("--code", "GAMMA!", "--name", "丙", "--host", "gamma.test"),
        own=True,
    ),
    "demo_driver": Case((*ALPHA, "--phone", "{phone}"), (*ALPHA, "--phone", "13000000000"), own=True),
    "export": Case(
        (*ALPHA, "--list", "orders.order", "--output", "{folder}/orders.csv", "--format", "csv"),
        (*ALPHA, "--list", "orders.nothing", "--output", "{folder}/x.csv"),
    ),
    "export_journal": Case(
        ALPHA, (*ALPHA, "--from", "2026-02-01", "--to", "2026-01-01"), says="has --format jsonl"
    ),
    "import_piles": Case((*ALPHA, "{folder}/piles.csv"), (*ALPHA, "/no/such/file"), writes=True),
    "keep_partitions": Case(ALPHA, NOBODY, writes=True),
    "let_in": Case(("yi", *ALPHA), ("nobody", *ALPHA), writes=True),
    "messages": Case(says="works on the source: says what is missing, line by line"),
    "migrate_tenants": Case(own=True),
    "order_states": Case(says="prints a diagram"),
    "pile_status": Case(ALPHA, (*ALPHA, "--pile", "1"), frozenset({0, 1})),
    "push_prices": Case(
        (
            *ALPHA,
            "--template",
            SECRET,
            "--schedule",
            "2037-01-01 00:00",
            "--station",
            "BETA0001",
            "--reason",
            "r",
        ),
        (*ALPHA, "--until", "2037-01-01"),
        frozenset({0, 1}),
        writes=True,
    ),
    "reboot_piles": Case(
        (*ALPHA, "--pile", PILE_CODE, "--now", "--wait", "0"), NOBODY, frozenset({0, 1}), writes=True
    ),
    "reconcile": Case((*ALPHA, "--energy"), (*ALPHA, "--day", "yesterday"), frozenset({0, 1}), writes=True),
    "report": Case(ALPHA, (*ALPHA, "--station", "NONE")),
    "roles": Case((*ALPHA, "--reset"), (*ALPHA, "--role", "chief"), writes=True),
    "roll_up": Case(
        (*ALPHA, "--from", YESTERDAY), (*ALPHA, "--to", YESTERDAY), frozenset({0, 1}), writes=True
    ),
    "seed_demo": Case(("--tenant", "demo"), ("--days", "0"), own=True),
    "settle": Case(ALPHA, NOBODY, writes=True),
    "tenant_figures": Case((*ALPHA, "--days", "3"), ("--days", "0"), writes=True),
    "tenants": Case(("suspend", *ALPHA, "--reason", "r"), ("suspend", *NOBODY, "--reason", "r"), writes=True),
    "verify_audit": Case(ALPHA, ("--head", "0" * 64)),
    "ykc": Case(("inspect", HEARTBEAT), ("replay", "/no/such/file", *ALPHA, "--yes-this-is-a-test-tenant")),
}


def command(name: str) -> BaseCommand:
    found = load_command_class(get_commands()[name], name)
    assert isinstance(found, BaseCommand)
    return found


def run(name: str, *arguments: str) -> int:
    """Call a command as `manage.py` does, and return its exit code."""
    found = command(name)
    quick = ["--skip-checks"] if found.requires_system_checks else []
    try:
        found.run_from_argv(["manage.py", name, *arguments, *quick])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def options_of(name: str) -> set[str]:
    """All options, those of subcommands included."""
    found: set[str] = set()
    parsers = [command(name).create_parser("manage.py", name)]
    while parsers:
        for action in parsers.pop()._actions:
            found.update(action.option_strings)
            if isinstance(action.choices, dict):
                parsers.extend(action.choices.values())
    return found


# --- Without a database ---------------------------------------------------------------------------------------


def test_every_command_is_named_here() -> None:
    assert sorted([*CASES, *ENDLESS]) == COMMANDS
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--help") == 0
    told = capsys.readouterr().out
    words = " ".join(command(name).help.split())
    assert len(words) > 30
    assert words[:60] in " ".join(told.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_options_are_exit_code_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, "--no-such-option") == 2
    told = capsys.readouterr().err
    assert "--no-such-option" in told or "required" in told


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_writes_can_be_tried_and_what_reports_has_json(name: str) -> None:
    case, options = CASES[name], options_of(name)
    if case.writes or case.own:
        assert "--dry-run" in options
    assert ("--json" in options) is not bool(case.says)


def test_the_manual_has_every_command_and_no_option_that_is_not_there() -> None:
    table = re.findall(r"^\| `manage\.py ([a-z_]+)([^`]*)` \| (.+) \|$", MANUAL.read_text(), re.MULTILINE)
    assert [name for name, _, _ in table] == COMMANDS, "one line each, in the order of the alphabet"
    for name, usage, text in table:
        named = set(re.findall(r"--[a-z][a-z-]*", usage + text))
        assert named <= options_of(name), name
        for always in {"--dry-run", "--json", "--tenant"} & options_of(name):
            assert always in usage, f"{name}: the manual does not name {always}"


# --- With one -------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "piles.csv").write_text("pile_code,station,power_kw\n32010600000099,BETA0001,60\n")
    (tmp_path / "sessions.jsonl").write_text(json.dumps(random_session(Random(1))))
    return tmp_path


@pytest.fixture
def filled(committed: Tenant) -> Iterator[Stock]:
    made = stock()
    support = Group.objects.get(standard__code="support")
    support.permissions.remove(support.permissions.earliest("pk"))
    yield made
    connection.set_tenant(committed)


def filled_in(arguments: tuple[str, ...], folder: Path, stocked: Stock) -> list[str]:
    words = {"folder": str(folder), "phone": stocked.customer.phone}
    return [one.format(**words) if one.startswith("{") else one for one in arguments]


def rows() -> dict[str, tuple[int, Any]]:
    """Number and digest of the rows of every table, partitions included, of all schemas that are ours."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')"
        )
        parts = [
            sql.SQL("select {}, count(*), sum(hashtextextended(t::text, 0)) from {} t").format(
                sql.Literal(f"{schema}.{table}"), sql.Identifier(schema, table)
            )
            for schema, table in cursor.fetchall()
        ]
        cursor.execute(sql.SQL(" union all ").join(parts))
        return {name: (count, digest) for name, count, digest in cursor.fetchall()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before | after if before.get(name) != after.get(name)}


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_dry_run_changes_nothing_and_answers_in_json(
    name: str, filled: Stock, folder: Path, capsys: pytest.CaptureFixture[str], committed: Tenant
) -> None:
    case, options = CASES[name], options_of(name)
    arguments = filled_in(case.good, folder, filled)
    before = rows()
    dry = ["--dry-run"] if "--dry-run" in options and name != "ykc" else []
    capsys.readouterr()
    code = run(name, *arguments, *dry, *([] if case.says else ["--json"]))
    told = capsys.readouterr()
    assert code in case.codes, told.out + told.err
    assert changed(before, rows()) == set()
    if not case.says:
        answers = [json.loads(line) for line in told.out.splitlines()]
        assert answers, "it reports nothing"
        assert all(isinstance(one, dict) and not one.get("error") for one in answers)

    assert run(name, *filled_in(case.wrong, folder, filled)) == 2
    assert changed(before, rows()) == set()
    if "--tenant" in options and name != "ykc":
        connection.set_tenant(committed)
        unknown = ["nobody" if part == "alpha" else part for part in arguments]
        unknown += [] if "nobody" in unknown else ["--tenant", "nobody"]
        assert run(name, *unknown) == 2, capsys.readouterr().err
        assert changed(before, rows()) == set()

    if case.writes:
        connection.set_tenant(committed)
        capsys.readouterr()
        assert run(name, *arguments, "--json") in case.codes, capsys.readouterr()
        assert changed(before, rows()), "with nothing to do the dry run proved nothing"
