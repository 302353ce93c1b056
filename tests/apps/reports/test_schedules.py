"""Finance reports by mail: when, of which days, to whom, with what; only what the owner may see."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from openpyxl import load_workbook

from apps.accounts.enums import Scope
from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.time import SHANGHAI
from apps.files import services as files
from apps.files.models import StoredFile
from apps.notifications.models import Message
from apps.reports import rollups, schedules
from apps.reports.enums import Rhythm
from apps.reports.models import ReportSchedule
from apps.sites.services import give_stations
from tests.apps.files.test_files import use_disk
from tests.apps.reports.test_rollups import settled
from tests.staff import a_user, boss, signed_in

PAGE = "/admin/reports/reportschedule/"
MORNING = datetime(2026, 3, 11, 7, 10, tzinfo=SHANGHAI)
VIEW = "reports.view_financereport"


@pytest.fixture(autouse=True)
def disk(settings: Any, tmp_path: Any) -> None:
    use_disk(settings, tmp_path)


@pytest.fixture
def charged(tenant: Any, time_machine: Any) -> list[Any]:
    """Two orders at two stations on the day before, which is summed up."""
    time_machine.move_to(MORNING - timedelta(hours=20), tick=False)
    orders = [settled(), settled(energy="20.0000")]
    time_machine.move_to(MORNING, tick=False)
    rollups.roll_due()
    return orders


def a_schedule(owner: User | None = None, **fields: Any) -> ReportSchedule:
    values = {
        "name": "日报",
        "recipients": "boss@example.com\ncfo@example.com",
        "owner": owner or a_user(superuser=True),
        "created_at": MORNING - timedelta(days=3),
    }
    return ReportSchedule.objects.create(**{**values, **fields})


def table(message: Message) -> list[tuple[Any, ...]]:
    (number,) = message.files
    with files.open_content(StoredFile.objects.get(number=number)) as file:
        return list(load_workbook(io.BytesIO(file.read())).active.values)


def test_which_days() -> None:
    wednesday = date(2026, 4, 1)
    assert schedules.last_days(Rhythm.DAILY, wednesday) == (date(2026, 3, 31), date(2026, 3, 31))
    assert schedules.last_days(Rhythm.WEEKLY, wednesday) == (date(2026, 3, 23), date(2026, 3, 29))
    assert schedules.last_days(Rhythm.WEEKLY, date(2026, 3, 30)) == (date(2026, 3, 23), date(2026, 3, 29))
    assert schedules.last_days(Rhythm.MONTHLY, wednesday) == (date(2026, 3, 1), date(2026, 3, 31))
    assert schedules.last_days(Rhythm.MONTHLY, date(2026, 1, 31)) == (date(2025, 12, 1), date(2025, 12, 31))


def test_each_recipient_gets_the_report_once(charged: list[Any], time_machine: Any) -> None:
    schedule = a_schedule()
    assert (schedules.send_due(), schedules.send_due()) == (1, 0)
    first, second = Message.objects.order_by("to")
    assert (first.to, second.to) == ("boss@example.com", "cfo@example.com")
    assert first.subject == "日报 2026-03-10"
    assert "应收: 36.00" in first.text
    assert [row[:2] for row in table(first)[1:]] == [
        (charged[1].station.name, 1),
        (charged[0].station.name, 1),
        ("合计", 2),
    ]
    schedule.refresh_from_db()
    assert (schedule.sent_through, schedule.sent_at, schedule.error) == (date(2026, 3, 10), MORNING, "")
    time_machine.move_to(MORNING + timedelta(days=1), tick=False)
    assert schedules.send_due() == 0  # nobody has summed up the day yet
    rollups.roll_due()
    assert schedules.send_due() == 1
    assert Message.objects.count() == 4


def test_nothing_goes_out_of_use_or_of_days_before_it_was_set_up(charged: list[Any]) -> None:
    a_schedule(is_active=False)
    a_schedule(created_at=MORNING)
    assert schedules.send_due() == 0
    assert not StoredFile.objects.exists()


def test_a_report_shows_what_its_owner_sees(charged: list[Any]) -> None:
    owner = a_user(VIEW, scope=Scope.STATIONS)
    give_stations(user=owner, stations=[charged[0].station])
    a_schedule(owner)
    a_schedule(owner, station=charged[1].station, name="他站")
    assert schedules.send_due() == 2
    own, others = (Message.objects.filter(subject__startswith=name)[0] for name in ("日报", "他站"))
    assert [row[:2] for row in table(own)[1:]] == [(charged[0].station.name, 1), ("合计", 1)]
    assert [row[:2] for row in table(others)[1:]] == [("合计", 0)]


def test_an_owner_who_may_not_any_more_stops_the_report_and_no_other(charged: list[Any]) -> None:
    gone = a_schedule(a_user("orders.view_order"), name="a")
    a_schedule(name="b")
    assert schedules.send_due() == 1
    gone.refresh_from_db()
    assert "无权" in gone.error
    assert gone.error in boss().get(PAGE).content.decode()
    assert set(Message.objects.values_list("subject", flat=True)) == {"b 2026-03-10"}


def test_a_report_that_breaks_stops_no_other_and_goes_out_later(charged: list[Any]) -> None:
    broken = a_schedule(name="a")
    ReportSchedule.objects.filter(pk=broken.pk).update(
        group="nonsense"
    )  # as an older version might have left it
    a_schedule(name="b")
    assert schedules.send_due() == 1
    broken.refresh_from_db()
    assert "ValueError" in broken.error
    assert broken.error in boss().get(PAGE).content.decode()
    assert set(Message.objects.values_list("subject", flat=True)) == {"b 2026-03-10"}
    ReportSchedule.objects.filter(pk=broken.pk).update(group="day")
    assert schedules.send_due() == 1
    broken.refresh_from_db()
    assert broken.error == ""


def test_staff_set_one_up_send_it_and_switch_it(charged: list[Any]) -> None:
    person = a_user(
        VIEW, *(f"reports.{deed}_reportschedule" for deed in ("view", "add", "change", "delete", "send"))
    )
    client = signed_in(person)
    form = {"name": "周报", "rhythm": "weekly", "group": "day", "station": ""}
    refused = client.post(f"{PAGE}add/", {**form, "recipients": "boss@example.com, nonsense"})
    assert "nonsense" in str(refused.context_data["adminform"].form.errors)
    client.post(f"{PAGE}add/", {**form, "recipients": "boss@example.com，a@example.com boss@example.com"})
    schedule = ReportSchedule.objects.get()
    assert (schedule.owner, schedule.addresses) == (person, ["boss@example.com", "a@example.com"])
    dialog = {"_form_submitted": "on"}
    for _ in range(2):  # as often as somebody asks
        client.post(f"{PAGE}{schedule.pk}/send/", dialog)
    assert Message.objects.filter(subject__startswith="周报 2026-03-02").count() == 4
    client.post(f"{PAGE}{schedule.pk}/switch/", dialog)
    schedule.refresh_from_db()
    assert schedule.is_active is False
    client.post(f"{PAGE}{schedule.pk}/switch/", dialog)
    assert schedules.send_due() == 0  # what was missed is not made up for
    deeds = AuditEntry.objects.filter(action__startswith="reports.").order_by("id")
    assert [entry.action.rpartition("_")[2] for entry in deeds] == [
        "added",
        "sent",
        "sent",
        "changed",
        "changed",
    ]
    assert (
        signed_in(a_user("reports.view_reportschedule"))
        .post(f"{PAGE}{schedule.pk}/send/", dialog)
        .status_code
        == 403
    )
    scoped = a_user("reports.view_reportschedule", scope=Scope.STATIONS)
    assert schedule.name not in signed_in(scoped).get(PAGE).content.decode()
