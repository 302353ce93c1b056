"""The report page: figures, ways down to the orders, files, and who sees what; and the two commands."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openpyxl import load_workbook

from apps.accounts.enums import Scope
from apps.backoffice.models import AuditEntry
from apps.common.time import SHANGHAI, business_day, now
from apps.files import services
from apps.files.enums import ExportState
from apps.files.models import ExportJob
from apps.orders.models import Order
from apps.reports import finance, rollups
from apps.reports.models import RolledPeriod, Rollup
from apps.sites.services import give_stations
from tests import factories
from tests.apps.files.test_files import use_disk
from tests.apps.reports.test_rollups import settled
from tests.staff import a_user, boss, signed_in

PAGE = "/admin/reports/financereport/"
VIEW = "reports.view_financereport"


@pytest.fixture(autouse=True)
def noon(time_machine: Any) -> None:
    """The charges of an hour, which end now, are of today as a whole."""
    time_machine.move_to(now().astimezone(SHANGHAI).replace(hour=12))


@pytest.fixture
def charged(tenant: Any) -> list[Order]:
    """Three orders at three stations today, one of an enterprise's member, and none of the day before."""
    member = factories.a_customer()
    factories.an_enterprise(member)
    orders = [settled(customer=member), settled(energy="20.0000"), settled(energy="5.0000")]
    rollups.roll_day(business_day(now()))
    return orders


def opened(client: Any, query: str = "") -> dict[str, Any]:
    answer = client.get(f"{PAGE}?{query}")
    assert answer.status_code == 200
    return answer.context_data


def test_each_group_leads_to_its_orders(charged: list[Order]) -> None:
    client = boss()
    factories.a_franchisee(charged[0].station, since=90)
    for by in ("day", "month", "station", "pile", "gun", "source", "customer", "hour"):
        context = opened(client, f"by={by}")
        assert sum(int(row["cells"][0]) for row in context["rows"]) == 3
        assert context["total"][:2] == ["3", "35.00"]
        links = [*context["rows"], {"orders": context["total_orders"], "cells": context["total"]}]
        assert [bool(row["orders"]) for row in links] == [row["cells"][0] != "0" for row in links]
        for row in links:
            if row["orders"]:
                found = client.get(row["orders"]).context_data["cl"].result_list
                assert len(found) == int(row["cells"][0]), (by, row)
                assert sum(order.energy_kwh for order in found) == Decimal(row["cells"][1]), (by, row)


def test_a_group_opens_by_the_next_finer_one(charged: list[Order]) -> None:
    client, words = boss(), "by=month&source=app"
    for finer in ("day", "station", "pile"):
        row = opened(client, words)["rows"][0]
        words = row["link"].removeprefix("?")
        assert f"by={finer}" in words
    last = opened(client, words)
    assert last["rows"][0]["label"] == charged[1].connector.pile.pile_code  # most is due of it
    assert (last["total"][0], last["rows"][0]["link"]) == ("1", "")


def test_rows_come_in_the_order_that_is_asked_for(charged: list[Order]) -> None:
    client = boss()
    names = [order.station.name for order in charged]
    for sort, expected in (
        ("", [1, 0, 2]),
        ("energy_kwh", [2, 0, 1]),
        ("-energy_kwh", [1, 0, 2]),
        ("x", [1, 0, 2]),
    ):
        context = opened(client, f"by=station&sort={sort}")
        assert [row["label"] for row in context["rows"]] == [names[place] for place in expected], sort


def test_nonsense_in_the_address_is_answered_with_a_report(charged: list[Order]) -> None:
    client = boss()
    for words in (
        "from=x",
        "from=2026-02-30",
        "from=2999-01-01",
        "from=0001-01-01",
        "to=9999-12-31&from=9999-12-01",
    ):
        answer = client.get(f"{PAGE}?{words}", follow=True)
        assert answer.status_code == 200, words
    for words in ("by=x", "station=x", "station=999999999", "source=x", "sort=-", "p=-1", "p=99999", "p=x"):
        assert client.get(f"{PAGE}?{words}").status_code == 200, words
    assert "最多" in client.get(f"{PAGE}?from=2999-01-01").content.decode()
    assert opened(client, "station=999999999")["total"][0] == "0"


def test_nobody_sees_other_stations_figures(charged: list[Order]) -> None:
    mine, other = charged[0].station, charged[1].station
    user = a_user(VIEW, "orders.view_order", scope=Scope.STATIONS)
    give_stations(user=user, stations=[mine])
    client = signed_in(user)
    for words in ("", "by=station", "by=gun", "by=source", f"station={mine.pk}"):
        context = opened(client, words)
        assert context["total"][0] == "1", words
        assert other.name not in client.get(f"{PAGE}?{words}").content.decode()
    assert opened(client, f"station={other.pk}")["total"][0] == "0"
    assert [name for _pk, name in opened(client)["stations"]] == [mine.name]
    assert other.name not in client.get(f"{PAGE}export/?by=station").content.decode()


def test_figures_of_each_franchisee(charged: list[Order]) -> None:
    """A group for each, one for the rest; the way down to its stations and its orders."""
    first, second = factories.a_franchisee(charged[0].station, since=90), factories.a_franchisee()
    client = boss()
    context = opened(client, "by=franchisee")
    assert [(row["label"], row["cells"][0]) for row in context["rows"]] == [
        ("自营站点", "2"),
        (str(first), "1"),
    ]
    assert context["total"][:2] == ["3", "35.00"]
    own, of_first = context["rows"]
    assert own["orders"] == ""
    assert list(client.get(of_first["orders"]).context_data["cl"].result_list) == [charged[0]]
    finer = opened(client, of_first["link"].removeprefix("?"))
    assert [row["label"] for row in finer["rows"]] == [charged[0].station.name]
    assert finer["total"][0] == "1"
    assert opened(client, f"by=gun&franchisee={second.pk}")["total"][0] == "0"
    assert [name for _pk, name in context["franchisees"]] == [str(first), str(second)]
    csv = client.get(f"{PAGE}export/?by=franchisee&franchisee={first.pk}").content.decode()
    assert str(first) in csv
    assert str(second) not in csv
    # Whose a station was for a part of the time only has no list of orders.
    third = factories.a_franchisee(charged[1].station, since=0)
    rows = {row["label"]: row for row in opened(client, "by=franchisee&from=2026-01-01")["rows"]}
    assert (rows[str(third)]["orders"], rows[str(third)]["cells"][0]) == ("", "1")


def test_a_franchisees_account_reads_its_own_days_without_our_costs(charged: list[Order]) -> None:
    mine = charged[0].station
    client = signed_in(factories.a_franchisees_account(factories.a_franchisee(mine, since=0)))
    ours = opened(boss())
    for words in ("", "by=station", "by=franchisee", "by=gun", f"station={charged[1].station_id}&by=day"):
        context = opened(client, words)
        assert context["total"][0] == ("0" if "station=" in words else "1"), words
        assert context["franchisees"] == []
        titles = [str(column["title"]) for column in context["columns"]]
        assert len(context["total"]) == len(titles) == len(ours["columns"]) - 1
        assert "渠道手续费" not in titles
    other = factories.a_franchisee()
    assert opened(client, f"franchisee={other.pk}")["total"][0] == "1"
    # From before the station was its own nothing is told.
    yesterday = business_day(now()) - timedelta(days=1)
    Rollup.objects.update(day=yesterday, rolled_day=yesterday)
    assert opened(client, f"from={yesterday}")["total"][0] == "0"
    assert opened(boss(), f"from={yesterday}")["total"][0] == "3"


def test_only_who_may(charged: list[Order]) -> None:
    assert signed_in(a_user("orders.view_order")).get(PAGE).status_code == 403
    reader = signed_in(a_user(VIEW))
    assert reader.get(PAGE).context_data["may_roll"] is False
    assert reader.post(f"{PAGE}again/").status_code == 403
    assert signed_in(a_user("orders.view_order")).post(f"{PAGE}excel/").status_code == 403
    assert boss().get(f"{PAGE}again/").status_code == 405


def test_the_report_is_taken_away_as_excel(
    charged: list[Order], settings: Any, tmp_path: Path, django_capture_on_commit_callbacks: Any
) -> None:
    use_disk(settings, tmp_path)
    charged[1].station.__class__.objects.filter(pk=charged[1].station_id).update(name='=HYPERLINK("x")')
    with django_capture_on_commit_callbacks(execute=True):
        answer = boss().post(f"{PAGE}excel/", {"query": "by=station"})
    assert answer["Location"] == "/admin/files/exportjob/"
    job = ExportJob.objects.get()
    assert (job.state, job.done) == (ExportState.DONE, 4)
    with services.open_content(job.file) as file:
        rows = list(load_workbook(io.BytesIO(file.read())).active.values)
    assert rows[0][:4] == ("分组", "订单数", "电量（度）", "电费")
    assert rows[1][:4] == ('=HYPERLINK("x")', 1, 20, 16)
    assert (rows[-1][0], rows[-1][1], str(rows[-1][12])) == ("合计", 3, "41.2")
    text = boss().get(f"{PAGE}export/?by=station").content.decode()
    assert "'=HYPERLINK" in text
    assert text.count("\r\n") == 5
    assert AuditEntry.objects.filter(action="reports.financereport_exported").count() == 2


def test_days_are_summed_up_again_by_a_button(
    charged: list[Order], django_capture_on_commit_callbacks: Any
) -> None:
    Rollup.objects.update(orders=7)
    today = business_day(now())
    with django_capture_on_commit_callbacks(execute=True):
        answer = boss().post(f"{PAGE}again/", {"query": f"from={today}&to={today}&by=station"})
    assert answer["Location"] == f"{PAGE}?from={today}&to={today}&by=station"
    assert finance.report(finance.Question(today, today)).total.orders == 3
    entry = AuditEntry.objects.get(action="reports.financereport_rolled")
    assert entry.changes == {"days": [None, f"{today} – {today}"]}


def test_the_number_of_queries_does_not_grow_with_the_rows(tenant: Any) -> None:
    client, counts = boss(), []
    today = business_day(now())
    for number in (1, 2):
        for _ in range(number):
            settled()
        rollups.roll_day(today)
        for by in ("day", "station", "pile", "gun"):
            with CaptureQueriesContext(
                connection,
            ) as found:
                assert len(opened(client, f"by={by}")["rows"]) == (1 if by == "day" else 2 * number - 1)
            counts.append((by, len(found)))
    assert counts[:4] == counts[4:]
    assert dict(counts) == {"day": 11, "station": 13, "pile": 14, "gun": 14}


# --- Commands ---


def run(name: str, *arguments: str) -> Any:
    out = io.StringIO()
    call_command(name, "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def test_days_are_summed_up_by_command(charged: list[Order]) -> None:
    today = business_day(now())
    RolledPeriod.objects.all().delete()
    Rollup.objects.all().delete()
    planned = run("roll_up", "--tenant", "alpha", "--dry-run")["t_alpha"]
    assert planned == {"days": [str(today)], "rolled": False, "orders": 0, "differences": []}
    assert not Rollup.objects.exists()
    done = run("roll_up", "--tenant", "alpha", "--check")["t_alpha"]
    assert done == {"days": [str(today)], "rolled": True, "orders": 3, "differences": []}
    Rollup.objects.filter(grain="station", source="app").update(energy_kwh=1)
    with pytest.raises(SystemExit) as failed:
        run("roll_up", "--tenant", "alpha", "--from", str(today), "--dry-run", "--check")
    assert failed.value.code == 1
    for wrong in (
        ["--tenant", "nobody"],
        ["--to", "2026-01-01"],
        ["--from", "2026-01-02", "--to", "2026-01-01"],
    ):
        with pytest.raises(CommandError) as refused:
            run("roll_up", *wrong)
        assert refused.value.returncode == 2


def test_a_report_is_printed_and_written_by_command(charged: list[Order], tmp_path: Path) -> None:
    today = business_day(now())
    found = run("report", "--tenant", "alpha", "--by", "station")
    assert [row["label"] for row in found["rows"]] == [charged[place].station.name for place in (1, 0, 2)]
    assert (found["total"]["orders"], found["total"]["due"]) == (3, "41.20")
    assert (found["missing"], found["to"]) == ([], str(today))
    narrow = ["--station", charged[0].station.station_no, "--customers", "enterprise", "--source", "app"]
    assert run("report", "--tenant", "alpha", *narrow)["total"]["due"] == "11.20"
    path = tmp_path / "report.xlsx"
    call_command("report", "--tenant", "alpha", "--by", "gun", "--output", str(path), stdout=io.StringIO())
    assert [row[1] for row in load_workbook(path).active.values] == ["订单数", 1, 1, 1, 3]
    for wrong, code in (
        (["--tenant", "nobody"], 2),
        (["--station", "nobody"], 2),
        (["--output", "x.pdf"], 2),
        (["--from", str(today + timedelta(days=2))], 1),
    ):
        with pytest.raises(CommandError) as refused:
            call_command("report", *(["--tenant", "alpha"] if "--tenant" not in wrong else []), *wrong)
        assert refused.value.returncode == code, wrong
