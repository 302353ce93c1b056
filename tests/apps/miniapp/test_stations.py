from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from apps.common.time import SHANGHAI
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import ConnectorStatus, Pile
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites.enums import StationState
from apps.sites.models import Station
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
HERE = {"latitude": "31.2304", "longitude": "121.4737"}
FLAT_NOW = {
    "electricity": "0.80",
    "service": "0.40",
    "total": "1.20",
    "rate_class": "flat",
    "rate_class_label": "flat",
}


@pytest.fixture(autouse=True)
def morning():
    """10:00 on a day, in the flat class of the tests' tariff."""
    with time_machine.travel(datetime(2026, 11, 20, 10, tzinfo=SHANGHAI)) as clock:
        yield clock


def names(answer) -> list[str]:
    assert answer.status_code == 200
    return [item["station_no"] for item in answer.json()["items"]]


def test_stations_come_by_distance_with_price_and_guns(anybody) -> None:
    far = factories.a_station(latitude=Decimal("31.300000"), name="远站", address="远路 1 号")
    near = factories.a_station(latitude=Decimal("31.240000"))
    pile = factories.a_pile(station=near, guns=2)
    ConnectorStatus.objects.filter(connector__pile=pile, connector__connector_no="02").update(
        state=ConnectorState.CHARGING
    )
    answer = anybody.get("stations", **HERE)
    assert names(answer) == [near.station_no, far.station_no]
    first, second = answer.json()["items"]
    assert first == {
        "station_no": near.station_no,
        "name": near.name,
        "state": "open",
        "state_label": "open",
        "address": "",
        "latitude": 31.24,
        "longitude": 121.4737,
        "opening_hours": "00:00-24:00",
        "is_open_now": True,
        "parking_note": "",
        "parking_kind": 255,
        "parking_label": "see the notice at the site",
        "tags": [],
        "price_now": FLAT_NOW,
        "guns": {"dc": {"idle": 1, "total": 2}, "ac": {"idle": 0, "total": 0}},
        "distance_m": 1067,
    }
    assert (second["price_now"], second["distance_m"]) == (None, 7739)
    assert names(anybody.get("stations", **HERE, radius=5000)) == [near.station_no]
    assert names(anybody.get("stations", **HERE, search="远路")) == [far.station_no]


def test_stations_that_are_not_shown(anybody) -> None:
    hidden = factories.a_station(is_published=False)
    assert names(anybody.get("stations", **HERE)) == []
    assert refusal(anybody.get(f"stations/{hidden.station_no}")) == (404, "not_found")
    assert refusal(anybody.get("stations/NONE")) == (404, "not_found")


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(anybody, django_assert_num_queries, count: int) -> None:
    for _ in range(count):
        factories.a_pile(station=factories.a_station(), guns=2)
    anybody.get("stations", **HERE)
    with django_assert_num_queries(6):  # three choose the tenant
        assert len(names(anybody.get("stations", **HERE))) == count


def test_a_stations_day_and_guns(anybody) -> None:
    station = factories.a_station(service_phone="025-1", notice="小心")
    pile = factories.a_pile(station=station, guns=2)
    own = factories.a_pile(station=station)
    special = Tariff(
        {item: ClassPrice(Decimal("0.12345"), Decimal("0.1")) for item in factories.TARIFF.prices},
        (RateClass.FLAT,) * 48,
    )
    factories.a_price(special, pile=own)
    ConnectorStatus.objects.filter(connector__pile=pile, connector__connector_no="02").update(
        state=ConnectorState.CHARGING, soc_percent=61, remaining_minutes=25
    )
    body = anybody.get(f"stations/{station.station_no}").json()
    assert (body["service_phone"], body["notice"], body["price_now"]) == ("025-1", "小心", FLAT_NOW)
    assert "distance_m" not in body
    assert [(p["start"], p["end"], p["rate_class"], p["total"], p["is_now"]) for p in body["periods"]] == [
        ("00:00", "08:00", "valley", "0.61", False),
        ("08:00", "12:00", "flat", "1.20", True),
        ("12:00", "18:00", "peak", "1.80", False),
        ("18:00", "21:00", "sharp", "2.30", False),
        ("21:00", "24:00", "flat", "1.20", False),
    ]
    assert body["periods"][0]["electricity"] == body["periods"][0]["service"] == "0.305"
    idle, charging, priced_apart = body["connectors"]
    assert idle == {
        "code": f"{pile.pile_code}01",
        "connector_no": "01",
        "pile_name": pile.pile_code,
        "kind": "dc",
        "kind_label": "DC",
        "power_kw": "120.0",
        "state": "idle",
        "state_label": "idle",
        "can_start": True,
        "parallel_connectors": [],
        "soc_percent": None,
        "remaining_minutes": None,
        "price_now": FLAT_NOW,
    }
    assert [charging[key] for key in ("state", "can_start", "soc_percent", "remaining_minutes")] == [
        "charging",
        False,
        61,
        25,
    ]
    assert priced_apart["price_now"]["electricity"] == "0.12345"
    assert priced_apart["price_now"]["total"] == "0.22345"


@pytest.mark.parametrize("guns", [1, 3])
def test_a_station_costs_the_same_queries_with_more_guns(
    anybody, django_assert_num_queries, guns: int
) -> None:
    station = factories.a_station()
    factories.a_pile(station=station, guns=guns)
    anybody.get(f"stations/{station.station_no}")
    with django_assert_num_queries(12):  # three choose the tenant
        assert len(anybody.get(f"stations/{station.station_no}").json()["connectors"]) == guns


def test_a_gun_names_those_that_may_charge_the_same_car(anybody, django_assert_num_queries) -> None:
    station = factories.a_station()
    able = factories.a_pile(station=station, guns=3, parallel=True)
    factories.a_pile(station=station, guns=2)
    codes = [gun.code for gun in able.connectors.order_by("code")]
    assert anybody.get(f"connectors/{codes[1]}").json()["parallel_connectors"] == [codes[0], codes[2]]
    with django_assert_num_queries(13):  # one more than where no pile does it
        connectors = anybody.get(f"stations/{station.station_no}").json()["connectors"]
    assert [len(gun["parallel_connectors"]) for gun in connectors] == [2, 2, 2, 0, 0]


@pytest.mark.parametrize("spelling", ["{0}", "{1} {2}", "{1}-{2}"])
def test_a_gun_by_its_code(anybody, spelling: str) -> None:
    pile = factories.a_pile()
    code = f"{pile.pile_code}01"
    answer = anybody.get("connectors/" + spelling.format(code, code[:8], code[8:]))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["code"], body["state"], body["can_start"], body["price_now"]) == (
        code,
        "idle",
        True,
        FLAT_NOW,
    )
    assert body["station"]["station_no"] == pile.station.station_no
    assert len(body["periods"]) == 5


@pytest.mark.parametrize(
    "code", ["1", "9" * 16, "9" * 17, "x" * 16, "３２０１０６００００００１００１", "%00", "a%2Fb"]
)
def test_no_gun_has_this_code(anybody, code: str) -> None:
    assert refusal(anybody.get(f"connectors/{code}"))[0] == 404


def test_guns_that_cannot_start(anybody) -> None:
    def can_start(pile: Pile) -> bool:
        return anybody.get(f"connectors/{pile.pile_code}01").json()["can_start"]

    assert can_start(factories.a_pile()) is True
    assert can_start(factories.a_pile(online=False)) is False
    assert can_start(factories.a_pile(priced=False)) is False
    disabled, closed = factories.a_pile(), factories.a_pile()
    Pile.objects.filter(pk=disabled.pk).update(state=PileState.DISABLED)
    Station.objects.filter(pk=closed.station_id).update(state=StationState.MAINTENANCE)
    assert (can_start(disabled), can_start(closed)) == (False, False)
    Pile.objects.filter(pk=disabled.pk).update(state=PileState.RETIRED)
    assert refusal(anybody.get(f"connectors/{disabled.pile_code}01")) == (404, "piles.not_found")


def test_a_new_price_shows_from_its_time_on(anybody, morning) -> None:
    from apps.common.ids import SYSTEM
    from apps.common.time import now
    from apps.pricing.services import assign

    pile = factories.a_pile()
    cheap = Tariff(
        {item: ClassPrice(Decimal("0.5"), Decimal("0.05")) for item in factories.TARIFF.prices},
        (RateClass.FLAT,) * 48,
    )
    version = factories.a_price(cheap)
    assign(version=version, station=pile.station, starts_at=now() + timedelta(minutes=30), actor=SYSTEM)
    path = f"stations/{pile.station.station_no}"
    assert anybody.get(path).json()["price_now"]["total"] == "1.20"
    morning.shift(timedelta(minutes=31))
    assert anybody.get(path).json()["price_now"]["total"] == "0.55"


def test_what_a_station_page_says_of_the_place(anybody) -> None:
    station = factories.a_station(
        tags=["超充", "24小时"],
        has_toilet=True,
        is_manned=True,
        parking_kind=2,
        parking_fee="5 yuan an hour",
        parking_info="B2",
        parking_spaces=20,
        reduces_by_plate=True,
        has_barrier=True,
        site_guide="left of the ramp",
        suits="up to 2.1 m",
        station_phone="025-2",
    )
    body = anybody.get(f"stations/{station.station_no}").json()
    wanted = {
        "tags": ["超充", "24小时"],
        "facilities": [
            {"code": "toilet", "label": "toilet"},
            {"code": "manned", "label": "people on duty"},
        ],
        "parking_kind": 2,
        "parking_label": "free for a time",
        "parking": {
            "fee": "5 yuan an hour",
            "info": "B2",
            "spaces": 20,
            "relief": ["plate"],
            "has_barrier": True,
        },
        "site_guide": "left of the ramp",
        "suits": "up to 2.1 m",
        "station_phone": "025-2",
    }
    assert {key: body[key] for key in wanted} == wanted


def test_the_price_that_comes_next(anybody) -> None:
    from apps.common.ids import SYSTEM
    from apps.pricing.services import assign

    ten = datetime(2026, 11, 20, 10, tzinfo=SHANGHAI)

    pile = factories.a_pile()
    path = f"stations/{pile.station.station_no}"
    body = anybody.get(path).json()
    assert (body["next_price"]["total"], body["next_price"]["starts_at"]) == (
        "1.80",
        "2026-11-20T12:00:00+08:00",
    )
    assert body["prices_change_at"] is None
    cheap = Tariff(
        {item: ClassPrice(Decimal("0.5"), Decimal("0.05")) for item in factories.TARIFF.prices},
        (RateClass.FLAT,) * 48,
    )
    version = factories.a_price(cheap)
    assign(version=version, station=pile.station, starts_at=ten + timedelta(days=8), actor=SYSTEM)
    assert anybody.get(path).json()["prices_change_at"] is None
    assign(version=version, station=pile.station, starts_at=ten + timedelta(hours=1), actor=SYSTEM)
    body = anybody.get(path).json()
    assert (body["next_price"]["total"], body["next_price"]["starts_at"], body["prices_change_at"]) == (
        "0.55",
        "2026-11-20T11:00:00+08:00",
        "2026-11-20T11:00:00+08:00",
    )
    assert body["price_now"]["total"] == "1.20"


def test_a_price_that_stays_all_day_has_none_after_it(anybody) -> None:
    station = factories.a_station()
    flat = Tariff(
        {item: ClassPrice(Decimal(1), Decimal(0)) for item in factories.TARIFF.prices}, (RateClass.FLAT,) * 48
    )
    factories.a_price(flat, station=station)
    assert anybody.get(f"stations/{station.station_no}").json()["next_price"] is None
    without = factories.a_station()
    assert anybody.get(f"stations/{without.station_no}").json()["next_price"] is None
