"""Pages of price tasks, of the holiday calendar and of comparing; the bill on trial; `push_prices --schedule`."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from openpyxl import Workbook

from apps.accounts.enums import Scope
from apps.backoffice.approvals import approve
from apps.backoffice.models import Approval, AuditEntry
from apps.common.ids import SYSTEM, Actor
from apps.common.time import SHANGHAI, business_day, now
from apps.orders.settlement import settle
from apps.pricing import services
from apps.pricing.enums import DayKind, TaskState
from apps.pricing.holidays import entries_of, lines_of_table, read_lines
from apps.pricing.models import Holiday, PriceTask, PriceTemplate
from apps.pricing.sample import Sample, energies, sample_bill
from apps.pricing.tariff import RateClass
from apps.sites.services import give_stations
from tests import factories
from tests.apps.pricing.test_admin import FORM, SLOTS
from tests.apps.pricing.test_changes import FLAT, priced
from tests.staff import a_user, boss, signed_in

LIST = "/admin/pricing/pricetask/"
NEW = f"{LIST}new/"
DAYS = "/admin/pricing/holiday/new/"
COMPARE = "/admin/pricing/pricetemplate/compare/"
LARGE = priced(FLAT, "1.60000", "0.40000")
DIALOG = {"_form_submitted": "on", "reason": "录错了"}


@pytest.fixture
def pile(tenant: Any) -> Any:
    return factories.a_pile()


def form(pile: Any, version: Any, **words: Any) -> dict[str, Any]:
    values = {
        "name": "国庆电价",
        "version": version.pk,
        "days": "all",
        "starts_at": "2030-10-01T00:00",
        "ends_at": "2030-10-08T00:00",
        "stations": [pile.station_id],
        "pile_codes": "",
        "reason": "节日",
    }
    return {**values, **words}


# --- Tasks ---


def test_a_task_is_previewed_then_asked_for(pile: Any) -> None:
    client, version = boss(), factories.a_price(LARGE)
    single = factories.a_pile(priced=False)
    words = form(pile, version, pile_codes=f" {single.pile_code}，")
    answer = client.post(NEW, {**words, "preview": ""})
    preview = answer.context_data["preview"]
    assert PriceTask.objects.count() == 0
    assert (preview["percent"], preview["second_person"], preview["places"]) == (Decimal("100.00"), True, 2)
    assert [row["percent"] for row in preview["rows"]] == [Decimal("100.00"), None]
    assert "需要他人复核" in answer.content.decode()
    answer = client.post(NEW, {**words, "save": ""})
    task = PriceTask.objects.get()
    assert answer.headers["location"] == f"{LIST}{task.pk}/change/"
    assert (task.state, task.starts_at) == ("waiting", datetime(2030, 10, 1, tzinfo=SHANGHAI))
    assert [*task.stations.all(), *task.piles.all()] == [pile.station, single]
    entry = AuditEntry.objects.get(action="pricing.pricetask_added")
    assert entry.changes["places"][1] == [str(pile.station), str(single)]
    page = client.get(f"{LIST}{task.pk}/change/").content.decode()
    for text in ("100.00 %", "2030-10-08 00:00:00", single.pile_code, "待复核"):
        assert text in page


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"stations": [], "pile_codes": ""}, "请选择充电站"),
        ({"pile_codes": "99999999999999"}, "以下充电桩不存在：99999999999999"),
        ({"pile_codes": " ".join(str(number) for number in range(201))}, "一次最多 200 个桩"),
        ({"ends_at": "2030-09-01T00:00"}, "结束时间须晚于"),
        ({"days": "holidays", "ends_at": ""}, "须填写结束时间"),
        ({"name": ""}, "必填"),
        ({"version": "0"}, "选择"),
        ({"starts_at": "soon"}, "输入一个有效的"),
    ],
)
def test_a_wrong_task_is_refused(pile: Any, words: dict[str, Any], error: str) -> None:
    for button in ("preview", "save"):
        answer = boss().post(NEW, {**form(pile, factories.a_price()), **words, button: ""})
        assert (answer.status_code, error in answer.content.decode()) == (200, True)
    assert not PriceTask.objects.exists()


def test_a_task_shows_its_piles_and_has_the_buttons_of_its_state(pile: Any) -> None:
    neighbour = factories.a_pile(station=pile.station, priced=False)
    own = factories.a_price(pile=neighbour)
    task = factories.a_price_task(pile.station, name="<b>调价</b>", starts_at=now(), ends_at=None)
    services.push_due_prices()
    services.push_answered(pile_code=pile.pile_code, accepted=False)
    client, page = boss(), f"{LIST}{task.pk}/change/"
    answer = client.get(page)
    rows = [
        (row["pile"], row["own"], row["state"], row["in_force"]) for row in answer.context_data["push_rows"]
    ]
    assert rows == [(pile, True, "failed", task.version), (neighbour, False, None, own)]
    progress = answer.context_data["progress"]
    assert (progress["total"], progress["done"], progress["failed"], progress["others"]) == (1, 0, 1, 1)
    text = answer.content.decode()
    assert "桩拒绝接收" in text
    assert "<b>调价" not in text
    assert "cancel/" not in text
    client.post(f"{LIST}{task.pk}/push-again/", {"_form_submitted": "on"})
    assert services.push_due_prices() == 1
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    assert client.get(page).context_data["progress"]["percent"] == 100
    client.post(f"{LIST}{task.pk}/roll-back/", DIALOG)
    task.refresh_from_db()
    assert task.state == TaskState.ROLLED_BACK
    assert client.post(f"{LIST}{task.pk}/roll-back/", DIALOG).status_code == 403
    scheduled = factories.a_price_task(pile.station)
    client.post(f"{LIST}{scheduled.pk}/cancel/", DIALOG)
    entry = AuditEntry.objects.get(action="pricing.pricetask_state_changed")
    assert (entry.changes, entry.reason) == ({"state": ["scheduled", "cancelled"]}, "录错了")


def test_a_large_roll_back_waits(pile: Any) -> None:
    task = factories.a_price_task(
        pile.station, version=factories.a_price(LARGE), starts_at=now(), ends_at=None
    )
    approve(task.approval_id, Actor("staff", "9001", "张三"))
    answer = boss().post(f"{LIST}{task.pk}/roll-back/", DIALOG)
    assert answer.headers["HX-Redirect"] == f"{LIST}{task.pk}/change/"
    task.refresh_from_db()
    assert task.state == TaskState.DONE
    assert Approval.objects.filter(object_kind="pricing.pricetask", state="pending").count() == 1


def test_tasks_need_their_permissions_and_are_seen_with_all_their_stations(pile: Any) -> None:
    task, other = factories.a_price_task(pile.station), factories.a_pile()
    looking = signed_in(a_user("pricing.view_pricetask"))
    assert looking.get(LIST).status_code == 200
    pages = [NEW, *(f"{LIST}{task.pk}/{page}/" for page in ("cancel", "roll-back", "push-again"))]
    assert {looking.post(page, DIALOG).status_code for page in pages} == {403}
    task.stations.add(other.station)
    person = a_user("pricing.view_pricetask", "pricing.add_pricetask", scope=Scope.STATIONS)
    give_stations(user=person, stations=[pile.station])
    client = signed_in(person)
    assert client.get(f"{LIST}{task.pk}/change/").status_code == 404
    answer = client.post(NEW, form(other, task.version, save=""))
    assert "选择" in answer.content.decode()
    assert PriceTask.objects.count() == 1
    give_stations(user=person, stations=[pile.station, other.station])
    assert (
        signed_in(type(person).objects.get(pk=person.pk)).get(f"{LIST}{task.pk}/change/").status_code == 200
    )


def test_the_page_of_a_task_asks_no_more_for_more_piles(pile: Any) -> None:
    task, client = factories.a_price_task(pile.station, starts_at=now(), ends_at=None), boss()
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            assert client.get(f"{LIST}{task.pk}/change/").status_code == 200
        counts.append(len(asked.captured_queries))
        for _ in range(2):
            task.stations.add(factories.a_pile().station)
            factories.a_pile(station=pile.station, priced=False)
    assert counts[0] == counts[1]


# --- The holiday calendar ---


def test_lines_of_days() -> None:
    today = date(2026, 9, 1)
    text = (
        "2026-10-01 ~ 2026-10-03 国庆节 休\n"
        "\n"
        "2026年10月10日，国庆节调休，班\n"
        "20261224\t平安 夜\n"
        "2026/12/25,2026/12/26,圣诞,休\n"
        "下周一 补班\n"
        "2026-09-01 今天 休\n"
        "2026-10-02 又来 休\n"
        "2026-10-09~2026-10-05 反了 休\n"
        "2026-11-01\n"
        "2026-02-30 没有 休\n"
        "2027-01-01~2027-02-01 太长 休\n"
    )
    lines = read_lines(text, today=today)
    assert [(line.number, len(line.entries), bool(line.error)) for line in lines] == [
        (1, 3, False),
        (3, 1, False),
        (4, 1, False),
        (5, 2, False),
        *((number, 0, True) for number in range(6, 13)),
    ]
    found = [(str(entry.day)[5:], entry.kind, entry.name) for entry in entries_of(lines)]
    assert found[:5] == [
        ("10-01", DayKind.HOLIDAY, "国庆节"),
        ("10-02", DayKind.HOLIDAY, "国庆节"),
        ("10-03", DayKind.HOLIDAY, "国庆节"),
        ("10-10", DayKind.WORKDAY, "国庆节调休"),
        ("12-24", DayKind.HOLIDAY, "平安 夜"),
    ]
    assert lines_of_table([["日期", "名称"], ["2026-10-01", "国庆", "休"]]) == "2026-10-01, 国庆, 休"


def a_sheet(rows: list[list[Any]]) -> io.BytesIO:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    data = io.BytesIO()
    book.save(data)
    data.seek(0)
    data.name = "holidays.xlsx"
    return data


def test_days_are_imported_with_a_look_at_each_line(tenant: Any) -> None:
    client = boss()
    first, second = (business_day(now()) + timedelta(days=ahead) for ahead in (30, 31))
    sheet = a_sheet(
        [["日期", "名称", "类型"], [first, "<b>国庆</b>", "休"], ["坏", "x", "休"], [second, "补班", "班"]]
    )
    answer = client.post(DAYS, {"preview": "", "file": sheet})
    text = answer.content.decode()
    assert (answer.context_data["right"], answer.context_data["wrong"]) == (2, 1)
    assert "日期无法识别" in text
    assert "<b>国庆" not in text
    lines = answer.context_data["form"]["lines"].value()
    assert "未录入任何日期" in client.post(DAYS, {"save": "", "lines": lines}).content.decode()
    assert not Holiday.objects.exists()
    assert client.post(DAYS, {"save": "", "lines": lines, "skip_wrong": "on"}).status_code == 302
    assert list(Holiday.objects.order_by("day").values_list("day", "kind")) == [
        (first, "holiday"),
        (second, "workday"),
    ]
    entry = AuditEntry.objects.get(action="pricing.holiday_changed")
    assert entry.changes[str(second)] == [None, "调休上班 补班"]
    holiday = Holiday.objects.get(day=second)
    client.post(f"/admin/pricing/holiday/{holiday.pk}/remove/", DIALOG)
    assert list(Holiday.objects.values_list("day", flat=True)) == [first]
    wrong = ((b"\x00\x01\x02", "xlsx"), (b"", "空"), (b"a,b\n" * 102, "100"), (b"a" * (2**20 + 1), "过大"))
    for data, error in wrong:
        file = io.BytesIO(data)
        file.name = "x.csv"
        errors = client.post(DAYS, {"preview": "", "file": file}).context_data["form"].errors["file"]
        assert error in errors[0], (data[:9], errors)
    reader = signed_in(a_user("pricing.view_holiday"))
    assert reader.get("/admin/pricing/holiday/").status_code == 200
    assert {reader.get(DAYS).status_code, reader.post(DAYS, {"save": "", "lines": lines}).status_code} == {
        403
    }
    Holiday.objects.filter(day=first).update(day=business_day(now()))
    begun = Holiday.objects.get()
    assert client.post(f"/admin/pricing/holiday/{begun.pk}/remove/", DIALOG).status_code == 403


# --- Templates: a bill on trial, copies, comparing ---


def test_a_bill_on_trial_is_one_of_ours() -> None:
    tariff = factories.TARIFF
    sample = Sample(slot=35, kwh=Decimal("45.1234"), kw=Decimal(60))  # 17:30, peak, then sharp from 18:00
    split = energies(tariff, sample)
    assert split == {RateClass.SHARP: Decimal("15.1234"), RateClass.PEAK: Decimal("30.0000")}
    bill, ours = sample_bill(tariff, sample), settle(split, tariff)
    assert (bill.total, bill.electricity_fee, bill.service_fee) == (
        ours.total,
        ours.electricity_fee,
        ours.service_fee,
    )
    assert (bill.total, sample.ends) == (Decimal("88.79"), "18:15")
    for slot in range(48):  # nothing is lost, whenever and however slowly it charges
        for kwh, kw in (("0.0001", "7"), ("33.3333", "7"), ("2000", "1"), ("77.7777", "180")):
            some = Sample(slot, Decimal(kwh), Decimal(kw))
            found = energies(tariff, some)
            assert sum(found.values()) == some.kwh
            assert sample_bill(tariff, some).total == settle(found, tariff).total


def test_the_editor_and_the_template_show_a_bill_on_trial(tenant: Any) -> None:
    client, new = boss(), "/admin/pricing/pricetemplate/new/"
    answer = client.post(new, {**FORM, "preview": "1", "slot": "40", "kwh": "10", "kw": "60"})
    assert not PriceTemplate.objects.exists()
    assert answer.context_data["trial"]["bill"].total == Decimal("16.00")  # peak from 16:00: (1.2 + 0.4) × 10
    assert answer.context_data["form"]["slots"].value() == SLOTS
    client.post(new, FORM)
    page = f"/admin/pricing/pricetemplate/{PriceTemplate.objects.get().pk}/change/"
    assert client.get(page, {"slot": "0", "kwh": "10"}).context_data["trial"]["bill"].total == Decimal("7.00")
    wrong = client.get(page, {"slot": "48", "kwh": "-1", "kw": "x"})
    assert wrong.context_data["trial"]["bill"].energy_kwh == Decimal("40.0000")  # the usual sample


def test_a_template_is_copied_and_two_versions_are_compared(tenant: Any) -> None:
    version, client = factories.a_price(), boss()
    page = f"/admin/pricing/pricetemplate/{version.template_id}/copy/"
    assert (
        "HX-Redirect"
        not in client.post(page, {"_form_submitted": "on", "name": str(version.template)}).headers
    )
    client.post(page, {"_form_submitted": "on", "name": "副本"})
    made = PriceTemplate.objects.get(name="副本").versions.get()
    assert made.to_tariff() == version.to_tariff()
    same = client.get(COMPARE, {"before": version.pk, "after": made.pk})
    assert "两个版本全天各时段电价相同" in same.content.decode()
    other = services.add_version(template=made.template, tariff=LARGE, actor=SYSTEM)
    answer = client.get(
        COMPARE, {"before": version.pk, "after": other.pk, "slot": "16", "kwh": "10", "kw": "60"}
    )
    rows = [(row["start"], row["end"], row["before"], row["after"]) for row in answer.context_data["periods"]]
    assert rows == [
        ("08:00", "12:00", Decimal("1.20000"), Decimal("2.00000")),
        ("21:00", "24:00", Decimal("1.20000"), Decimal("2.00000")),
    ]
    assert [bill.total for bill in answer.context_data["bills"]] == [Decimal("12.00"), Decimal("20.00")]
    assert "100.00 %" in answer.content.decode()
    assert client.get(COMPARE, {"before": "0", "after": "x"}).status_code == 200
    assert signed_in(a_user("pricing.view_holiday")).get(COMPARE).status_code == 403


# --- The command ---


def call(*args: str) -> tuple[int, Any]:
    out, code = io.StringIO(), 0
    try:
        call_command("push_prices", "--tenant=alpha", "--json", *args, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(out.getvalue())


def test_a_schedule_from_the_shell(pile: Any) -> None:
    version = factories.a_price(LARGE)
    words = [
        f"--template={version.template.name}",
        "--schedule=2030-10-01 00:00",
        f"--station={pile.station.station_no}",
        "--reason=节日",
    ]
    code, answer = call(*words, "--dry-run")
    expected = {
        "needs_second_person": True,
        "largest_change_percent": "100.00",
        "places": [str(pile.station)],
    }
    assert (code, {name: answer[name] for name in expected}) == (0, expected)
    assert not PriceTask.objects.exists()
    code, answer = call(*words, "--until=2030-10-08 00:00")
    task = PriceTask.objects.get()
    assert (code, answer["task"], task.state, task.created_by) == (1, task.pk, "waiting", "push_prices")
    small = factories.a_price()
    code, answer = call(
        f"--template={small.template.name}", "--schedule=2031-01-01", f"--pile={pile.pile_code}"
    )
    assert (code, PriceTask.objects.get(pk=answer["task"]).state) == (0, "scheduled")
    assert call(*words, "--until=2030-09-01")[0] == 1
    for wrong in (
        ["--schedule=2030-10-01"],
        ["--schedule=soon", words[0]],
        ["--schedule=2020-01-01", words[0]],
        ["--schedule=2030-10-01", "--template=没有"],
        ["--schedule=2030-10-01", words[0], "--version-number=9"],
        ["--until=2030-10-01"],
    ):
        with pytest.raises(CommandError):
            call(*wrong)
    assert PriceTask.objects.count() == 2
