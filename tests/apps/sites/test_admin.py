"""The station pages: state is a button, and parts of other apps need those apps' permissions."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from apps.backoffice.models import AuditEntry
from apps.files import links
from apps.files.models import StoredFile
from apps.sites import filing, pictures
from apps.sites.models import StationPicture
from apps.sites.services import give_stations
from tests import factories
from tests.staff import a_user, boss, form_of, signed_in


def test_a_station_is_closed_by_its_button(tenant: Any) -> None:
    station = factories.a_station()
    page = f"/admin/sites/station/{station.pk}/state/"
    form = {"_form_submitted": "True", "state": "maintenance"}
    assert signed_in(a_user("sites.view_station")).post(page, form).status_code == 403
    station.refresh_from_db()
    assert station.state == "open"

    signed_in(a_user("sites.view_station", "sites.change_station")).post(page, form)
    station.refresh_from_db()
    assert station.state == "maintenance"
    assert AuditEntry.objects.get(action="sites.station_state_changed").changes == {
        "state": ["open", "maintenance"]
    }


def test_panels_of_other_apps_need_their_permissions(tenant: Any) -> None:
    gun = factories.a_connector()
    page = f"/admin/sites/station/{gun.pile.station_id}/change/"
    plain = signed_in(a_user("sites.view_station")).get(page).content.decode()
    assert "充电枪状态" not in plain
    assert "今日电价" not in plain
    full = signed_in(a_user("sites.view_station", "piles.view_connector", "pricing.view_pricetemplate")).get(
        page
    )
    assert "充电枪状态" in full.content.decode()
    assert "今日电价" in full.content.decode()


# --- The form -----------------------------------------------------------------------------------------------


def test_everything_that_governments_ask_for_is_on_the_form_and_in_the_audit_log(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/change/"
    assert "向政府平台报备尚缺" in client.get(page).content.decode()
    filled = {
        "kind": "100",
        "construction": "6",
        "province": "上海市",
        "city": "上海市",
        "area_code": "310101",
        "township_code": "310101002000",
        "address": "西藏中路268号",
        "orientation": "3",
        "opening_hours": "1-5 07:00-22:00; 09:00-20:00",
        "opened_on": "2026-05-01",
        "service_phone": "400-820-0000",
        "parking_kind": "2",
        "parking_spaces": "24",
        "reduces_by_plate": "on",
        "has_toilet": "on",
        "grid_account_no": "3101000123456",
        "capacity_kva": "800.50",
        "rated_power_kw": "614",
        "electricity_kind": "1",
        "owner_code": "MA1FL0001",
        "subsidy_price": "0.20",
        "remark": "=1+1",
    }
    assert client.post(page, form_of(client, page) | filled).status_code == 302
    station.refresh_from_db()
    assert (station.kind, station.construction, station.capacity_kva) == (100, 6, Decimal("800.50"))
    assert (station.reduces_by_plate, station.has_toilet, station.has_shop) == (True, True, False)
    assert (station.opened_on, station.subsidy_price) == (date(2026, 5, 1), Decimal("0.20000"))
    assert filing.missing(station) == []
    assert "向政府平台报备尚缺" not in client.get(page).content.decode()
    changes = AuditEntry.objects.get(action="sites.station_changed").changes
    assert changes["construction"] == [255, 6]
    assert changes["grid_account_no"] == ["", "3101000123456"]
    rows = client.get("/admin/sites/station/", {"filing": "complete"}).context_data["cl"].result_list
    assert list(rows) == [station]
    assert not client.get("/admin/sites/station/", {"filing": "missing"}).context_data["cl"].result_list


def test_tags_and_the_place_in_drivers_lists(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/change/"
    typed = {"tags": "超充， 停车免费、超充;24小时", "list_order": "-5"}
    assert client.post(page, form_of(client, page) | typed).status_code == 302
    station.refresh_from_db()
    assert (station.tags, station.list_order) == (["超充", "停车免费", "24小时"], -5)
    assert 'value="超充 停车免费 24小时"' in client.get(page).content.decode()
    assert client.post(page, form_of(client, page) | {"tags": "", "list_order": ""}).status_code == 302
    station.refresh_from_db()
    assert (station.tags, station.list_order) == ([], 0)
    for wrong in (
        {"tags": "一 二 三 四 五 六 七"},
        {"tags": "一二三四五六七八九十百"},
        {"list_order": "1000001"},
    ):
        answer = client.post(page, form_of(client, page) | wrong)
        assert set(answer.context_data["adminform"].form.errors) == set(wrong)


def test_wrong_words_change_nothing_and_are_marked(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/change/"
    wrong = {
        "opening_hours": "7-22",
        "area_code": "3101",
        "township_code": "31010100200x",
        "owner_code": "short",
        "capacity_kva": "-1",
        "parking_kind": "0",
        "parking_fee": "5 元/小时",
        "kind": "7",
        "latitude": "91",
    }
    answer = client.post(page, form_of(client, page) | wrong)
    assert set(answer.context_data["adminform"].form.errors) == {*wrong} - {"parking_kind"}
    assert AuditEntry.objects.filter(action="sites.station_changed").count() == 0


def test_coordinates_of_a_gps_are_kept_as_gcj02(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/change/"
    form = form_of(client, page) | {"latitude": "31.2304", "longitude": "121.4737", "datum": "wgs84"}
    assert client.post(page, form).status_code == 302
    station.refresh_from_db()
    assert (station.latitude, station.longitude) == (Decimal("31.228458"), Decimal("121.478223"))
    assert form_of(client, page)["datum"] == "gcj02"  # saving again moves nothing


def test_the_map_shows_the_stations_that_a_person_sees(tenant: Any) -> None:
    mine, other, hidden = (factories.a_station(name=name) for name in ("甲站", "乙站", "丙站"))
    user = a_user("sites.view_station", "sites.change_station", scope="stations")
    give_stations(user=user, stations=[mine, other])
    shown = signed_in(user).get(f"/admin/sites/station/{mine.pk}/change/").context_data["map"]
    assert [name for name, *_ in shown["stations"]] == ["乙站"]
    assert shown["tiles"] == ""  # nothing is asked of another host unless somebody set it
    assert hidden.name not in str(shown)


def test_two_people_do_not_write_over_each_other(tenant: Any) -> None:
    station = factories.a_station()
    page = f"/admin/sites/station/{station.pk}/change/"
    first, second = boss(), boss()
    forms = [
        form_of(client, page) | {"_seen": client.get(page).context_data["seen"]} for client in (first, second)
    ]
    assert first.post(page, forms[0] | {"name": "甲"}).status_code == 302
    answer = second.post(page, forms[1] | {"notice": "乙"}, follow=True)
    assert "您打开页面后，已有人修改了这条记录" in answer.content.decode()
    station.refresh_from_db()
    assert (station.name, station.notice) == ("甲", "")
    again = form_of(second, page) | {"_seen": second.get(page).context_data["seen"], "notice": "乙"}
    assert second.post(page, again).status_code == 302
    station.refresh_from_db()
    assert (station.name, station.notice) == ("甲", "乙")


# --- Pictures -----------------------------------------------------------------------------------------------


def opens(client: Any, file: StoredFile) -> int:
    """The status of asking for a file."""
    answer = client.get(links.path(file))
    if answer.streaming:
        assert b"".join(answer.streaming_content)
    return int(answer.status_code)


def a_file(name: str = "门口.png", size: tuple[int, int] = (8, 6)) -> SimpleUploadedFile:
    data = io.BytesIO()
    Image.new("RGB", size, "navy").save(data, "PNG")
    return SimpleUploadedFile(name, data.getvalue(), "image/png")


def test_pictures_are_added_ordered_and_removed(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/pictures/"
    for caption in ("入口", "充电区", "休息室"):
        assert client.post(page, {"upload": "1", "file": a_file(), "caption": caption}).status_code == 302
    last = station.pictures.get(caption="休息室")
    client.post(page, {"first": "1", "picture": last.pk})
    client.post(page, {"first": "1", "picture": station.pictures.get(caption="充电区").pk})
    assert [one.caption for one in station.pictures.all()] == ["充电区", "休息室", "入口"]
    file = last.file
    assert opens(client, file) == 200
    client.post(page, {"remove": "1", "picture": last.pk})
    assert [one.caption for one in station.pictures.all()] == ["充电区", "入口"]
    assert not StoredFile.objects.filter(pk=file.pk).exists()
    assert AuditEntry.objects.filter(action="sites.station_changed").count() == 6
    assert [one["caption"] for one in pictures.picture_links([station.pk])[station.pk]] == ["充电区", "入口"]


def test_what_is_no_picture_or_one_too_many_is_refused(tenant: Any) -> None:
    station = factories.a_station()
    client, page = boss(), f"/admin/sites/station/{station.pk}/pictures/"
    fake = SimpleUploadedFile("x.png", b"<svg onload=alert(1)>", "image/png")
    answer = client.post(page, {"upload": "1", "file": fake}, follow=True)
    assert "此处不支持这种文件" in answer.content.decode()
    for number in range(pictures.MOST):
        file = factories.a_picture()
        StationPicture.objects.create(station=station, file=file, place=number + 1)
    before = StoredFile.objects.count()
    assert "最多 12 张" in client.post(page, {"upload": "1", "file": a_file()}, follow=True).content.decode()
    assert (station.pictures.count(), StoredFile.objects.count()) == (pictures.MOST, before)


def test_pictures_are_for_who_sees_the_station_and_changed_by_who_may(tenant: Any) -> None:
    mine, other = factories.a_station(), factories.a_station()
    boss().post(f"/admin/sites/station/{mine.pk}/pictures/", {"upload": "1", "file": a_file()})
    picture = mine.pictures.get()
    looking = signed_in(a_user("sites.view_station"))
    page = f"/admin/sites/station/{mine.pk}/pictures/"
    assert looking.get(page).status_code == 200
    assert opens(looking, picture.file) == 200
    assert looking.post(page, {"remove": "1", "picture": picture.pk}).status_code == 403
    limited = a_user("sites.view_station", "sites.change_station", scope="stations")
    give_stations(user=limited, stations=[other])
    client = signed_in(limited)
    assert client.get(page).status_code == 404
    assert opens(client, picture.file) == 404
    through_mine = client.post(
        f"/admin/sites/station/{other.pk}/pictures/", {"remove": "1", "picture": picture.pk}
    )
    assert through_mine.status_code == 404
    assert opens(signed_in(a_user()), picture.file) == 404
    assert mine.pictures.count() == 1
