from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
import time_machine

from apps.common.time import SHANGHAI
from apps.miniapp import finding
from apps.piles.enums import ConnectorState
from apps.piles.models import ConnectorStatus, Pile
from apps.sites.enums import ParkingKind, StationState
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
HERE = {"latitude": "31.2304", "longitude": "121.4737"}


@pytest.fixture(autouse=True)
def morning():
    """10:00 on a Friday."""
    with time_machine.travel(datetime(2026, 11, 20, 10, tzinfo=SHANGHAI)) as clock:
        yield clock


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.json()
    return [item["station_no"] for item in answer.json()["items"]]


def walk(app, **query: object) -> list[list[str]]:
    """The pages of a list, up to the last."""
    pages = [app.get("stations", **query)]
    while cursor := pages[-1].json()["next_cursor"]:
        pages.append(app.get("stations", **query, cursor=cursor))
    return [names(one) for one in pages]


def test_pages_by_distance_neither_miss_nor_repeat_a_station(anybody) -> None:
    places = ["31.240000", "31.230400", "31.240000", "31.240000", "31.250000"]
    made = [factories.a_station(latitude=Decimal(place)).station_no for place in places]
    assert walk(anybody, **HERE, limit=2) == [[made[1], made[0]], [made[2], made[3]], [made[4]]]
    assert walk(anybody, **HERE, limit=5) == [[made[1], made[0], *made[2:]]]
    first = anybody.get("stations", **HERE, limit=2)
    factories.a_station(latitude=Decimal("31.231000"))  # what is new before the page moves nothing into it
    later = anybody.get("stations", **HERE, limit=2, cursor=first.json()["next_cursor"])
    assert names(later) == [made[2], made[3]]


def test_without_a_point_the_operators_order_counts(anybody) -> None:
    orders = [0, 5, 0, -3, 5]
    made = [factories.a_station(list_order=order).station_no for order in orders]
    wanted = [made[1], made[4], made[0], made[2], made[3]]
    assert walk(anybody, limit=2) == [wanted[:2], wanted[2:4], wanted[4:]]
    assert anybody.get("stations").json()["items"][0]["distance_m"] is None
    near = anybody.get("stations", **HERE, sort="recommended", limit=3)
    assert names(near) == wanted[:3]
    assert near.json()["items"][0]["distance_m"] == 0
    rest = anybody.get("stations", **HERE, sort="recommended", cursor=near.json()["next_cursor"])
    assert names(rest) == wanted[3:]


def test_what_narrows_the_list(anybody) -> None:
    dc = factories.a_pile(station=factories.a_station(city="南京市", tags=["超充", "停车免费"]))
    ac = factories.a_pile(station=factories.a_station(city="南京市", parking_kind=ParkingKind.FREE))
    Pile.objects.filter(pk=ac.pk).update(kind="ac")
    busy = factories.a_pile(
        station=factories.a_station(parking_kind=ParkingKind.FREE_FOR_A_TIME, has_toilet=True)
    )
    ConnectorStatus.objects.filter(connector__pile=busy).update(state=ConnectorState.CHARGING)
    empty = factories.a_station(parking_kind=ParkingKind.PAID, address="100% 路")
    numbers = {key: pile.station.station_no for key, pile in (("dc", dc), ("ac", ac), ("busy", busy))}
    numbers["empty"] = empty.station_no

    def found(**query: object) -> list[str]:
        shown = names(anybody.get("stations", **query))
        return [key for key, number in numbers.items() if number in shown]

    assert found() == ["dc", "ac", "busy", "empty"]
    assert found(idle="true") == ["dc", "ac"]
    assert found(kind="dc") == ["dc", "busy"]
    assert found(kind="dc", idle="true") == ["dc"]
    assert found(city="南京市") == ["dc", "ac"]
    assert found(tag="超充") == ["dc"]
    assert found(tag="超") == []
    assert found(free_parking="true") == ["ac", "busy"]
    assert found(facility="toilet") == ["busy"]
    assert found(search="0% 路") == ["empty"]
    assert found(city="南京市", kind="dc", **HERE) == ["dc"]


@pytest.mark.parametrize(
    ("hours", "open_"),
    [
        ("00:00-24:00", True),
        ("07:00-12:00,13:30-22:00", True),
        ("11:00-22:00", False),
        ("22:00-11:00", True),
        ("6,7 00:00-24:00", False),
    ],
)
def test_stations_that_are_open_now(anybody, hours: str, open_: bool) -> None:
    station = factories.a_station(opening_hours=hours)
    factories.a_station(state=StationState.MAINTENANCE)
    assert names(anybody.get("stations", open_now="true")) == ([station.station_no] if open_ else [])


def test_far_stations_are_found_by_city_or_name(anybody) -> None:
    far = factories.a_station(latitude=Decimal("39.900000"), city="北京市", name="国贸站")
    assert names(anybody.get("stations", **HERE)) == []
    assert names(anybody.get("stations", **HERE, city="北京市")) == [far.station_no]
    assert names(anybody.get("stations", **HERE, search="国贸")) == [far.station_no]
    assert names(anybody.get("stations", **HERE, search="国贸", radius=1000)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"latitude": "31"},
        {"longitude": "121"},
        {"latitude": "nan", "longitude": "121"},
        {"latitude": "inf", "longitude": "121"},
        {"latitude": "90.1", "longitude": "121"},
        {"latitude": "31", "longitude": "-180.1"},
        {**HERE, "radius": "0"},
        {**HERE, "radius": "1e999"},
        {**HERE, "radius": "9" * 5000},
        {**HERE, "limit": "51"},
        {"sort": "distance"},
        {"sort": "price"},
        {"kind": "x"},
        {"facility": "pool"},
        {"idle": "perhaps"},
        {**HERE, "search": "a\x00b"},
        {**HERE, "search": "x" * 51},
        {"cursor": "d1.0_1"},
        {**HERE, "cursor": "r1_1"},
        {**HERE, "cursor": "d1.0_" + "9" * 19},
        {**HERE, "cursor": "dnan_1"},
        {**HERE, "cursor": "d1e99_1"},
        {"cursor": "r9999999_1"},
        {"cursor": "r1_x"},
    ],
)
def test_questions_that_are_none(anybody, wrong: dict[str, str]) -> None:
    assert refusal(anybody.get("stations", **wrong)) == (400, "invalid")


def test_cities(anybody) -> None:
    for city, latitude in (
        ("南京市", "32.000000"),
        ("南京市", "32.200000"),
        ("苏州市", "31.300000"),
        ("", "1.0"),
    ):
        factories.a_station(province="江苏省", city=city, latitude=Decimal(latitude))
    factories.a_station(city="无锡市", is_published=False)
    found = anybody.get("cities").json()["items"]
    assert [(one["province"], one["city"], one["stations"], one["latitude"]) for one in found] == [
        ("江苏省", "南京市", 2, 32.1),
        ("江苏省", "苏州市", 1, 31.3),
    ]


BOX = {"south": "31", "west": "121", "north": "32", "east": "122"}


def test_a_map_of_few_stations_shows_each(anybody) -> None:
    pile = factories.a_pile(guns=2)
    factories.a_station(latitude=Decimal("33.000000"))
    factories.a_station(is_published=False)
    empty = factories.a_station(latitude=Decimal("31.500000"))
    body = anybody.get("map", **BOX).json()
    assert body["clusters"] == []
    assert body["stations"] == [
        {
            "station_no": pile.station.station_no,
            "name": pile.station.name,
            "latitude": 31.2304,
            "longitude": 121.4737,
            "idle": 2,
            "total": 2,
        },
        {
            "station_no": empty.station_no,
            "name": empty.name,
            "latitude": 31.5,
            "longitude": 121.4737,
            "idle": 0,
            "total": 0,
        },
    ]
    filtered = anybody.get("map", **BOX, idle="true").json()["stations"]
    assert [one["station_no"] for one in filtered] == [pile.station.station_no]


def test_a_map_of_many_stations_counts_them_by_square(anybody, monkeypatch) -> None:
    monkeypatch.setattr(finding, "MOST_ON_MAP", 3)
    near = [factories.a_station(latitude=Decimal(f"31.20{n}000")) for n in range(3)]
    alone = factories.a_station(latitude=Decimal("31.900000"))
    body = anybody.get("map", **BOX).json()
    assert body["stations"] == []
    first, second = body["clusters"]
    assert (first["stations"], first["latitude"], first["station_no"], first["name"]) == (
        len(near),
        31.201,
        None,
        None,
    )
    assert (second["stations"], second["station_no"], second["name"]) == (1, alone.station_no, alone.name)
    # The squares stay where they are while the map is moved a little.
    moved = {**BOX, "south": "31.01", "north": "32.01"}
    assert anybody.get("map", **moved).json() == body


@pytest.mark.parametrize(
    "wrong",
    [{}, {**BOX, "south": "33"}, {**BOX, "west": "123"}, {**BOX, "north": "nan"}, {**BOX, "east": "181"}],
)
def test_maps_that_are_none(anybody, wrong: dict[str, str]) -> None:
    assert refusal(anybody.get("map", **wrong)) == (400, "invalid")


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(anybody, django_assert_num_queries, count: int) -> None:
    for _ in range(count):
        factories.a_pile(station=factories.a_station(city="南京市"), guns=2)
    anybody.get("stations")
    with django_assert_num_queries(7):  # three choose the tenant, one reads the hours
        assert len(names(anybody.get("stations", open_now="true", idle="true"))) == count
    with django_assert_num_queries(5):
        assert len(anybody.get("map", **BOX).json()["stations"]) == count
    with django_assert_num_queries(4):
        assert len(anybody.get("cities").json()["items"]) == 1


def test_coupons_that_a_station_offers(anybody, app_of) -> None:
    here, elsewhere = factories.a_station(), factories.a_station()
    everywhere = factories.a_coupon_template(name="everywhere")
    for name, station in (("here", here), ("elsewhere", elsewhere)):
        factories.a_coupon_template(name=name).stations.add(station)
    factories.a_coupon_template(name="hidden", is_public=False)
    path = f"stations/{here.station_no}/coupons"
    assert sorted(one["name"] for one in anybody.get(path).json()["items"]) == ["everywhere", "here"]
    customer = factories.a_customer("0")
    app = app_of(customer)
    app.post("coupons", {"template_id": str(everywhere.pk)}, **{"idempotency-key": "one"})
    claimed = {one["name"]: (one["claimed"], one["can_claim"]) for one in app.get(path).json()["items"]}
    assert claimed == {"everywhere": (1, False), "here": (0, True)}
    assert refusal(anybody.get("stations/NONE/coupons")) == (404, "not_found")


@pytest.mark.parametrize("count", [1, 3])
def test_a_stations_coupons_cost_the_same_queries(anybody, django_assert_num_queries, count: int) -> None:
    station = factories.a_station()
    for _ in range(count):
        factories.a_coupon_template().stations.add(station)
    anybody.get(f"stations/{station.station_no}/coupons")
    with django_assert_num_queries(6):  # three choose the tenant
        assert len(anybody.get(f"stations/{station.station_no}/coupons").json()["items"]) == count


def test_too_many_requests_are_sent_away(anybody, app_of, settings) -> None:
    settings.DRIVER_REQUESTS_PER_MINUTE, settings.ADDRESS_REQUESTS_PER_MINUTE = 2, 3
    app, other = app_of(factories.a_customer("0")), app_of(factories.a_customer("0"))
    assert [app.get("me").status_code for _ in range(2)] == [200, 200]
    refused = app.get("cities")
    assert refusal(refused) == (429, "throttled")
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert other.get("me").status_code == 200
    assert [anybody.get("cities").status_code for _ in range(4)] == [200, 200, 200, 429]
