from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import now
from apps.coupons import services
from apps.coupons.models import Coupon
from apps.orders.models import Order
from apps.pricing.tariff import RateClass
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")


def claim(app, template_id, key="k"):
    return app.post("coupons", {"template_id": str(template_id)}, **{"idempotency-key": key})


def test_offers_claim_and_my_coupons(app_of) -> None:
    customer, station = factories.a_customer("0"), factories.a_station(name="滨江站")
    offer = factories.a_coupon_template(
        name="周末券",
        kind="percent",
        save_amount=Decimal(0),
        percent_off=Decimal(15),
        cap=Decimal("8.00"),
        spend=Decimal("10.00"),
        applies_to="all",
        weekdays="67",
        from_time="18:00",
        until_time="23:00",
        days_valid=30,
        stock=2,
    )
    offer.stations.add(station)
    app = app_of(customer)
    (shown,) = app.get("coupons/offers").json()["items"]
    assert shown == {
        "name": "周末券",
        "kind": "percent",
        "applies_to": "all",
        "spend": "10.00",
        "save": "0.00",
        "percent_off": "15.0000",
        "cap": "8.00",
        "saving": "15% off where the electricity and service fee reaches 10.00 yuan, at most 8.00 yuan",
        "times": "Saturday/Sunday 18:00–23:00",
        "stations": ["滨江站"],
        "id": str(offer.pk),
        "first_day": None,
        "last_day": None,
        "days_valid": 30,
        "left": 2,
        "claimed": 0,
        "per_customer": 1,
        "can_claim": True,
    }
    first = claim(app, offer.pk)
    assert first.status_code == 201
    assert claim(app, offer.pk).json() == first.json()
    assert refusal(claim(app, offer.pk, "other")) == (409, "coupons.claimed_before")
    (mine,) = app.get("coupons").json()["items"]
    assert mine == first.json()
    assert (mine["state"], mine["stations"], mine["order_no"], mine["saved"]) == (
        "available",
        ["滨江站"],
        "",
        "0.00",
    )
    (shown,) = app.get("coupons/offers").json()["items"]
    assert (shown["left"], shown["claimed"], shown["can_claim"]) == (1, 1, False)
    assert app_of(factories.a_customer("0")).get("coupons").json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "", "9" * 30, None, 7, ["1"]])
def test_a_number_that_is_none_is_refused(app_of, number) -> None:
    app = app_of(factories.a_customer("0"))
    answer = app.post("coupons", {"template_id": number}, **{"idempotency-key": "k"})
    assert refusal(answer) in {(400, "invalid"), (404, "coupons.not_found")}
    assert Coupon.objects.count() == 0


def test_pages_of_coupons_by_state(app_of) -> None:
    customer = factories.a_customer("0")
    rows = [factories.a_coupon(customer) for _ in range(3)]
    services.void(coupon_id=rows[1].pk, actor=services.Actor("staff"), reason="x")
    app = app_of(customer)
    first = app.get("coupons", limit=2).json()
    rest = app.get("coupons", limit=2, cursor=first["next_cursor"]).json()
    assert [row["id"] for row in first["items"] + rest["items"]] == [str(row.pk) for row in reversed(rows)]
    assert rest["next_cursor"] is None
    assert [row["id"] for row in app.get("coupons", state="void").json()["items"]] == [str(rows[1].pk)]
    assert refusal(app.get("coupons", state="gone")) == (400, "invalid")


def test_what_a_gun_can_use(app_of) -> None:
    customer, connector = factories.a_customer("0"), factories.a_connector()
    good = factories.a_coupon(customer)
    factories.a_coupon(customer, at=now() - timedelta(days=9), days_valid=2)
    elsewhere = factories.a_coupon_template()
    elsewhere.stations.add(factories.a_station())
    services.claim(customer=customer, template_id=elsewhere.pk, request_key="e")
    answer = app_of(customer).get(f"connectors/{connector.code}/coupons").json()
    assert [row["id"] for row in answer["items"]] == [str(good.pk)]
    assert refusal(app_of(customer).get("connectors/9999999999999901/coupons"))[0] == 404


def test_a_start_reserves_the_chosen_coupon(app_of) -> None:
    customer, connector = factories.a_customer(), factories.a_connector()
    coupon = factories.a_coupon(customer)
    app = app_of(customer)
    start = {"connector_code": connector.code, "coupon": str(coupon.pk), "preset_amount": "10.00"}
    answer = app.post("charges", start, **{"idempotency-key": "k"})
    assert answer.status_code == 201
    assert Order.objects.get().coupon == coupon
    again = {"connector_code": factories.a_connector().code, "coupon": str(coupon.pk)}
    assert refusal(app.post("charges", again, **{"idempotency-key": "j"})) == (409, "coupons.not_usable")


@pytest.mark.parametrize("coupon", ["", "bestest", "0", "-5", "1e3", 1.5, [], "9" * 19, "99999999"])
def test_a_start_with_no_such_coupon(app_of, coupon) -> None:
    app, connector = app_of(factories.a_customer()), factories.a_connector()
    start = {"connector_code": connector.code, "coupon": coupon}
    answer = refusal(app.post("charges", start, **{"idempotency-key": "k"}))
    assert answer in {(400, "invalid"), (404, "coupons.not_found")}
    assert Order.objects.count() == 0


def test_stations_and_guns_show_what_drivers_pay(anybody) -> None:
    station = factories.a_station()
    pile = factories.a_pile(station=station)
    prices = {rate_class.value: ("0.90000", "0.11110") for rate_class in RateClass}
    factories.a_retail_price(station, prices)
    here = {"latitude": station.latitude, "longitude": station.longitude}
    nearest = anybody.get("stations", **here).json()["items"][0]
    detail = anybody.get(f"stations/{station.station_no}").json()
    gun = anybody.get(f"connectors/{pile.pile_code}01").json()
    for shown in (
        nearest["price_now"],
        detail["price_now"],
        detail["connectors"][0]["price_now"],
        gun["price_now"],
    ):
        assert (shown["electricity"], shown["service"], shown["total"]) == ("0.90", "0.1111", "1.0111")
    assert {period["total"] for period in detail["periods"] + gun["periods"]} == {"1.0111"}


@pytest.mark.parametrize("count", [1, 6])
def test_the_number_of_queries_does_not_grow(app_of, django_assert_num_queries, count: int) -> None:
    customer = factories.a_customer("0")
    for _ in range(count):
        template = factories.a_coupon_template()
        template.stations.add(factories.a_station())
        services.claim(customer=customer, template_id=template.pk, request_key=f"{template.pk}")
    app = app_of(customer)
    app.get("coupons")
    with django_assert_num_queries(6):  # three choose the tenant
        app.get("coupons")
    with django_assert_num_queries(7):
        app.get("coupons/offers")
