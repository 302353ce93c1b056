"""A hundred drivers, one coupon; and one driver who taps a hundred times. Real connections and commits."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from django_tenants.utils import schema_context

from apps.common.errors import DomainError
from apps.coupons import services
from apps.coupons.models import Coupon, CouponTemplate
from apps.customers.models import Customer
from tests import factories

THREADS = 20


def at_once(calls):
    """Run the calls on connections of their own; return how often each outcome came."""
    schema = connection.schema_name

    def run(call):
        with schema_context(schema):
            try:
                call()
            except DomainError as error:
                return error.code
            else:
                return "ok"
            finally:
                connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        outcomes = list(pool.map(run, calls))
    return {outcome: outcomes.count(outcome) for outcome in set(outcomes)}


def claiming(customer_id, template_id, key):
    return lambda: services.claim(
        customer=Customer.objects.get(pk=customer_id), template_id=template_id, request_key=key
    )


@pytest.mark.parametrize("stock", [1, 7])
def test_a_hundred_claimers_get_the_stock_and_no_more(committed, stock):
    template = factories.a_coupon_template(stock=stock)
    claimers = [factories.a_customer("0").pk for _ in range(100)]
    outcomes = at_once([claiming(pk, template.pk, "k") for pk in claimers])
    assert outcomes == {"ok": stock, "coupons.gone": 100 - stock}
    assert Coupon.objects.filter(template=template).count() == stock
    assert CouponTemplate.objects.get(pk=template.pk).claimed == stock


def test_one_driver_gets_what_one_customer_may(committed):
    template = factories.a_coupon_template(per_customer=2)
    pk = factories.a_customer("0").pk
    outcomes = at_once([claiming(pk, template.pk, f"k{number}") for number in range(60)])
    assert outcomes == {"ok": 2, "coupons.claimed_before": 58}
    assert Coupon.objects.filter(customer_id=pk).count() == 2


def test_one_tap_that_arrives_often_takes_one(committed):
    template = factories.a_coupon_template(per_customer=10)
    pk = factories.a_customer("0").pk
    assert at_once([claiming(pk, template.pk, "tap")] * 40) == {"ok": 40}
    assert Coupon.objects.filter(customer_id=pk).count() == 1
    assert CouponTemplate.objects.get(pk=template.pk).claimed == 1
