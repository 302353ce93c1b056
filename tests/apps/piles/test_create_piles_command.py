"""`manage.py create_piles`."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.common.management.base import BadArguments
from apps.common.schema import run_in_schema, schema_context
from apps.piles.models import Connector, ConnectorStatus, Pile
from apps.sites.models import Station
from apps.tenancy.models import InboundRoute, Tenant

FIRST = "32010600000001"


@pytest.fixture
def stations(tenant: Tenant, other_tenant: Tenant) -> None:
    for schema in ("t_alpha", "t_beta"):
        with schema_context(schema):
            Station.objects.create(station_no="S1", name="站", latitude="31.2", longitude="121.4")


def run(*arguments: str, tenant: str = "alpha", first: str = FIRST) -> tuple[int, dict]:
    out = StringIO()
    try:
        call_command(
            "create_piles",
            "--json",
            "--tenant",
            tenant,
            "--station",
            "S1",
            "--first",
            first,
            *arguments,
            stdout=out,
        )
        code = 0
    except SystemExit as done:
        code = int(done.code or 0)
    return code, json.loads(out.getvalue())


def test_registering_again_adds_what_is_missing(stations: None) -> None:
    assert run("--count", "30") == (0, {"created": 30, "known": 0, "dry_run": False})
    assert run("--count", "1200", "--dry-run") == (0, {"created": 1170, "known": 30, "dry_run": True})
    assert Pile.objects.count() == 30
    assert run("--count", "1200") == (0, {"created": 1170, "known": 30, "dry_run": False})
    assert run("--count", "1200") == (0, {"created": 0, "known": 1200, "dry_run": False})
    assert Pile.objects.count() == 1200
    assert Connector.objects.count() == ConnectorStatus.objects.count() == 2400
    assert Pile.objects.order_by("-pile_code").first().pile_code == "32010600001200"
    assert InboundRoute.objects.filter(tenant__code="alpha").count() == 1200


def test_kind_power_and_guns(stations: None) -> None:
    run("--count", "1", "--kind", "ac", "--power", "7.5", "--guns", "1")
    pile = Pile.objects.get()
    assert (pile.kind, str(pile.power_kw), pile.station.station_no) == ("ac", "7.50", "S1")
    assert [connector.code for connector in pile.connectors.all()] == [f"{FIRST}01"]


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_another_tenants_code_is_refused(stations: None, dry_run: list[str]) -> None:
    run("--count", "1", tenant="beta", first="32010600000003")
    code, answer = run("--count", "5", *dry_run)
    assert (code, answer["error"]) == (1, "tenancy.route_taken")
    assert Pile.objects.count() == 0
    assert run_in_schema("t_beta", Pile.objects.count) == 1


@pytest.mark.parametrize("first", ["3201060000000", "320106000000012", "3201060000000x", "٣2010600000001"])
def test_a_code_that_is_not_14_digits_is_refused(stations: None, first: str) -> None:
    with pytest.raises(BadArguments):
        run("--count", "1", first=first)


def test_codes_do_not_go_beyond_14_digits(stations: None) -> None:
    with pytest.raises(BadArguments):
        run("--count", "2", first="99999999999999")
    assert Pile.objects.count() == 0


def test_unknown_places_are_named(stations: None) -> None:
    with pytest.raises(CommandError, match="S1"):
        call_command("create_piles", "--tenant", "alpha", "--station", "S9", "--first", FIRST, "--count", "1")
    with pytest.raises(BadArguments):
        run("--count", "1", tenant="nobody")
    with pytest.raises(CommandError):
        run("--count", "0")
    with pytest.raises(CommandError):
        run("--count", "1", "--power", "-3")
