"""Many changed rows in one statement: each value as `save` would write it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.bulk import update_rows
from apps.common.time import now
from apps.orders.models import Order
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
FIELDS = ["ended_at", "energy_kwh", "payable", "findings", "stop_code", "coupon", "waiting_for_plug", "state"]


def test_each_row_gets_its_own_values_to_the_last_digit():
    orders = [factories.a_charging_order() for _ in range(3)]
    coupon = factories.a_coupon(orders[2].customer)
    before = now()
    for place, order in enumerate(orders):
        order.ended_at = before + timedelta(microseconds=place) if place else None
        order.energy_kwh = Decimal("0.0001") + place
        order.payable = Decimal("999999999999.99") - place
        order.findings = [{"code": "引号 \" ' %s", "data": {"n": str(place)}}]
        order.stop_code = f"{place}"
        order.coupon = coupon if place == 2 else None
        order.state = "stopping"
    update_rows(orders[1:], FIELDS)
    for order in orders[1:]:
        kept = Order.objects.get(pk=order.pk)
        assert [getattr(kept, name) for name in FIELDS] == [getattr(order, name) for name in FIELDS]
        assert kept.updated_at == order.updated_at >= before
    assert Order.objects.get(pk=orders[0].pk).state == "charging"
    update_rows(orders[:1], FIELDS)
    assert Order.objects.get(pk=orders[0].pk).ended_at is None


def test_a_row_that_is_gone_is_an_error():
    order = factories.a_charging_order()
    order.pk += 1_000_000
    with pytest.raises(LookupError, match="1 of 1 rows of orders_order"):
        update_rows([order], ["state"])


def test_nothing_to_write_is_no_query(django_assert_num_queries):
    with django_assert_num_queries(0):
        update_rows([], ["state"])
