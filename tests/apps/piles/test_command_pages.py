"""Buttons that send commands: reason, permission, audit; bulk pages; secrets shown to nobody."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backoffice.models import AuditEntry
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles import bulk
from apps.piles.commands import Reboot
from apps.piles.enums import CommandKind, CommandState, LockState
from apps.piles.models import CommandBatch, GroundLock, PileCommand, UpdateServer
from tests import factories
from tests.staff import a_user, boss, signed_in

STAFF = Actor("staff", "1", "王芳")
READER = ("piles.view_pile", "piles.view_commandbatch", "piles.view_connector", "sites.view_station")
DIALOG = {"_form_submitted": "True", "reason": "测试"}
FORMS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "work": (
        "set_work",
        {"work": "locked", "max_power_percent": 60},
        "set_work",
        {"is_locked": True, "max_power_percent": 60},
    ),
    "reboot": ("reboot_pile", {"when": "now"}, "reboot", {"when_idle": False}),
    "qr": (
        "set_qr",
        {"prefix": "https://q/", "format": "pile"},
        "set_qr",
        {"prefix": "https://q/", "with_gun_no": False},
    ),
    "clock": ("add_pilecommand", {}, "sync_time", {}),
}


def a_server() -> UpdateServer:
    return UpdateServer.objects.create(
        name="固件站", host="10.0.0.9", port=2121, username="ftp-user", password="hidden-word"
    )


@pytest.mark.parametrize("page", FORMS)
def test_a_button_sends_with_its_own_permission_and_leaves_a_trace(tenant: Any, page: str) -> None:
    permission, form, kind, payload = FORMS[page]
    pile = factories.a_pile()
    url = f"/admin/piles/pile/{pile.pk}/{page}/"
    others = {name for name, *_ in FORMS.values()} - {permission}
    stranger = signed_in(a_user(*READER, *(f"piles.{name}" for name in others)))
    assert stranger.post(url, {**DIALOG, **form}).status_code == 403
    client = signed_in(a_user(*READER, f"piles.{permission}"))
    client.get(url)
    assert PileCommand.objects.count() == 0
    client.post(url, {**DIALOG, **form})
    row = PileCommand.objects.get()
    assert (row.kind, row.payload, row.reason, row.actor_kind) == (kind, payload, "测试", "staff")
    entry = AuditEntry.objects.get(action="piles.pile_commanded")
    assert (entry.changes, entry.reason) == ({"command": [None, kind]}, "测试")


def test_what_changes_something_needs_a_reason(tenant: Any) -> None:
    pile = factories.a_pile()
    client = boss()
    client.post(f"/admin/piles/pile/{pile.pk}/reboot/", {"_form_submitted": "True", "when": "now"})
    assert PileCommand.objects.count() == 0
    client.post(f"/admin/piles/pile/{pile.pk}/refresh/", {"_form_submitted": "True"})
    assert PileCommand.objects.get().kind == CommandKind.READ_REALTIME


def test_a_stations_buttons_go_to_all_its_piles(tenant: Any) -> None:
    station = factories.a_station()
    piles = [factories.a_pile(station=station, guns=2), factories.a_pile(station=station)]
    factories.a_pile()
    client = signed_in(a_user(*READER, "piles.add_pilecommand", "piles.set_work"))
    answer = client.post(f"/admin/sites/station/{station.pk}/refresh/", DIALOG)
    batch = CommandBatch.objects.get()
    assert answer["HX-Redirect"] == f"/admin/piles/commandbatch/{batch.pk}/change/"
    assert (batch.kind, batch.total, batch.commands.count()) == ("read_realtime", 2, 3)
    assert AuditEntry.objects.get(action="sites.station_commanded").object_id == str(batch.pk)
    client.post(f"/admin/sites/station/{station.pk}/power-cap/", {**DIALOG, "kw": "120"})
    cap = CommandBatch.objects.get(kind="set_work")
    assert [row.payload["max_power_percent"] for row in cap.commands.order_by("pile_id")] == [50, 50]
    answer = client.post(f"/admin/sites/station/{station.pk}/power-cap/", {**DIALOG, "kw": "10"})
    page = client.get(answer["HX-Redirect"]).content.decode()
    assert "72" in page  # 30 % of two piles of 120 kW
    assert CommandBatch.objects.count() == 2
    assert client.post(f"/admin/sites/station/{station.pk}/reboot/", DIALOG).status_code == 403
    assert piles[0].commands.count() == 3


def test_a_selection_is_asked_for_and_then_sent_to(tenant: Any) -> None:
    chosen = [factories.a_pile(), factories.a_pile(online=False)]
    factories.a_pile()
    form = {"action": "selected_reboot", "_selected_action": [pile.pk for pile in chosen]}
    client = signed_in(a_user(*READER, "piles.reboot_pile"))
    asked = client.post("/admin/piles/pile/", form)
    assert asked.status_code == 200
    assert [chosen[0].pile_code in asked.content.decode(), CommandBatch.objects.count()] == [True, 0]
    assert (
        client.post("/admin/piles/pile/", {**form, "_form_submitted": "True", "when": "idle"}).status_code
        == 200
    )
    assert CommandBatch.objects.count() == 0  # no reason
    answer = client.post("/admin/piles/pile/", {**form, **DIALOG, "when": "idle"})
    batch = CommandBatch.objects.get()
    assert answer["Location"] == f"/admin/piles/commandbatch/{batch.pk}/change/"
    assert {row.pile_id for row in batch.commands.all()} == {pile.pk for pile in chosen}
    assert batch.commands.first().payload == {"when_idle": True}
    everything = {**form, **DIALOG, "when": "idle", "select_across": "1", "_selected_action": chosen[0].pk}
    client.post("/admin/piles/pile/", everything)
    assert CommandBatch.objects.first().total == 3
    stranger = signed_in(a_user(*READER, "piles.set_work"))
    stranger.post("/admin/piles/pile/", {**form, **DIALOG, "when": "idle"})
    assert CommandBatch.objects.count() == 2


def test_a_batchs_page_shows_failures_first_and_retries_where_it_is_safe(tenant: Any) -> None:
    piles = [factories.a_pile() for _ in range(3)]
    batch = bulk.send_bulk(command=CommandKind.SYNC_TIME, piles=piles, actor=STAFF, reason="校时")
    states = (CommandState.DONE, CommandState.SENT, CommandState.REFUSED)
    for row, state in zip(batch.commands.order_by("id"), states, strict=True):
        result = {"reason": "offline", "offset_s": "2.1", "x": 1}
        PileCommand.objects.filter(pk=row.pk).update(state=state, result=result, answered_at=now())
    client = signed_in(a_user(*READER, "piles.add_pilecommand"))
    url = f"/admin/piles/commandbatch/{batch.pk}"
    page = client.get(f"{url}/change/")
    assert [row["command"].state for row in page.context_data["rows"]] == ["refused", "sent", "done"]
    assert page.context_data["counts"] == {"total": 3, "done": 1, "failed": 1, "open": 1}
    html = page.content.decode()
    assert "x: 1; 离线; 时钟偏差（秒）: 2.1" in html
    assert [word in html for word in ('hx-trigger="every 2s"', "校时", "王芳", f"{url}/retry/")] == [True] * 4
    client.post(f"{url}/retry/", {"_form_submitted": "True"})
    again = CommandBatch.objects.first()
    assert [row.pile_id for row in again.commands.all()] == [piles[2].pk]
    assert (again.reason, AuditEntry.objects.filter(action="piles.commandbatch_commanded").count()) == (
        "校时",
        1,
    )
    renewed = client.get(f"{url}/change/", headers={"hx-request": "true"})
    assert ("HX-Refresh" in renewed, 'id="batch"' in renewed.content.decode()) == (False, True)
    PileCommand.objects.update(state=CommandState.DONE)
    assert "every 2s" not in client.get(f"{url}/change/").content.decode()
    renewed = client.get(f"{url}/change/", headers={"hx-request": "true"})
    assert renewed["HX-Refresh"] == "true"  # the buttons above depend on what failed

    reboot = bulk.send_bulk(command=Reboot(), piles=piles, actor=STAFF)
    reboot.commands.update(state=CommandState.EXPIRED)
    head = boss()
    url = f"/admin/piles/commandbatch/{reboot.pk}"
    assert f"{url}/retry/" not in head.get(f"{url}/change/").content.decode()
    assert head.post(f"{url}/retry/", {"_form_submitted": "True"}).status_code == 403


def test_the_ground_lock_is_shown_and_moved(tenant: Any) -> None:
    gun = factories.a_connector()
    GroundLock.objects.create(
        connector=gun, state=LockState.RAISED, battery_percent=37, is_occupied=True, reported_at=now()
    )
    client = signed_in(a_user(*READER, "piles.move_lock"))
    page = client.get(f"/admin/piles/connector/{gun.pk}/change/").content.decode()
    assert "37 %" in page
    client.post(f"/admin/piles/connector/{gun.pk}/lower-lock/", DIALOG)
    client.post(f"/admin/piles/connector/{gun.pk}/raise-lock/", DIALOG)
    rows = PileCommand.objects.order_by("id").values_list("kind", "connector_no", "payload")
    assert [(kind, number, payload["up"]) for kind, number, payload in rows] == [
        ("lock", "01", False),
        ("lock", "01", True),
    ]
    stranger = signed_in(a_user(*READER, "piles.add_pilecommand"))
    assert stranger.post(f"/admin/piles/connector/{gun.pk}/raise-lock/", DIALOG).status_code == 403


def test_an_update_shows_its_servers_password_nowhere(tenant: Any) -> None:
    server, pile = a_server(), factories.a_pile()
    client = boss()
    form = {"server": server.pk, "path": "/v5.bin", "when": "idle", "download_minutes": 20}
    client.post(f"/admin/piles/pile/{pile.pk}/update/", {**DIALOG, **form, "path": "固件.bin"})
    assert PileCommand.objects.count() == 0
    client.post(f"/admin/piles/pile/{pile.pk}/update/", {**DIALOG, **form})
    row = PileCommand.objects.get()
    assert row.payload == {
        "server_id": server.pk,
        "host": "10.0.0.9",
        "port": 2121,
        "path": "/v5.bin",
        "for_ac": False,
        "power_kw": 120,
        "when_idle": True,
        "download_minutes": 20,
    }
    PileCommand.objects.update(frame=bytes.fromhex("68040001"), answer=bytes.fromhex("6805"))
    pages = [
        f"/admin/piles/pilecommand/{row.pk}/change/",
        "/admin/piles/pilecommand/",
        f"/admin/piles/pile/{pile.pk}/update/",
        f"/admin/piles/updateserver/{server.pk}/change/",
        "/admin/piles/updateserver/",
        "/admin/backoffice/auditentry/",
    ]
    found = [client.get(page).content.decode() for page in pages]
    assert [page for page, html in zip(pages, found, strict=True) if "hidden-word" in html] == []
    assert "68 04 00 01" in found[0]
    assert "68 05" in found[0]
    assert "ftp-user" not in "".join(found[:3])


@pytest.mark.parametrize("elsewhere", [{"host": "10.0.0.10"}, {"port": 2122}])
def test_a_stored_password_goes_to_no_other_server(tenant: Any, elsewhere: dict[str, Any]) -> None:
    server, client = a_server(), boss()
    form = {"name": "固件站", "host": "10.0.0.9", "port": 2121, "username": "ftp-user", "password": ""}
    url = f"/admin/piles/updateserver/{server.pk}/change/"
    answer = client.post(url, form | elsewhere)
    assert "password" in answer.context_data["adminform"].form.errors
    server.refresh_from_db()
    assert (server.host, server.port) == ("10.0.0.9", 2121)
    assert client.post(url, form | elsewhere | {"password": "its-own"}).status_code == 302
    server.refresh_from_db()
    assert server.password == "its-own"


def test_a_stored_password_stays_unless_a_new_one_is_typed(tenant: Any) -> None:
    server = a_server()
    client = boss()
    form = {"name": "固件站 2", "host": "10.0.0.9", "port": 2121, "username": "ftp", "password": ""}
    url = f"/admin/piles/updateserver/{server.pk}/change/"
    assert client.post(url, form).status_code == 302
    server.refresh_from_db()
    assert (server.username, server.password) == ("ftp", "hidden-word")
    assert "password" not in AuditEntry.objects.get(action="piles.updateserver_changed").changes
    client.post(url, {**form, "password": "other-word"})
    server.refresh_from_db()
    assert server.password == "other-word"
    assert AuditEntry.objects.first().changes == {"password": ["…", "…"]}
    assert client.post("/admin/piles/updateserver/add/", {**form, "name": "y"}).status_code == 200
    assert UpdateServer.objects.count() == 1


def test_who_may_only_look_at_an_update_server_sees_no_password(tenant: Any) -> None:
    server = a_server()
    looking = signed_in(a_user("piles.view_updateserver"))
    page = looking.get(f"/admin/piles/updateserver/{server.pk}/change/").content.decode()
    assert ("ftp-user" in page, "hidden-word" in page) == (True, False)
