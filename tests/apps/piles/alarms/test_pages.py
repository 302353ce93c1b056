"""The pages of alarms and rules: buttons, permissions, bad input, rows of others."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection

from apps.accounts.enums import Scope
from apps.backoffice.models import AuditEntry
from apps.notifications.models import Message, Robot
from apps.piles import services as piles
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, AlarmRule, NotificationRule
from apps.sites.services import give_stations
from tests import factories
from tests.staff import a_user, boss, signed_in

DIALOG = {"_form_submitted": "on"}
RULE = {
    "level": "urgent",
    "is_active": "on",
    "wait_minutes": "5",
    "threshold": "",
    "quiet_from": "",
    "quiet_until": "",
}
TOLD = {
    "name": "夜班",
    "is_active": "on",
    "lowest_level": "important",
    "by_mail": "on",
    "delay_minutes": "0",
    "limit_per_hour": "20",
    "quiet_from": "",
    "quiet_until": "",
}


def test_an_alarm_goes_through_its_states_by_buttons(tenant: Any) -> None:
    pile = factories.a_pile()
    piles.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=pile.pile_code, connector_no="01")
    alarm = Alarm.objects.get()
    client, keeper = boss(), a_user(display_name="王五")
    page = f"/admin/piles/alarm/{alarm.pk}/"
    client.post(f"{page}acknowledge/", {**DIALOG, "note": "去看看"})
    client.post(f"{page}assign/", {**DIALOG, "person": keeper.pk, "note": ""})
    client.post(f"{page}note/", {**DIALOG, "reason": "换了模块"})
    client.post(f"{page}close/", {**DIALOG, "reason": ""})
    alarm.refresh_from_db()
    assert (alarm.state, alarm.assigned_to) == ("assigned", keeper)
    shown = client.get(f"{page}change/").content.decode()
    assert all(text in shown for text in ("去看看", "→ 王五", "换了模块", pile.station.name))
    client.post(f"{page}close/", {**DIALOG, "reason": "好了"})
    client.post(f"{page}close/", {**DIALOG, "reason": "又"})
    alarm.refresh_from_db()
    assert alarm.events.count() == 4
    assert list(
        AuditEntry.objects.filter(action__startswith="piles.alarm_")
        .order_by("id")
        .values_list("action", "reason")
    ) == [
        ("piles.alarm_acknowledged", "去看看"),
        ("piles.alarm_assigned", ""),
        ("piles.alarm_noted", "换了模块"),
        ("piles.alarm_closed", "好了"),
    ]


def test_a_deed_without_its_trace_is_none(tenant: Any) -> None:
    piles.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=factories.a_pile().pile_code)
    alarm, client, keeper = Alarm.objects.get(), boss(), a_user()
    with connection.cursor() as cursor:  # as if the log's disk were full
        cursor.execute(
            "alter table backoffice_auditentry add constraint full_up check (action not like 'piles.alarm%')"
        )
    page = f"/admin/piles/alarm/{alarm.pk}/"
    for deed in ("acknowledge", "assign", "note", "close"):
        with pytest.raises(IntegrityError):
            client.post(f"{page}{deed}/", {**DIALOG, "note": "", "person": keeper.pk, "reason": "x"})
    ticked = {"action": "acknowledge_selected", "_selected_action": [alarm.pk]}
    with pytest.raises(IntegrityError):
        client.post("/admin/piles/alarm/", ticked)
    alarm.refresh_from_db()
    assert (alarm.state, alarm.events.count()) == ("open", 0)


def test_the_list_shows_open_ones_worst_first_and_the_menu_counts_them(tenant: Any) -> None:
    pile = factories.a_pile()
    for kind in (AlarmKind.CLOCK_DRIFT, AlarmKind.PILE_FAULT, AlarmKind.UNBILLED_ENERGY, AlarmKind.BATTERY):
        piles.raise_alarm(kind=kind, pile_code=pile.pile_code)
    piles.close_alarm(kind=AlarmKind.BATTERY, pile_code=pile.pile_code)
    Alarm.objects.filter(kind="clock_drift").update(is_muted=True)
    user = a_user("piles.view_alarm", "piles.acknowledge_alarm")
    client = signed_in(user)

    def kinds(**query: str) -> list[str]:
        found = client.get("/admin/piles/alarm/", query).context_data["cl"].result_list
        return [alarm.kind for alarm in found]

    assert kinds() == ["unbilled_energy", "pile_fault"]
    assert kinds(open="1") == kinds()
    assert kinds(open="0") == ["battery"]
    assert kinds(open="muted") == ["clock_drift"]
    assert kinds(open="all") == ["battery", "unbilled_energy", "pile_fault", "clock_drift"]
    assert kinds(open="mine") == kinds(open="assigned") == []
    assert kinds(station=str(pile.station_id)) == kinds()
    assert kinds(station="0") == kinds(station="0", open="new") == []
    assert kinds(station="x") == kinds(level__exact="") == kinds()
    assert client.get("/admin/badges/").json() == {"badges": {"/admin/piles/alarm/": 2}}
    ticked = [alarm.pk for alarm in Alarm.objects.filter(kind__in=kinds())]
    client.post("/admin/piles/alarm/", {"action": "acknowledge_selected", "_selected_action": ticked})
    assert client.get("/admin/badges/").json() == {"badges": {}}
    assert set(kinds(open="acknowledged")) == {"unbilled_energy", "pile_fault"}
    assert signed_in(a_user()).get("/admin/badges/").json() == {"badges": {}}


def test_buttons_need_their_permissions(tenant: Any) -> None:
    piles.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=factories.a_pile().pile_code)
    alarm = Alarm.objects.get()
    looker = signed_in(a_user("piles.view_alarm"))
    person = a_user()
    for page in ("acknowledge", "assign", "note", "close"):
        words = {**DIALOG, "reason": "x", "note": "x", "person": person.pk}
        assert looker.post(f"/admin/piles/alarm/{alarm.pk}/{page}/", words).status_code == 403, page
    ticked = {"action": "acknowledge_selected", "_selected_action": [alarm.pk]}
    looker.post("/admin/piles/alarm/", ticked)
    alarm.refresh_from_db()
    assert (alarm.state, alarm.events.count()) == ("open", 0)


def test_alarm_rules_check_what_is_typed_and_sort_anew(tenant: Any) -> None:
    pile = factories.a_pile()
    piles.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=pile.pile_code)
    Alarm.objects.update(sorted_at="2026-01-01T00:00+08:00")
    client = boss()

    def add(**words: Any) -> dict[str, Any]:
        answer = client.post("/admin/piles/alarmrule/add/", {**RULE, **words})
        return {} if answer.status_code == 302 else dict(answer.context_data["adminform"].form.errors)

    assert set(add(kind="pile_fault", quiet_from="22:00")) == {"quiet_until"}
    assert set(add(kind="pile_fault", quiet_from="22:00", quiet_until="22:00")) == {"quiet_until"}
    assert set(add(kind="over_temperature", threshold="500")) == {"threshold"}
    assert set(add(kind="over_temperature", threshold="-1")) == {"threshold"}
    assert set(add(kind="nonsense")) == {"kind"}
    assert set(add(kind="pile_fault", wait_minutes="1441")) == {"wait_minutes"}
    assert set(add(kind="pile_fault", urgent_bits=["3"])) == {"urgent_bits"}
    assert not AlarmRule.objects.exists()
    assert add(kind="pile_fault", threshold="9", urgent_bits=["1", "4"], stations=[pile.station_id]) == {}
    rule = AlarmRule.objects.get()
    assert (rule.threshold, rule.urgent_bits, rule.ignored_bits) == (None, 5, 0)
    assert Alarm.objects.get().sorted_at is None
    page = client.get("/admin/piles/alarmrule/").content.decode()
    assert pile.station.name in page
    assert "未设规则的类型按以下默认处理" in page
    assert client.post(f"/admin/piles/alarmrule/{rule.pk}/delete/", {"post": "yes"}).status_code == 302


def test_notification_rules_need_somebody_and_a_way(tenant: Any) -> None:
    client, person = boss(), a_user(email="a@alpha.test")
    robot = Robot.objects.create(name="群", kind="wecom", url="https://qyapi.weixin.qq.com/x")

    def add(**words: Any) -> int:
        given = {name: value for name, value in {**TOLD, **words}.items() if value is not None}
        return client.post("/admin/piles/notificationrule/add/", given).status_code

    assert add() == 200
    assert add(people=[person.pk], by_mail=None) == 200
    assert not NotificationRule.objects.exists()
    assert add(people=[person.pk], robots=[robot.pk], kinds=["battery"]) == 302
    rule = NotificationRule.objects.get()
    assert (rule.kinds, rule.active_since is not None) == (["battery"], True)
    since = rule.active_since
    client.post(f"/admin/piles/notificationrule/{rule.pk}/change/", {**TOLD, "people": [person.pk]})
    rule.refresh_from_db()
    assert (rule.active_since, rule.kinds) == (since, [])
    client.post(f"/admin/piles/notificationrule/{rule.pk}/test/", DIALOG)
    assert Message.objects.get().source == "test: 夜班"
    looker = signed_in(a_user("piles.view_notificationrule"))
    assert looker.post(f"/admin/piles/notificationrule/{rule.pk}/test/", DIALOG).status_code == 403


def test_who_sees_one_station_sets_rules_for_it_alone(tenant: Any) -> None:
    mine, other = factories.a_station(), factories.a_station()
    AlarmRule.objects.create(kind="battery")
    AlarmRule.objects.create(kind="battery").stations.set([mine, other])
    seen = AlarmRule.objects.create(kind="battery")
    seen.stations.set([mine])
    user = a_user(*(f"piles.{deed}_alarmrule" for deed in ("view", "add", "change")), scope=Scope.STATIONS)
    give_stations(user=user, stations=[mine])
    client = signed_in(user)
    page = client.get("/admin/piles/alarmrule/")
    assert [rule.pk for rule in page.context_data["cl"].result_list] == [seen.pk]
    for stations in ([], [other.pk], [mine.pk, other.pk]):
        words = {**RULE, "kind": "pile_fault", "stations": stations}
        assert client.post("/admin/piles/alarmrule/add/", words).status_code == 200
    words = {**RULE, "kind": "pile_fault", "stations": [mine.pk]}
    assert client.post("/admin/piles/alarmrule/add/", words).status_code == 302
    assert AlarmRule.objects.filter(kind="pile_fault").count() == 1
