"""Claiming, giving, reserving and ending coupons."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, now
from apps.coupons import services
from apps.coupons.enums import CouponState
from apps.coupons.models import Coupon, CouponTemplate
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
STAFF = Actor("staff", "1", "王主管")


def claim(customer, template, key="k", at=None):
    return services.claim(customer=customer, template_id=template.pk, request_key=key, at=at)


def refused(customer, template, key="other", at=None):
    with pytest.raises(DomainError) as caught:
        claim(customer, template, key, at)
    assert str(caught.value)
    return caught.value.code


def test_a_claim_copies_the_rule_and_counts():
    customer = factories.a_customer("0")
    template = factories.a_coupon_template(spend=Decimal(20), days_valid=7)
    coupon = claim(customer, template, at=datetime(2026, 11, 10, 23, 59, tzinfo=SHANGHAI))
    assert (coupon.state, str(coupon.first_day), str(coupon.last_day)) == (
        "available",
        "2026-11-10",
        "2026-11-16",
    )
    CouponTemplate.objects.update(save_amount=Decimal("1.00"), spend=Decimal(100), days_valid=1)
    coupon.refresh_from_db()
    assert (coupon.terms.save, coupon.terms.spend, str(coupon.last_day)) == ("5.00", "20.00", "2026-11-16")
    template.refresh_from_db()
    assert template.claimed == 1


def test_a_repeated_request_takes_one():
    customer, template = factories.a_customer("0"), factories.a_coupon_template(per_customer=5)
    assert claim(customer, template, "k") == claim(customer, template, "k")
    assert Coupon.objects.count() == 1
    other = factories.a_coupon_template()
    assert refused(customer, other, "k") == "coupons.claimed_before"


def test_limits_of_customer_stock_and_time():
    customer = factories.a_customer("0")
    template = factories.a_coupon_template(per_customer=2, stock=3)
    claim(customer, template, "1")
    claim(customer, template, "2")
    assert refused(customer, template) == "coupons.claimed_before"
    claim(factories.a_customer("0"), template)
    assert refused(factories.a_customer("0"), template) == "coupons.gone"
    noon = datetime(2026, 11, 10, 12, 0, tzinfo=SHANGHAI)
    timed = factories.a_coupon_template(claim_from=noon, claim_until=noon + timedelta(hours=1))
    assert refused(customer, timed, at=noon - timedelta(seconds=1)) == "coupons.claim_closed"
    assert refused(customer, timed, at=noon + timedelta(hours=1)) == "coupons.claim_closed"
    assert claim(customer, timed, "timed", at=noon).pk
    assert refused(customer, factories.a_coupon_template(is_active=False)) == "coupons.claim_closed"
    assert refused(customer, factories.a_coupon_template(is_public=False)) == "coupons.not_found"
    over = factories.a_coupon_template(last_day=noon.date())
    assert refused(customer, over, at=noon + timedelta(days=1)) == "coupons.claim_closed"


def test_the_database_keeps_the_stock():
    template = factories.a_coupon_template(stock=1)
    with pytest.raises(IntegrityError), transaction.atomic():
        CouponTemplate.objects.filter(pk=template.pk).update(claimed=2)


def test_what_may_be_claimed_is_listed():
    noon = datetime(2026, 11, 10, 12, 0, tzinfo=SHANGHAI)
    late = factories.a_coupon_template()
    soon = factories.a_coupon_template(last_day=noon.date())
    factories.a_coupon_template(claim_from=noon + timedelta(seconds=1))
    factories.a_coupon_template(claim_until=noon)
    factories.a_coupon_template(stock=0)
    factories.a_coupon_template(is_active=False)
    factories.a_coupon_template(is_public=False)
    factories.a_coupon_template(last_day=noon.date() - timedelta(days=1))
    assert list(services.claimable(at=noon)) == [soon, late]


def test_staff_give_once_per_batch_and_within_the_limits():
    many = [factories.a_customer("0") for _ in range(4)]
    template = factories.a_coupon_template(is_public=False, stock=3, claim_until=now() - timedelta(days=1))
    claimed_all = services.give(template_id=template.pk, customers=many[:2], actor=STAFF, batch="b1")
    assert (claimed_all.given, claimed_all.had_enough, claimed_all.stock_short) == (2, 0, 0)
    again = services.give(template_id=template.pk, customers=many[:2], actor=STAFF, batch="b1")
    assert again.given == 0
    rest = services.give(template_id=template.pk, customers=many, actor=STAFF, batch="b2")
    assert (rest.given, rest.had_enough, rest.stock_short) == (1, 2, 1)
    assert set(Coupon.objects.values_list("given_by", flat=True)) == {"王主管"}


def test_reserving_using_and_releasing():
    customer, station = factories.a_customer("0"), factories.a_station()
    coupon = factories.a_coupon(customer)
    at = now()

    def reserve(order_no, who=customer, place=station.pk):
        return services.reserve(customer=who, coupon_id=coupon.pk, order_no=order_no, station_id=place, at=at)

    with pytest.raises(DomainError) as caught:
        reserve("C1", who=factories.a_customer("0"))
    assert caught.value.code == "coupons.not_found"
    assert reserve("C1").state == CouponState.RESERVED
    assert reserve("C1").order_no == "C1"
    with pytest.raises(DomainError) as caught:
        reserve("C2")
    assert (caught.value.code, caught.value.data["reason"]) == ("coupons.not_usable", "taken")
    services.release(order_no="C1")
    coupon.refresh_from_db()
    assert (coupon.state, coupon.order_no, coupon.reserved_at) == ("available", "", None)
    services.use(reserve("C2"), order_no="C2", saved=Decimal("5.00"), at=at)
    services.release(order_no="C2")
    coupon.refresh_from_db()
    assert (coupon.state, coupon.order_no, coupon.saved) == ("used", "C2", Decimal("5.00"))


def test_a_coupon_of_another_station_or_day_is_not_usable():
    customer, station, other = factories.a_customer("0"), factories.a_station(), factories.a_station()
    here = factories.a_coupon(customer)
    there = factories.a_coupon(customer)
    there.rule["stations"] = [other.pk]
    there.save()
    old = factories.a_coupon(customer, at=now() - timedelta(days=5), days_valid=3)
    future = factories.a_coupon(customer, first_day=(now() + timedelta(days=3)).date())
    assert services.usable(customer=customer, station_id=station.pk, at=now()) == [here]
    assert services.usable(customer=customer, station_id=other.pk, at=now()) == [here, there]
    for coupon, reason in ((there, "station"), (old, "date"), (future, "date")):
        with pytest.raises(DomainError) as caught, transaction.atomic():
            services.reserve(
                customer=customer, coupon_id=coupon.pk, order_no="C9", station_id=station.pk, at=now()
            )
        assert caught.value.data["reason"] == reason


def test_expiry_takes_what_is_available_and_over():
    customer, day = factories.a_customer("0"), datetime(2026, 11, 10, 12, 0, tzinfo=SHANGHAI)
    over = factories.a_coupon(customer, at=day, days_valid=1)
    endless = factories.a_coupon(customer, at=day)
    reserved = factories.a_coupon(customer, at=day, days_valid=1)
    services.reserve(customer=customer, coupon_id=reserved.pk, order_no="C1", station_id=1, at=day)
    assert services.expire(at=day.replace(hour=23, minute=59)) == 0
    assert services.expire(at=day + timedelta(days=1)) == 1
    assert services.expire(at=day + timedelta(days=1)) == 0
    states = [Coupon.objects.get(pk=row.pk).state for row in (over, endless, reserved)]
    assert states == ["expired", "available", "reserved"]


def test_only_unused_coupons_become_void():
    customer = factories.a_customer("0")
    coupon, taken = factories.a_coupon(customer), factories.a_coupon(customer)
    services.reserve(customer=customer, coupon_id=taken.pk, order_no="C1", station_id=1, at=now())
    assert services.void(coupon_id=coupon.pk, actor=STAFF, reason="发错").state == CouponState.VOID
    assert services.void(coupon_id=coupon.pk, actor=STAFF, reason="再来").ended_why == "发错"
    with pytest.raises(DomainError) as caught:
        services.void(coupon_id=taken.pk, actor=STAFF, reason="x")
    assert caught.value.code == "coupons.not_voidable"
