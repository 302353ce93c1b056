"""The pages of franchisees: what staff enter, who may, and what is told when a rule says no."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.accounts.enums import Scope
from apps.accounts.models import User
from apps.backoffice.models import AuditEntry
from apps.common.time import business_day, day_bounds, now
from apps.franchisees.models import Franchisee, FranchiseeContract, FranchiseeStation
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm
from apps.piles.services import raise_alarm
from apps.sites.services import give_stations
from tests import factories
from tests.staff import a_user, boss, signed_in

pytestmark = pytest.mark.usefixtures("tenant")
LIST = "/admin/franchisees/franchisee/"
SEE = "franchisees.view_franchisee"


def page(franchisee: Franchisee, tab: str) -> str:
    return f"{LIST}{franchisee.pk}/{tab}/"


def text(client: Client, path: str, **query: str) -> str:
    return client.get(path, query).content.decode()


def test_a_franchisee_is_entered_and_found() -> None:
    client = boss()
    form = {
        "name": "绿能",
        "company": "上海绿能有限公司",
        "credit_code": " 91310115ma1h0dem0x ",
        "contact": "周经理",
        "phone": "021-60000000",
        "note": "",
    }
    assert client.post(f"{LIST}add/", form).status_code == 302
    franchisee = Franchisee.objects.get()
    assert franchisee.credit_code == "91310115MA1H0DEM0X"
    factories.a_contract(franchisee, number="JM-77")
    for words in ("绿能", "91310115", "周经理", "021-6", "JM-77"):
        assert "上海绿能有限公司" in text(client, LIST, q=words), words
    assert "上海绿能有限公司" not in text(client, LIST, q="别家")
    assert "91310115MA1H0DEM0X" in text(client, f"{LIST}export/")
    for code in ("9131", "91310115MA1H0DEMOX"):  # short, with an O
        answer = client.post(f"{LIST}add/", {**form, "name": "另一家", "credit_code": code})
        assert "credit_code" in answer.context_data["adminform"].form.errors, code
    taken = client.post(f"{LIST}add/", {**form, "name": "另一家"})
    assert "已属于其他加盟商" in taken.content.decode()
    assert {"franchisees.franchisee_added"} <= set(AuditEntry.objects.values_list("action", flat=True))


def test_the_list_is_filtered_by_how_contracts_stand() -> None:
    near, far, none = (factories.a_franchisee(name=name) for name in ("近的", "远的", "没有的"))
    factories.a_contract(near, last=20)
    factories.a_contract(far, last=200)
    client = boss()
    for value, names in (("ending", {"近的"}), ("running", {"近的", "远的"}), ("none", {"没有的"})):
        rows = client.get(LIST, {"contract": value}).context_data["cl"].result_list
        assert {row.name for row in rows} == names, value
    assert none.contracts.count() == 0
    waiting = {one.label: one for one in client.get("/admin/").context["todo"]}
    entry = waiting["30天内到期的加盟合同"]
    assert entry.count == 1
    assert len(client.get(entry.link).context_data["cl"].result_list) == 1


def test_contracts_are_entered_with_their_file_and_end_earlier() -> None:
    client, franchisee = boss(), factories.a_franchisee()
    today = business_day(now())
    pdf = SimpleUploadedFile("合同.pdf", b"%PDF-1.4\n%%EOF\n", "application/pdf")
    form = {
        "number": "JM-1",
        "starts_on": today.isoformat(),
        "ends_on": (today + timedelta(days=364)).isoformat(),
        "service_share": "70",
        "electricity_share": "100",
        "note": "",
    }
    assert client.post(page(franchisee, "contracts"), {**form, "file": pdf}).status_code == 302
    contract = FranchiseeContract.objects.get()
    shown = text(client, page(franchisee, "contracts"))
    assert "JM-1" in shown
    assert f"/files/{contract.file.number}/" in shown
    answer = client.get(f"/files/{contract.file.number}/")
    assert b"".join(answer.streaming_content).startswith(b"%PDF")
    assert signed_in(a_user("sites.view_station")).get(f"/files/{contract.file.number}/").status_code == 404
    again = client.post(page(franchisee, "contracts"), {**form, "number": "JM-2"}).content.decode()
    assert "JM-1" in again
    assert "不会在同一天" in again
    wrong = client.post(page(franchisee, "contracts"), {**form, "service_share": "101"})
    assert "service_share" in wrong.context_data["form"].errors
    end = {"contract": contract.pk, "ends_on": today.isoformat(), "reason": "提前结束"}
    client.post(page(franchisee, "contracts"), end)
    contract.refresh_from_db()
    assert contract.ends_on == today
    later = {**end, "ends_on": (today + timedelta(days=9)).isoformat()}
    assert "只能提前" in client.post(page(franchisee, "contracts"), later, follow=True).content.decode()


def test_stations_are_given_and_taken_back() -> None:
    client, franchisee, station = boss(), factories.a_franchisee(), factories.a_station(name="人民广场站")
    today = business_day(now())
    give = {"station": station.pk, "starts_on": today.isoformat(), "ends_on": ""}
    assert client.post(page(franchisee, "stations"), give).status_code == 302
    held = FranchiseeStation.objects.get()
    assert str(franchisee) in text(client, f"/admin/sites/station/{station.pk}/change/")
    assert "人民广场站" in text(client, page(franchisee, "stations"))
    other = factories.a_franchisee()
    refused = client.post(page(other, "stations"), give).content.decode()
    assert f"属于{franchisee}" in refused
    take = {"held": held.pk, "ends_on": today.isoformat(), "reason": "到期"}
    assert client.post(page(other, "stations"), take).status_code == 404
    assert client.post(page(franchisee, "stations"), {**take, "reason": ""}).status_code == 302
    held.refresh_from_db()
    assert held.ends_on is None
    client.post(page(franchisee, "stations"), take)
    held.refresh_from_db()
    assert held.ends_on == today


def test_accounts_are_opened_closed_and_opened_again() -> None:
    client, station = boss(), factories.a_station()
    franchisee = factories.a_franchisee(station)
    form = {
        "username": "jia",
        "display_name": "周经理",
        "phone": "13912345678",
        "password": "correct horse 1",
    }
    weak = client.post(page(franchisee, "accounts"), {**form, "password": "jia"})
    assert "password" in weak.context_data["form"].errors
    assert client.post(page(franchisee, "accounts"), form).status_code == 302
    user = User.objects.get(username="jia")
    assert (user.phone, user.is_outsider, user.must_change_password) == ("+8613912345678", True, True)
    shown = text(client, page(franchisee, "accounts"))
    assert "139****5678" in shown
    assert "13912345678" not in shown
    assert "已被使用" in client.post(page(franchisee, "accounts"), form).content.decode()
    own = signed_in(user)
    User.objects.filter(pk=user.pk).update(must_change_password=False)
    assert own.get("/admin/sites/station/").status_code == 200
    key = user.franchisee_account.pk
    client.post(page(franchisee, "accounts"), {"account": key, "close": "", "reason": "离职"})
    user.refresh_from_db()
    assert not user.is_active
    assert own.get("/admin/sites/station/").status_code == 302
    client.post(page(franchisee, "accounts"), {"account": key, "open": "", "reason": "回来"})
    user.refresh_from_db()
    assert user.is_active
    deeds = set(AuditEntry.objects.values_list("action", flat=True))
    assert {
        "franchisees.franchisee_account_opened",
        "franchisees.franchisee_account_closed",
        "franchisees.franchisee_account_reopened",
    } <= deeds


def test_nobody_opens_an_account_that_has_more_than_they_have() -> None:
    client = signed_in(a_user(SEE, "franchisees.open_accounts", "sites.view_station"))
    franchisee = factories.a_franchisee()
    form = {"username": "jia", "password": "correct horse 1"}
    answer = client.post(page(franchisee, "accounts"), form)
    assert "超出您自己的权限" in answer.content.decode()
    assert not User.objects.filter(username="jia").exists()


def test_the_end_and_the_way_back() -> None:
    client = boss()
    franchisee = factories.a_franchisee(factories.a_station())
    account = factories.a_franchisees_account(franchisee)
    sent = {"_form_submitted": "on", "reason": "合作结束"}
    client.post(f"{LIST}{franchisee.pk}/end/", sent)
    account.refresh_from_db()
    franchisee.refresh_from_db()
    assert (franchisee.state, account.is_active) == ("ended", False)
    assert "add" not in text(client, page(franchisee, "stations")).partition("bo-form-grid")[2]
    client.post(f"{LIST}{franchisee.pk}/resume/", sent)
    franchisee.refresh_from_db()
    assert franchisee.state == "active"
    log = AuditEntry.objects.filter(
        action__in=["franchisees.franchisee_ended", "franchisees.franchisee_resumed"]
    )
    assert set(log.values_list("reason", flat=True)) == {"合作结束"}


def test_the_operation_log_says_from_where() -> None:
    client, station = boss(), factories.a_station()
    asked = {"REMOTE_ADDR": "203.0.113.7"}
    client.post(f"{LIST}add/", {"name": "绿能", "company": "绿能有限公司", "note": ""}, **asked)
    franchisee = Franchisee.objects.get()
    today = business_day(now())
    until = {"ends_on": today.isoformat(), "reason": "到期"}
    contract = {
        "number": "JM-1",
        "starts_on": today.isoformat(),
        "service_share": 70,
        "electricity_share": 100,
    }
    contract |= {"ends_on": (today + timedelta(days=9)).isoformat(), "note": ""}
    account = {"username": "jia", "password": "correct horse 1"}
    client.post(page(franchisee, "contracts"), contract, **asked)
    client.post(page(franchisee, "contracts"), {"contract": franchisee.contracts.get().pk, **until}, **asked)
    client.post(
        page(franchisee, "stations"), {"station": station.pk, "starts_on": today.isoformat()}, **asked
    )
    client.post(page(franchisee, "stations"), {"held": franchisee.stations.get().pk, **until}, **asked)
    client.post(page(franchisee, "accounts"), account, **asked)
    key = franchisee.accounts.get().pk
    for deed in ("close", "open"):
        client.post(page(franchisee, "accounts"), {"account": key, deed: "", "reason": "x"}, **asked)
    for deed in ("end", "resume"):
        client.post(f"{LIST}{franchisee.pk}/{deed}/", {"_form_submitted": "on", "reason": "x"}, **asked)
    entries = AuditEntry.objects.filter(action__startswith="franchisees.franchisee_")
    assert dict(entries.values_list("action", "address")) == {
        f"franchisees.franchisee_{deed}": "203.0.113.7"
        for deed in (
            *("added", "contract_signed", "contract_ended", "station_given", "station_taken"),
            *("account_opened", "account_closed", "account_reopened", "ended", "resumed"),
        )
    }


def test_alarms_that_were_over_before_a_station_came_are_not_shown() -> None:
    station = factories.a_station()
    pile = factories.a_pile(station=station)
    client = signed_in(
        User.objects.get(pk=factories.a_franchisees_account(factories.a_franchisee(station)).pk)
    )
    start = day_bounds(business_day(now()) - timedelta(days=1))[0]
    raised = start - timedelta(days=3)
    rows = {}
    for kind, closed_at in (
        ("pile_fault", start - timedelta(seconds=1)),
        ("start_failures", start),
        ("missing_record", None),
    ):
        raise_alarm(kind=AlarmKind(kind), pile_code=pile.pile_code)
        rows[kind] = Alarm.objects.get(kind=kind)
        Alarm.objects.filter(kind=kind).update(created_at=raised, closed_at=closed_at)
    expected = {"pile_fault": 404, "start_failures": 200, "missing_record": 200}
    for kind, status in expected.items():
        assert client.get(f"/admin/piles/alarm/{rows[kind].pk}/change/").status_code == status, kind
    listed = client.get("/admin/piles/alarm/", {"open": "all"}).context_data["cl"].result_list
    assert {row.kind for row in listed} == {"start_failures", "missing_record"}
    tab = client.get(f"/admin/piles/pile/{pile.pk}/alarms/").context_data["rows"]
    assert {row.kind for row in tab} == {"start_failures", "missing_record"}
    assert len(boss().get(f"/admin/piles/pile/{pile.pk}/alarms/").context_data["rows"]) == 3


@pytest.mark.parametrize("tab", ["contracts", "stations", "accounts"])
def test_who_may_only_look_changes_nothing(tab: str) -> None:
    franchisee = factories.a_franchisee(factories.a_station())
    reader = signed_in(a_user(SEE))
    shown = reader.get(page(franchisee, tab))
    assert shown.status_code == 200
    assert shown.context_data["form"] is None
    assert reader.post(page(franchisee, tab), {}).status_code == 403
    assert signed_in(a_user("sites.view_station")).get(page(franchisee, tab)).status_code == 403
    for button in ("end", "resume"):
        sent = {"_form_submitted": "on", "reason": "x"}
        assert reader.post(f"{LIST}{franchisee.pk}/{button}/", sent).status_code == 403


def test_franchisees_are_seen_by_who_sees_all_their_stations() -> None:
    mine, other = factories.a_station(), factories.a_station()
    small, large, none = factories.a_franchisee(mine), factories.a_franchisee(other), factories.a_franchisee()
    user = a_user(SEE, "franchisees.add_franchisee", "franchisees.assign_stations", scope=Scope.STATIONS)
    give_stations(user=user, stations=[mine])
    client = signed_in(user)
    rows = client.get(LIST).context_data["cl"].result_list
    assert list(rows) == [small]
    for hidden in (large, none):
        assert client.get(page(hidden, "stations")).status_code == 404
    assert client.get(f"{LIST}add/").status_code == 403
    form = client.get(page(small, "stations")).context_data["form"]
    assert list(form.fields["station"].queryset) == [mine]


@pytest.mark.parametrize("tab", ["contracts", "stations", "accounts"])
def test_a_longer_table_asks_no_more(tab: str, django_assert_num_queries: Any) -> None:
    franchisee = factories.a_franchisee()
    client, counts = boss(), []
    for number in (1, 3):
        for step in range(number):
            factories.a_contract(
                franchisee, first=1000 * number + 10 * step, last=1000 * number + 10 * step + 5
            )
            factories.a_franchisees_account(franchisee)
            station = factories.a_station()
            FranchiseeStation.objects.create(
                franchisee=franchisee, station=station, starts_on=business_day(now()), given_by="x"
            )
        client.get(page(franchisee, tab))
        with django_assert_num_queries(QUERIES[tab]):
            assert client.get(page(franchisee, tab)).status_code == 200
        counts.append(number)


QUERIES = {"contracts": 7, "stations": 8, "accounts": 8}
