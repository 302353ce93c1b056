"""Which piles there are and where: batches, tables, QR codes, moving, retiring, and the pages of a pile."""

from __future__ import annotations

import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connections
from django.test import Client
from openpyxl import Workbook, load_workbook

from apps.backoffice.models import AuditEntry
from apps.common.ids import SYSTEM
from apps.common.schema import current_schema, schema_context
from apps.common.time import now
from apps.files.models import StoredFile
from apps.orders.services import start_charge
from apps.piles import fleet, qr_sheets, sheets
from apps.piles.enums import ConnectorState, PileState
from apps.piles.errors import PileInUse, SheetUnreadable
from apps.piles.models import Connector, ConnectorStatus, Pile, PileCommand
from apps.piles.services import raise_alarm
from apps.pricing import services as pricing
from apps.pricing.models import PricePush
from apps.sites.models import Station
from apps.sites.services import give_stations
from apps.tenancy.models import InboundRoute, Tenant
from tests import factories
from tests.staff import a_user, boss, signed_in

DIALOG = {"_form_submitted": "True", "reason": "搬迁"}
LIST = "/admin/piles/pile/"


# --- Batches ------------------------------------------------------------------------------------------------


def a_batch(station: Station, **changes: Any) -> dict[str, Any]:
    return {
        "station": station.pk,
        "first_code": "32010600009901",
        "count": "3",
        "gun_count": "2",
        "kind": "dc",
        "power_kw": "160",
        "brand": "特来电",
        "model": "",
        "name": "# 号桩",
        "first_number": "7",
        **changes,
    }


def test_a_batch_of_piles_is_registered_or_none_of_it(tenant: Any, other_tenant: Tenant) -> None:
    station, client = factories.a_station(), boss()
    assert client.post(f"{LIST}batch/", a_batch(station)).status_code == 302
    assert list(Pile.objects.values_list("pile_code", "name", "power_kw", "brand")) == [
        ("32010600009901", "7 号桩", Decimal(160), "特来电"),
        ("32010600009902", "8 号桩", Decimal(160), "特来电"),
        ("32010600009903", "9 号桩", Decimal(160), "特来电"),
    ]
    assert ConnectorStatus.objects.count() == 6
    assert AuditEntry.objects.get(action="piles.pile_added").changes["count"] == [None, 3]
    InboundRoute.objects.create(kind="pile", key="32010600009911", tenant=other_tenant)
    for first, why in (
        ("32010600009900", "32010600009901"),
        ("32010600009910", "32010600009911"),
        ("99999999999998", "14"),
        ("3201", "14"),
    ):
        answer = client.post(f"{LIST}batch/", a_batch(station, first_code=first))
        assert why in str(answer.context_data["form"].errors)
    assert Pile.objects.count() == 3
    assert InboundRoute.objects.filter(key__in=["32010600009900", "32010600009910"]).count() == 0


# --- Tables -------------------------------------------------------------------------------------------------


def a_workbook(*rows: tuple[Any, ...]) -> bytes:
    book, file = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return file.getvalue()


TITLES = ("桩编码 *", "站点编号", "功率（kW）", "枪数", "类型", "名称", "生产日期", "备注")


def send(client: Client, data: bytes, name: str = "桩.xlsx") -> Any:
    return client.post(f"{LIST}import/", {"file": SimpleUploadedFile(name, data)}, follow=True)


def test_a_table_is_looked_at_before_anything_is_registered(tenant: Any, other_tenant: Tenant) -> None:
    factories.a_station(station_no="S1", name="甲站")
    factories.a_pile(pile_code="32010600000005")
    InboundRoute.objects.create(kind="pile", key="32010600000006", tenant=other_tenant)
    table = a_workbook(
        TITLES,
        ("32010600000001", "S1", 120, 2, "直流", "1 号桩", date(2026, 6, 1), "x"),
        (32010600000002, "S1", 7.5, None, "AC", "+HYPERLINK(1)", "2026/6/1", ""),
        (),
        ("3201060000003", "S1", 120, 2, "", "", "", ""),
        ("32010600000004", "S9", 0, 100, "氢", "x" * 51, "六月", ""),
        ("32010600000005", "S1", 120, 2, "", "", "", ""),
        ("32010600000006", "S1", 120, 2, "", "", "", ""),
        ("32010600000007", "S1", 120, 2, "", "", "", ""),
        ("32010600000007", "S1", 120, 2, "", "", "", ""),
        ("", "S1", "", "", "", "", "", ""),
    )
    client, before = boss(), Pile.objects.count()
    answer = send(client, table)
    preview = answer.context_data["preview"]
    assert {row.number: len(row.errors) for row in preview.rows} == {
        2: 0, 3: 0, 5: 1, 6: 6, 7: 1, 8: 1, 9: 1, 10: 1, 11: 2,
    }  # fmt: skip
    assert preview.unknown == ["备注"]
    page = answer.content.decode()
    assert "请把该列设为文本格式" in page
    assert "+HYPERLINK(1)" in page
    assert Pile.objects.count() == before
    address = answer.redirect_chain[-1][0]
    # Only who sent the table sees it; taking all of it is refused; the good rows are taken when that is said.
    assert boss().get(address).status_code == 404
    client.post(address, {"good": "2"})
    assert Pile.objects.count() == before
    client.post(address, {"good": "3", "only_good": "1"})
    assert Pile.objects.count() == before
    client.post(address, {"good": "2", "only_good": "1"})
    first, second = Pile.objects.filter(pile_code__in=["32010600000001", "32010600000002"])
    assert (first.name, first.produced_on, first.connectors.count()) == ("1 号桩", date(2026, 6, 1), 2)
    assert (second.kind, second.power_kw, second.name) == ("ac", Decimal("7.50"), "+HYPERLINK(1)")
    assert second.connectors.count() == 1
    assert not StoredFile.objects.filter(kind="pile-sheet").exists()
    assert client.get(address).status_code == 404


def test_a_pile_that_somebody_registers_meanwhile_stops_the_table(tenant: Any) -> None:
    station, client = factories.a_station(station_no="S1"), boss()
    table = a_workbook(TITLES, ("32010600000001", "S1", 120), ("32010600000002", "S1", 120))
    address = send(client, table).redirect_chain[-1][0]
    factories.a_pile(station=station, pile_code="32010600000002")
    answer = client.post(address, {"good": "2"}, follow=True)
    assert "请重新核对" in answer.content.decode()
    assert list(Pile.objects.values_list("pile_code", flat=True)) == ["32010600000002"]


def test_stations_out_of_scope_are_none(tenant: Any) -> None:
    mine, other = factories.a_station(station_no="S1"), factories.a_station(station_no="S2")
    user = a_user("piles.view_pile", "piles.add_pile", scope="stations")
    give_stations(user=user, stations=[mine])
    client = signed_in(user)
    table = a_workbook(TITLES, ("32010600000001", "S1", 120), ("32010600000002", "S2", 120))
    preview = send(client, table).context_data["preview"]
    assert [row.errors for row in preview.rows] == [[], ["站点编号: 没有站点 S2"]]
    assert client.post(f"{LIST}batch/", a_batch(other)).status_code == 200
    assert Pile.objects.count() == 0


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<html><script>alert(1)</script>", "此处不支持这种文件"),
        (a_workbook(), "文件是空的"),
        (a_workbook(("桩编码",), ("1",)), "缺少这些列：站点编号, 功率（kW）"),
        (a_workbook(TITLES), "标题行下没有数据"),
        (a_workbook((*TITLES, "桩编号"), ("1",)), "重复"),
        ("桩编码,站点编号,功率\n".encode("gb18030") + b"1,2\n" * 5001, "超过 5000 行"),
    ],
    ids=[
        "page",
        "empty",
        "columns",
        "rows",
        "twice",
        "long",
    ],  # a workbook's bytes tell the time, names may not
)
def test_what_is_no_table_says_so(tenant: Any, data: bytes, why: str) -> None:
    assert why in send(boss(), data, "x.csv").content.decode()
    assert Pile.objects.count() == 0


def test_a_workbook_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml"):
            archive.writestr(name, b"<x/>")
        archive.writestr("xl/worksheets/sheet1.xml", bytes(61_000_000))
    assert bomb.tell() < 100_000
    with pytest.raises(SheetUnreadable):
        sheets.look_at(bomb, stations={})


@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_the_template_can_be_filled_in_and_sent(tenant: Any, form: str) -> None:
    factories.a_station(station_no="SH0001")
    client = boss()
    answer = client.get(f"{LIST}import/template/", {"format": form})
    assert answer["Content-Disposition"] == f'attachment; filename="piles.{form}"'
    if form == "xlsx":
        assert load_workbook(io.BytesIO(answer.content))["充电桩"]["A2"].number_format == "@"
    preview = send(client, answer.content, f"x.{form}").context_data["preview"]
    assert [(row.errors, row.pile.gun_count) for row in preview.rows] == [([], 2)]


def run(*arguments: str, code: int) -> dict[str, Any]:
    out = io.StringIO()
    left = 0
    try:
        call_command("import_piles", *arguments, "--json", stdout=out)
    except SystemExit as end:
        left = end.code
    assert left == code
    return json.loads(out.getvalue())


def test_the_command_says_what_is_wrong_and_takes_good_rows_when_told(tenant: Tenant, tmp_path: Path) -> None:
    factories.a_station(station_no="S1")
    good, mixed, broken = tmp_path / "good.xlsx", tmp_path / "mixed.csv", tmp_path / "broken.xlsx"
    good.write_bytes(a_workbook(TITLES, ("32010600000001", "S1", 120)))
    mixed.write_text("pile_code,station,power_kw\n32010600000002,S1,60\n3201,S1,60\n")
    broken.write_bytes(b"PK\3\4 nothing")
    options = ("--tenant", tenant.code)
    assert run(*options, str(good), "--dry-run", code=0)["registered"] == 0
    assert Pile.objects.count() == 0
    assert run(*options, str(good), code=0)["registered"] == 1
    assert run(*options, str(good), code=1)["errors"][0]["row"] == 2  # it is there already
    assert run(*options, str(mixed), code=1)["registered"] == 0
    assert run(*options, str(mixed), "--only-good", code=1)["registered"] == 1
    assert run(*options, str(broken), code=1)["error"] == "piles.sheet_unreadable"
    call_command("import_piles", "--template", str(tmp_path / "t.xlsx"), stdout=io.StringIO())
    assert (
        load_workbook(tmp_path / "t.xlsx").worksheets[0].max_row == 2 or (tmp_path / "t.xlsx").stat().st_size
    )


# --- Moving and retiring --------------------------------------------------------------------------------------


def test_a_moved_pile_gets_the_prices_of_its_new_station(tenant: Any) -> None:
    pile, station = factories.a_pile(), factories.a_station()
    old = pile.station
    current = factories.a_price(station=station)
    coming = pricing.create_template(name="coming", tariff=factories.TARIFF, actor=SYSTEM)
    later = now() + timedelta(days=3)
    pricing.assign(version=coming, station=station, starts_at=later, actor=SYSTEM)
    client = boss()
    client.post(f"{LIST}{pile.pk}/move/", DIALOG | {"station": station.pk})
    pile.refresh_from_db()
    assert pile.station == station
    queued = PricePush.objects.filter(pile=pile, state="pending").values_list("version", flat=True)
    assert set(queued) == {current.pk}  # what comes is queued when it begins
    pricing.turn_prices(at=later)
    assert set(queued.all()) == {coming.pk}
    entry = AuditEntry.objects.get(action="piles.pile_moved")
    assert (entry.changes, entry.reason) == ({"station": [old.name, station.name]}, "搬迁")
    client.post(f"{LIST}{pile.pk}/move/", DIALOG | {"station": station.pk})  # it is there already
    assert AuditEntry.objects.filter(action="piles.pile_moved").count() == 1
    # The station is no field of the form: posting another changes nothing.
    form = {"name": "", "station": old.pk, "kind": "dc", "power_kw": "120", "crc_order": "low"}
    inline = {"connectors-TOTAL_FORMS": "0", "connectors-INITIAL_FORMS": "0"}
    client.post(f"{LIST}{pile.pk}/change/", form | inline)
    pile.refresh_from_db()
    assert pile.station == station


def test_a_selection_moves_and_retires_as_a_whole_or_not_at_all(tenant: Any) -> None:
    station = factories.a_station()
    idle, starting = factories.a_pile(), factories.a_pile()
    gun = starting.connectors.get()
    order = start_charge(
        customer=factories.a_customer(), connector_code=gun.code, request_key="a", actor=SYSTEM
    )  # no car charges yet: the gun itself is idle
    client = boss()
    chosen = {"_selected_action": [idle.pk, starting.pk], "select_across": "0", "index": "0"}
    asked = client.post(LIST, chosen | {"action": "selected_move"})
    assert asked.context_data["count"] == 2
    for action in ("selected_move", "selected_retire"):
        answer = client.post(LIST, chosen | DIALOG | {"action": action, "station": station.pk}, follow=True)
        assert f"{gun.code} 正在充电" in answer.content.decode()
    assert Pile.objects.filter(station=station).count() == 0
    assert Pile.objects.filter(state=PileState.RETIRED).count() == 0
    order.state = "failed"
    order.save(update_fields=["state"])
    client.post(LIST, chosen | DIALOG | {"action": "selected_move", "station": station.pk})
    client.post(LIST, chosen | DIALOG | {"action": "selected_retire"})
    assert Pile.objects.filter(station=station, state=PileState.RETIRED).count() == 2
    assert AuditEntry.objects.filter(action="piles.pile_state_changed", reason="搬迁").count() == 2


def test_moving_and_retiring_need_permissions_of_their_own_and_a_station_in_scope(tenant: Any) -> None:
    pile, far = factories.a_pile(), factories.a_station()
    plain = signed_in(a_user("piles.view_pile", "piles.change_pile"))
    for page in ("move", "retire"):
        assert plain.post(f"{LIST}{pile.pk}/{page}/", DIALOG | {"station": far.pk}).status_code == 403
    plain.post(f"{LIST}{pile.pk}/state/", {"_form_submitted": "True", "state": "retired"})
    user = a_user("piles.view_pile", "piles.move_pile", scope="stations")
    give_stations(user=user, stations=[pile.station])
    signed_in(user).post(f"{LIST}{pile.pk}/move/", DIALOG | {"station": far.pk})
    pile.refresh_from_db()
    assert (pile.station == far, pile.state) == (False, PileState.IN_SERVICE)


def test_a_start_and_a_move_do_not_pass_each_other(committed: Any) -> None:
    """Either the charge is at the new station, or the move sees it and is refused."""
    schema = current_schema()
    piles = [factories.a_pile() for _ in range(4)]
    station = factories.a_station()
    factories.a_price(station=station)
    customers = [factories.a_customer() for _ in piles]

    def start(place: int) -> Any:
        try:
            with schema_context(schema):
                gun = piles[place].connectors.get()
                key = f"race-{place}"
                return start_charge(
                    customer=customers[place], connector_code=gun.code, request_key=key, actor=SYSTEM
                )
        finally:
            connections.close_all()

    def move(place: int) -> bool:
        try:
            with schema_context(schema):
                fleet.move_piles(pile_ids=[piles[place].pk], station=station, actor=SYSTEM)
                return True
        except PileInUse:
            return False
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as threads:
        starts = [threads.submit(start, place) for place in range(4)]
        moves = [threads.submit(move, place) for place in range(4)]
    for place in range(4):
        order = starts[place].result()
        order.refresh_from_db()
        expected = station.pk if moves[place].result() else piles[place].station_id
        assert order.station_id == expected
        assert Pile.objects.get(pk=piles[place].pk).station_id == expected


# --- QR codes -----------------------------------------------------------------------------------------------


def test_qr_codes_carry_the_prefix_of_the_station_or_this_sites_page(tenant: Any) -> None:
    pile = factories.a_pile(guns=2)
    Pile.objects.filter(pk=pile.pk).update(name="一号桩")
    client, page = boss(), f"{LIST}{pile.pk}/qr-codes/"
    labels = [item["label"] for item in client.get(page).context_data["labels"]]
    assert [label.text for label in labels] == [f"http://alpha.test/c/{pile.pile_code}0{n}" for n in (1, 2)]
    assert client.get(f"/c/{pile.pile_code}01").status_code == 200
    assert client.get("/c/1234567890123456").status_code == 404
    Station.objects.filter(pk=pile.station_id).update(qr_prefix="https://x.example/q?g=")
    for address in (page, f"/admin/sites/station/{pile.station_id}/qr-codes/"):
        labels = [item["label"] for item in client.get(address).context_data["labels"]]
        assert labels[0].text == f"https://x.example/q?g={pile.pile_code}01"
        assert (labels[0].pile, labels[0].connector_no) == ("一号桩", "01")
        answer = client.get(address, {"layout": "small"})
        assert answer["Content-Type"] == "application/pdf"
        assert answer.content.startswith(b"%PDF-")
    chosen = {
        "_selected_action": [pile.pk],
        "action": "selected_qr_sheet",
        "select_across": "0",
        "index": "0",
    }
    assert client.post(LIST, chosen).content.startswith(b"%PDF-")


def test_a_sheet_has_as_many_pages_as_it_needs(tenant: Any) -> None:
    label = qr_sheets.Label(
        "https://x.example/c/3201060000000101", "很长的站名" * 12, "1 号桩", "3201060000000101", "01"
    )
    for layout, count, pages in (("large", 6, 1), ("large", 7, 2), ("medium", 12, 1), ("small", 25, 2)):
        sheet = qr_sheets.pdf([label] * count, layout=qr_sheets.Layout(layout), title="x")
        assert sheet.count(b"/Type /Page\n") == pages


# --- The pages of a pile ------------------------------------------------------------------------------------


def test_the_tabs_of_a_pile_are_those_that_a_person_may_open(tenant: Any) -> None:
    gun: Connector = factories.a_connector()
    pile = gun.pile
    customer = factories.a_customer(nickname="<b>车主</b>")
    order = factories.a_charging_order(customer=customer, connector=gun)
    raise_alarm(kind="pile_fault", pile_code=pile.pile_code, connector_no="01")  # type: ignore[arg-type]
    client = boss()
    client.post(f"{LIST}{pile.pk}/clock/", {"_form_submitted": "True"})
    shows = {
        "live": "充电中",
        "commands": "校时",
        "alarms": "桩故障",
        "firmware": "尚未向此桩下发过升级。",
        "orders": order.order_no,
        "qr-codes": gun.code,
    }
    ConnectorStatus.objects.filter(connector=gun).update(state=ConnectorState.CHARGING)
    for page, words in shows.items():
        text = client.get(f"{LIST}{pile.pk}/{page}/").content.decode()
        assert words in text, page
        assert "<b>车主</b>" not in text
    assert PileCommand.objects.filter(pile=pile).count() >= 1
    few = signed_in(a_user("piles.view_pile", "piles.view_alarm"))
    titles = [tab["title"] for tab in few.get(f"{LIST}{pile.pk}/change/").context_data["object_tabs"]]
    assert [str(title) for title in titles] == ["基础资料", "状态", "告警", "二维码"]
    for page in shows:
        expected = 200 if page in {"live", "alarms", "qr-codes"} else 403
        assert few.get(f"{LIST}{pile.pk}/{page}/").status_code == expected, page


def test_master_data_of_guns_is_edited_on_their_piles_page(tenant: Any) -> None:
    pile = factories.a_pile(guns=1)
    gun = pile.connectors.get()
    form = {
        "name": "",
        "kind": "dc",
        "power_kw": "120",
        "crc_order": "low",
        "serial_no": "A1",
        "connectors-TOTAL_FORMS": "1",
        "connectors-INITIAL_FORMS": "1",
        "connectors-0-id": gun.pk,
        "connectors-0-pile": pile.pk,
        "connectors-0-name": "左枪",
        "connectors-0-parking_no": "A01",
        "connectors-0-kind": "4",
        "connectors-0-power_kw": "60",
        "connectors-0-voltage_min_v": "200",
        "connectors-0-voltage_max_v": "1000",
        "connectors-0-standard": "4",
    }
    client, page = boss(), f"{LIST}{pile.pk}/change/"
    wrong = client.post(page, form | {"connectors-0-voltage_min_v": "1001"})
    assert "低于最低电压" in wrong.content.decode()
    assert client.post(page, form).status_code == 302
    gun.refresh_from_db()
    assert (gun.name, gun.parking_no, gun.kind, gun.power_kw, gun.standard) == (
        "左枪",
        "A01",
        4,
        Decimal(60),
        4,
    )
    changes = AuditEntry.objects.get(action="piles.pile_changed").changes
    before, after = changes[f"connector {gun.code}"]
    assert (before["功率（kW）"], after["功率（kW）"]) == ("120.00", "60")
    entry = AuditEntry.objects.get(action="piles.pile_changed")
    assert "左枪" in client.get(f"/admin/backoffice/auditentry/{entry.pk}/change/").content.decode()
