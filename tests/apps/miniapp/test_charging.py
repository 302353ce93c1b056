from __future__ import annotations

from decimal import Decimal

import pytest

from apps.orders import settling
from apps.orders.models import Order
from apps.piles.enums import ConnectorState
from apps.piles.models import ConnectorStatus, PileCommand
from apps.wallet.models import Hold
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")


def test_a_charge_from_start_to_stop(app_of) -> None:
    customer, connector = factories.a_customer("80.00"), factories.a_connector()
    app = app_of(customer)
    answer = app.start(connector.code, "30")
    assert answer.status_code == 201
    order = Order.objects.get()
    started = answer.json()
    assert started == {
        "order_no": order.order_no,
        "state": "starting",
        "state_label": "starting",
        "connector_code": connector.code,
        "further_connectors": [],
        "station_name": order.station.name,
        "waiting_for_plug": False,
        "stop_requested": False,
        "fail_reason": "",
        "energy_kwh": "0.0000",
        "amount": "0.00",
        "settled": False,
        "soc_percent": 0,
        "power_kw": "0.0",
        "voltage_v": "0.0",
        "current_a": "0.0",
        "minutes": 0,
        "remaining_minutes": 0,
        "hold_amount": "30.00",
        "preset_amount": "30.00",
        "preset_energy_kwh": None,
        "preset_minutes": None,
        "preset_soc_percent": None,
        "plate": "",
        "started_at": None,
        "reported_at": None,
        "sequence": started["sequence"],
    }
    factories.accept_start(order)
    factories.see_charging(order)
    ConnectorStatus.objects.filter(connector=connector).update(
        energy_kwh=Decimal("1.2345"),
        amount_yuan=Decimal("1.4814"),
        voltage_v=Decimal("400.5"),
        current_a=Decimal("150.0"),
        soc_percent=42,
        charge_minutes=3,
        remaining_minutes=40,
    )
    live = app.get(f"charges/{order.order_no}").json()
    wanted = {
        "state": "charging",
        "energy_kwh": "1.2345",
        "amount": "1.48",
        "power_kw": "60.1",
        "voltage_v": "400.5",
        "current_a": "150.0",
        "soc_percent": 42,
        "minutes": 3,
        "remaining_minutes": 40,
    }
    assert {key: live[key] for key in wanted} == wanted
    assert live["started_at"].endswith("+08:00")
    assert live["sequence"] > started["sequence"]
    for _ in range(2):
        stopping = app.post(f"charges/{order.order_no}/stop")
        assert (stopping.status_code, stopping.json()["state"]) == (200, "stopping")
        assert stopping.json()["stop_requested"] is True
    assert [row.kind for row in PileCommand.objects.order_by("id")] == ["start", "stop"]
    record = factories.a_record(order, {"flat": "10.0000"})
    settling.settle_record(record_id=record.pk)
    done = app.get(f"charges/{order.order_no}").json()
    assert [done[key] for key in ("state", "settled", "energy_kwh", "amount")] == [
        "completed",
        True,
        "10.0000",
        "12.00",
    ]


def test_the_same_key_starts_once(app_of) -> None:
    customer, connector = factories.a_customer("80.00"), factories.a_connector()
    app = app_of(customer)
    first, again = (app.start(connector.code, "30.00", "one") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["order_no"] == again.json()["order_no"]
    assert (Order.objects.count(), Hold.objects.count()) == (1, 1)
    assert refusal(app.start(connector.code, "31.00", "one")) == (409, "idempotency.key_reused")


@pytest.mark.parametrize("key", ["", " ", "x" * 65, "键"])
def test_a_start_needs_a_key(app_of, key: str) -> None:
    app, connector = app_of(factories.a_customer()), factories.a_connector()
    headers = {"idempotency-key": key} if key else {}
    answer = app.post("charges", {"connector_code": connector.code}, **headers)
    assert refusal(answer) == (400, "idempotency.key_missing")
    assert answer.json()["message"].startswith("Send an Idempotency-Key header")
    assert Order.objects.count() == 0


def test_full_holds_what_there_is(app_of) -> None:
    app, connector = app_of(factories.a_customer("80.00")), factories.a_connector()
    assert app.start(connector.code.replace("320106", "3201 06")).json()["hold_amount"] == "80.00"


@pytest.mark.parametrize(
    "amount",
    [
        50,
        50.5,
        "0",
        "0.00",
        "-5",
        "1.001",
        "1e2",
        "NaN",
        "Infinity",
        "9" * 30,
        "",
        " 5",
        "５０",
        True,
        [],
        {},
        "1000000",
    ],
)
def test_amounts_that_are_none(app_of, amount: object) -> None:
    app, connector = app_of(factories.a_customer()), factories.a_connector()
    body = {"connector_code": connector.code, "preset_amount": amount}
    answer = app.post("charges", body, **{"idempotency-key": "k"})
    assert refusal(answer) == (400, "invalid")
    assert list(answer.json()["data"]["fields"]) == ["preset_amount"]
    assert Order.objects.count() == 0


def test_what_keeps_a_gun_from_starting(app_of) -> None:
    app = app_of(factories.a_customer("20.00"))
    offline = factories.a_connector(online=False)
    faulty, busy, fine = factories.a_connector(), factories.a_connector(), factories.a_connector()
    factories.put_online(faulty.pile, ConnectorState.FAULT)
    factories.a_started_order(connector=busy)
    assert refusal(app.start(offline.code)) == (409, "piles.offline")
    assert refusal(app.start(faulty.code)) == (409, "piles.fault")
    assert refusal(app.start(busy.code)) == (409, "piles.busy")
    assert refusal(app.start("9" * 16)) == (404, "piles.not_found")
    assert refusal(app.start("gun")) == (404, "piles.not_found")
    answer = app.start(fine.code, "20.01")
    assert refusal(answer) == (409, "wallet.insufficient")
    assert answer.json()["data"] == {"available": "20.00", "needed": "20.01"}
    assert refusal(app_of(factories.a_customer("0")).start(fine.code)) == (409, "wallet.insufficient")


def test_another_drivers_charge_is_not_there(app_of) -> None:
    order = factories.a_charging_order()
    app = app_of(factories.a_customer())
    assert refusal(app.get(f"charges/{order.order_no}")) == (404, "orders.not_found")
    assert refusal(app.post(f"charges/{order.order_no}/stop")) == (404, "orders.not_found")
    assert refusal(app.post(f"charges/{order.order_no}/ticket")) == (404, "orders.not_found")
    order.refresh_from_db()
    assert (order.state, order.stop_requested_at) == ("charging", None)


def test_a_ticket_names_its_socket(app_of) -> None:
    customer = factories.a_customer()
    order = factories.a_charging_order(customer=customer)
    answer = app_of(customer).post(f"charges/{order.order_no}/ticket")
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    assert answer.json() == {
        "ticket": ticket,
        "url": f"/ws/v1/charges/{order.order_no}/?ticket={ticket}",
        "expires_in_s": 30,
    }


def test_an_amount_too_large_names_the_largest(app_of) -> None:
    answer = app_of(factories.a_customer()).start(factories.a_connector().code, "1000000")
    assert answer.json()["data"]["fields"] == {
        "preset_amount": ["The amount must be from 0.01 to 999999.99."]
    }


def test_one_car_over_two_guns(app_of) -> None:
    first, second = factories.a_pile(guns=2, parallel=True).connectors.order_by("code")
    customer = factories.a_customer("80.00")
    app = app_of(customer)
    body = {
        "connector_code": first.code,
        "preset_amount": "30.00",
        "further_connectors": [f"{second.code[:8]} {second.code[8:]}"],
    }
    answer = app.post("charges", body, **{"idempotency-key": "two"})
    assert answer.status_code == 201
    order = Order.objects.get()
    wanted = (first.code, [second.code], "30.00")
    picture = answer.json()
    assert (picture["connector_code"], picture["further_connectors"], picture["hold_amount"]) == wanted
    sent = PileCommand.objects.order_by("id").values_list("kind", "connector_no", "payload")
    assert [(kind, number, payload["balance"]) for kind, number, payload in sent] == [
        ("start_parallel", "01", "15.00"),
        ("start_parallel", "02", "15.00"),
    ]
    again = app.post("charges", body, **{"idempotency-key": "two"})
    assert (again.status_code, again.json()["order_no"]) == (201, order.order_no)
    alone = app.post("charges", {**body, "further_connectors": []}, **{"idempotency-key": "two"})
    assert refusal(alone) == (409, "idempotency.key_reused")
    other = app_of(factories.a_customer("80.00"))
    assert refusal(other.start(second.code)) == (409, "piles.busy")


@pytest.mark.parametrize(
    ("further", "wanted"),
    [
        (["gun"], (404, "piles.not_found")),
        (["9" * 16], (409, "orders.guns_apart")),
        ("01", (400, "invalid")),
        ([None], (400, "invalid")),
        ([{}], (400, "invalid")),
        (None, (400, "invalid")),
        (["0" * 16] * 4, (400, "invalid")),
        (["9" * 41], (400, "invalid")),
    ],
)
def test_further_guns_that_are_none(app_of, further: object, wanted: tuple[int, str]) -> None:
    connector = factories.a_pile(guns=2, parallel=True).connectors.get(connector_no="01")
    body = {"connector_code": connector.code, "further_connectors": further}
    answer = app_of(factories.a_customer()).post("charges", body, **{"idempotency-key": "k"})
    assert refusal(answer) == wanted
    assert Order.objects.count() == 0


def test_a_charger_that_charges_one_car_over_one_gun_only(app_of) -> None:
    first, second = factories.a_pile(guns=2).connectors.order_by("code")
    body = {"connector_code": first.code, "further_connectors": [second.code]}
    answer = app_of(factories.a_customer()).post("charges", body, **{"idempotency-key": "k"})
    assert refusal(answer) == (409, "orders.one_gun_only")
    assert Order.objects.count() == 0
