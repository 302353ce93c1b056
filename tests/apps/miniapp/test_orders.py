from __future__ import annotations

from decimal import Decimal

import pytest

from apps.orders import settling
from apps.orders.models import Order
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")


def a_settled_order(**fields: object) -> Order:
    order = factories.a_charging_order(**fields)
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000", "valley": "3.3333"}).pk)
    order.refresh_from_db()
    return order


def numbers(answer) -> list[str]:
    assert answer.status_code == 200
    return [item["order_no"] for item in answer.json()["items"]]


def test_a_bill_with_lines_and_explanation(app_of) -> None:
    customer = factories.a_customer("100.00")
    order = a_settled_order(customer=customer, preset="50.00")
    body = app_of(customer).get(f"orders/{order.order_no}").json()
    assert {key: body[key] for key in body if not key.endswith("_at")} == {
        "order_no": order.order_no,
        "state": "completed",
        "state_label": "completed",
        "station_no": order.station.station_no,
        "station_name": order.station.name,
        "connector_code": order.connector.code,
        "energy_kwh": "13.3333",
        "payable": "14.04",
        "payer": "wallet",
        "payer_label": "own wallet",
        "debt": "0.00",
        "owed": "0.00",
        "preset_amount": "50.00",
        "preset_energy_kwh": None,
        "preset_minutes": None,
        "preset_soc_percent": None,
        "plate": "",
        "hold_amount": "50.00",
        "stop_reason": "",
        "stop_reason_label": "none",
        "fail_reason": "",
        "electricity_fee": "9.02",
        "service_fee": "5.02",
        "enterprise_discount": "0.00",
        "coupon_id": None,
        "coupon_discount": "0.00",
        "electricity_payable": "9.02",
        "service_payable": "5.02",
        "paid_principal": "14.04",
        "paid_bonus": "0.00",
        "paid_enterprise": "0.00",
        "lines": [
            {
                "rate_class": "flat",
                "rate_class_label": "flat",
                "energy_kwh": "10.0000",
                "electricity_price": "0.80",
                "service_price": "0.40",
                "electricity_fee": "8.00",
                "service_fee": "4.00",
                "total": "12.00",
            },
            {
                "rate_class": "valley",
                "rate_class_label": "valley",
                "energy_kwh": "3.3333",
                "electricity_price": "0.305",
                "service_price": "0.305",
                "electricity_fee": "1.02",
                "service_fee": "1.02",
                "total": "2.04",
            },
        ],
        "explanation": [
            "flat: 10.0000 kWh × 0.80 = 8.00 yuan for electricity, × 0.40 = 4.00 yuan for service",
            "valley: 3.3333 kWh × 0.305 = 1.02 yuan for electricity, × 0.305 = 1.02 yuan for service",
            "Together: electricity 9.02 + service 5.02 = 14.04 yuan",
            "Paid: 14.04 yuan from the balance, 0.00 yuan from the bonus",
        ],
    }
    for moment in ("created_at", "started_at", "ended_at", "settled_at"):
        assert body[moment].endswith("+08:00")


def test_what_could_not_be_paid_is_said(app_of) -> None:
    customer = factories.a_customer("10.00")
    order = a_settled_order(customer=customer)
    body = app_of(customer).get(f"orders/{order.order_no}").json()
    assert (body["payable"], body["paid_principal"], body["debt"]) == ("14.04", "10.00", "4.04")
    assert body["explanation"][-1] == "Still to be paid: 4.04 yuan"


def test_a_running_order_has_no_bill_yet(app_of) -> None:
    customer = factories.a_customer()
    order = factories.a_charging_order(customer=customer)
    body = app_of(customer).get(f"orders/{order.order_no}").json()
    assert (body["state"], body["settled_at"], body["lines"], body["explanation"]) == (
        "charging",
        None,
        [],
        [],
    )


def test_lists_go_from_new_to_old_in_pages(app_of) -> None:
    customer = factories.a_customer("100.00")
    made = [a_settled_order(customer=customer, preset="20.00").order_no for _ in range(3)]
    made.append(factories.a_charging_order(customer=customer, preset="20.00").order_no)
    made.reverse()
    a_settled_order()
    app = app_of(customer)
    first = app.get("orders", limit=3)
    assert numbers(first) == made[:3]
    second = app.get("orders", limit=3, cursor=first.json()["next_cursor"])
    assert (numbers(second), second.json()["next_cursor"]) == (made[3:], None)
    assert numbers(app.get("orders", state="charging")) == made[:1]
    assert numbers(app.get("orders", state="completed")) == made[1:]
    assert numbers(app.get("orders", limit=4)) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"cursor": "x"},
        {"cursor": "-1"},
        {"cursor": "9" * 19},
        {"cursor": "9" * 99},
        {"state": "\x00"},
        {"limit": "0"},
    ],
)
def test_pages_that_are_none(app_of, wrong: dict[str, str]) -> None:
    assert refusal(app_of(factories.a_customer("0")).get("orders", **wrong)) == (400, "invalid")


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(app_of, django_assert_num_queries, count: int) -> None:
    customer = factories.a_customer("100.00")
    for _ in range(count):
        a_settled_order(customer=customer, preset="20.00")
    app = app_of(customer)
    app.get("orders")
    with django_assert_num_queries(5):  # three choose the tenant
        assert len(numbers(app.get("orders"))) == count


def test_groups_counts_and_months(app_of) -> None:
    customer = factories.a_customer("10.00")
    owing = a_settled_order(customer=customer)
    assert owing.debt == Decimal("4.04")
    app = app_of(customer)
    first = app.get("orders", group="to_pay").json()["items"]
    assert [(one["order_no"], one["debt"], one["owed"]) for one in first] == [
        (owing.order_no, "4.04", "4.04")
    ]
    assert app.get("order-counts").json() == {"charging": 0, "to_pay": 1, "done": 0}
    factories.top_up(customer, "50.00")
    running = factories.a_charging_order(customer=customer, preset="20.00")
    paid = app.get("orders", group="done").json()["items"]
    assert [(one["order_no"], one["debt"], one["owed"]) for one in paid] == [(owing.order_no, "4.04", "0.00")]
    assert app.get(f"orders/{owing.order_no}").json()["owed"] == "0.00"
    assert numbers(app.get("orders", group="charging")) == [running.order_no]
    assert numbers(app.get("orders", group="to_pay")) == []
    assert app.get("order-counts").json() == {"charging": 1, "to_pay": 0, "done": 1}
    a_settled_order()  # another driver's
    assert app.get("order-counts").json() == {"charging": 1, "to_pay": 0, "done": 1}
    # The last moment of October in Shanghai is October's, the next one November's.
    for order, moment in ((owing, "2026-10-31T23:59:59+08:00"), (running, "2026-11-01T00:00:00+08:00")):
        Order.objects.filter(pk=order.pk).update(created_at=moment)
    assert numbers(app.get("orders", month="2026-10")) == [owing.order_no]
    assert numbers(app.get("orders", month="2026-11")) == [running.order_no]
    assert numbers(app.get("orders", month="2026-12")) == []
    for wrong in ("2026-13", "1999-01", "2026-1", "x"):
        assert refusal(app.get("orders", month=wrong)) == (400, "invalid")
    with_group = app.get("orders", group="charging", month="2026-10")
    assert numbers(with_group) == []


@pytest.mark.parametrize("count", [1, 3])
def test_groups_cost_the_same_queries(app_of, django_assert_num_queries, count: int) -> None:
    customer = factories.a_customer("100.00")
    for _ in range(count):
        a_settled_order(customer=customer, preset="20.00")
    app = app_of(customer)
    app.get("orders")
    with django_assert_num_queries(5):  # three choose the tenant
        assert len(numbers(app.get("orders", group="done"))) == count
    with django_assert_num_queries(5):
        assert app.get("order-counts").json()["done"] == count


def test_another_drivers_order_is_not_there(app_of) -> None:
    order = a_settled_order()
    app = app_of(factories.a_customer())
    assert refusal(app.get(f"orders/{order.order_no}")) == (404, "orders.not_found")
    assert numbers(app.get("orders")) == []


def test_a_discounted_bill_explains_each_step(app_of) -> None:
    customer = factories.a_customer("100.00")
    factories.an_enterprise(customer, name="顺风物流")
    coupon = factories.a_coupon(customer, name="立减", save_amount=2, spend=1)
    order = a_settled_order(customer=customer)
    body = app_of(customer).get(f"orders/{order.order_no}").json()
    assert (body["enterprise_discount"], body["coupon_id"], body["coupon_discount"]) == (
        "1.00",
        str(coupon.pk),
        "2.00",
    )
    assert (body["electricity_payable"], body["service_payable"], body["payable"]) == (
        "9.02",
        "2.02",
        "11.04",
    )
    steps = [
        "electricity 9.02 → 9.02, service 5.02 → 4.02",
        "electricity 9.02 → 9.02, service 4.02 → 2.02",
    ]
    assert body["explanation"][2:] == [
        "Together: electricity 9.02 + service 5.02 = 14.04 yuan",
        f"Enterprise discount of 顺风物流 (20% off the service fee): 1.00 yuan less, {steps[0]}",
        f"Coupon 立减 (2.00 yuan off where the service fee reaches 1.00 yuan): 2.00 yuan less, {steps[1]}",
        "To be paid: electricity 9.02 + service 2.02 = 11.04 yuan",
        "Paid: 11.04 yuan from the balance, 0.00 yuan from the bonus",
    ]
    chinese = app_of(customer, **{"accept-language": "zh-hans"}).get(f"orders/{order.order_no}").json()
    assert "优惠券「立减」（服务费满 1.00 元减 2.00 元）：减 2.00 元" in chinese["explanation"][4]
