"""Pile pages: registering, commands, states, alarms, the gun wall."""

from __future__ import annotations

from typing import Any

from apps.backoffice.models import AuditEntry
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import Alarm, Connector, ConnectorStatus, Pile, PileCommand
from apps.piles.services import raise_alarm
from apps.tenancy.models import InboundRoute, Tenant
from tests import factories
from tests.staff import a_user, boss, signed_in

DIALOG = {"_form_submitted": "True"}


def new_pile(station: Any, **changes: Any) -> dict[str, Any]:
    return {
        "pile_code": "32010600009901",
        "name": "",
        "station": station.pk,
        "kind": "dc",
        "power_kw": "120",
        "gun_count": "2",
        "brand": "",
        "model": "",
        **changes,
    }


def test_a_registered_pile_has_guns_and_its_route(tenant: Any) -> None:
    assert boss().post("/admin/piles/pile/add/", new_pile(factories.a_station())).status_code == 302
    pile = Pile.objects.get()
    assert [gun.code for gun in pile.connectors.all()] == ["3201060000990101", "3201060000990102"]
    assert ConnectorStatus.objects.count() == 2
    assert InboundRoute.objects.get(kind="pile", key="32010600009901").tenant.code == "alpha"
    assert AuditEntry.objects.filter(action="piles.pile_added", object_id=str(pile.pk)).count() == 1


def test_a_pile_of_another_tenant_is_refused(tenant: Any, other_tenant: Tenant) -> None:
    InboundRoute.objects.create(kind="pile", key="32010600009901", tenant=other_tenant)
    answer = boss().post("/admin/piles/pile/add/", new_pile(factories.a_station()))
    assert "该桩编码已被登记。" in answer.content.decode()
    assert Pile.objects.count() == 0


def test_the_code_of_a_pile_stays(tenant: Any) -> None:
    pile = factories.a_pile(pile_code="32010600009901")
    inline = {"connectors-TOTAL_FORMS": "0", "connectors-INITIAL_FORMS": "0"}
    form = new_pile(pile.station, pile_code="32010600009902", name="新名", crc_order="low", **inline)
    assert boss().post(f"/admin/piles/pile/{pile.pk}/change/", form).status_code == 302
    pile.refresh_from_db()
    assert (pile.pile_code, pile.name) == ("32010600009901", "新名")


def test_each_gun_is_asked_for_its_state_and_the_clock_is_set(tenant: Any) -> None:
    pile = factories.a_pile(guns=2)
    client = boss()
    client.get(f"/admin/piles/pile/{pile.pk}/refresh/")  # a link from elsewhere sends nothing
    client.post(f"/admin/piles/pile/{pile.pk}/refresh/", DIALOG)
    client.post(f"/admin/piles/pile/{pile.pk}/clock/", DIALOG)
    sent = PileCommand.objects.order_by("id").values_list("kind", "connector_no", "actor_kind")
    assert list(sent) == [
        ("read_realtime", "01", "staff"),
        ("read_realtime", "02", "staff"),
        ("sync_time", "", "staff"),
    ]
    assert AuditEntry.objects.filter(action="piles.pile_commanded").count() == 2


def test_nothing_is_sent_to_a_pile_that_is_offline(tenant: Any) -> None:
    pile = factories.a_pile(online=False)
    client = boss()
    answer = client.post(f"/admin/piles/pile/{pile.pk}/clock/", DIALOG)
    assert "充电桩离线，未下发。" in client.get(answer.headers["HX-Redirect"]).content.decode()
    assert PileCommand.objects.count() == 0


def test_commands_need_their_permission(tenant: Any) -> None:
    pile = factories.a_pile()
    client = signed_in(a_user("piles.view_pile", "piles.change_pile"))
    assert client.post(f"/admin/piles/pile/{pile.pk}/clock/", DIALOG).status_code == 403
    assert PileCommand.objects.count() == 0


def test_a_pile_is_taken_out_of_service_by_its_button(tenant: Any) -> None:
    pile = factories.a_pile()
    boss().post(f"/admin/piles/pile/{pile.pk}/state/", {**DIALOG, "state": "disabled"})
    pile.refresh_from_db()
    assert pile.state == PileState.DISABLED
    assert AuditEntry.objects.get(action="piles.pile_state_changed").changes == {
        "state": ["in_service", "disabled"]
    }


def test_an_alarm_is_closed_with_a_reason(tenant: Any) -> None:
    raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code="32010600009901", connector_no="01")
    alarm = Alarm.objects.get()
    client = boss()
    page = f"/admin/piles/alarm/{alarm.pk}/close/"
    client.post(page, {**DIALOG, "reason": ""})
    alarm.refresh_from_db()
    assert alarm.closed_at is None
    client.post(page, {**DIALOG, "reason": "已更换模块"})
    alarm.refresh_from_db()
    assert alarm.closed_at is not None
    assert AuditEntry.objects.get(action="piles.alarm_closed").reason == "已更换模块"


def test_the_wall_shows_faults_first_and_counts_states(tenant: Any) -> None:
    pile = factories.a_pile(guns=3)
    for number, state in (("02", ConnectorState.CHARGING), ("03", ConnectorState.FAULT)):
        ConnectorStatus.objects.filter(connector__pile=pile, connector__connector_no=number).update(
            state=state
        )
    retired = factories.a_pile()
    Pile.objects.filter(pk=retired.pk).update(state=PileState.RETIRED)
    context = boss().get("/admin/piles/connector/").context_data
    assert [gun.connector_no for gun in context["cl"].result_list] == ["03", "02", "01"]
    assert {chip["label"]: chip["count"] for chip in context["chips"]} == {
        "故障": 1,
        "充电中": 1,
        "已插枪": 0,
        "空闲": 1,
        "离线": 0,
    }
    chosen = boss().get("/admin/piles/connector/", {"status__state__exact": "fault"}).context_data
    assert [gun.connector_no for gun in chosen["cl"].result_list] == ["03"]


def test_a_stations_pages_show_guns_and_the_price_now(tenant: Any) -> None:
    gun: Connector = factories.a_connector()
    client = boss()
    row = client.get("/admin/sites/station/").content.decode()
    assert "空闲 <b>1</b>" in row
    page = client.get(f"/admin/sites/station/{gun.pile.station_id}/change/").content.decode()
    assert "今日电价" in page
    assert f"/admin/piles/connector/wall/?station={gun.pile.station_id}" in page
