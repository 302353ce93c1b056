from datetime import date
from decimal import Decimal

import pytest

from apps.orders.discounts import (
    AppliesTo,
    Coupon,
    CouponKind,
    EnterpriseDiscount,
    Fees,
    best_coupon,
    discount,
)

SERVICE, ALL = AppliesTo
YEAR_END, NEXT_DAY = date(2026, 12, 31), date(2027, 1, 1)


def fees(electricity: str, service: str) -> Fees:
    return Fees(Decimal(electricity), Decimal(service))


def threshold(save: str, spend: str = "0", applies_to: AppliesTo = SERVICE, **more) -> Coupon:
    fields = {"id": "t", "spend": Decimal(spend), "save": Decimal(save), "applies_to": applies_to} | more
    return Coupon(kind=CouponKind.THRESHOLD, **fields)


def percent(percent_off: str, cap: str | None = None, applies_to: AppliesTo = SERVICE, **more) -> Coupon:
    limit = None if cap is None else Decimal(cap)
    fields = {"id": "p", "percent_off": Decimal(percent_off), "cap": limit, "applies_to": applies_to} | more
    return Coupon(kind=CouponKind.PERCENT, **fields)


def test_nothing_to_take_off():
    result = discount(fees("10.00", "5.00"), None, [])
    assert (result.payable, result.enterprise_discount, result.coupon) == (fees("10.00", "5.00"), 0, None)
    assert result.explanation == ()


@pytest.mark.parametrize(
    ("percent_off", "applies_to", "left"),
    [
        ("10", SERVICE, fees("10.05", "4.54")),  # 0.505 off is 0.51
        ("10", ALL, fees("9.04", "4.54")),  # 1.005 off is 1.01, each fee on its own
        ("0", ALL, fees("10.05", "5.05")),
        ("100", SERVICE, fees("10.05", "0.00")),
        ("100", ALL, fees("0.00", "0.00")),
    ],
)
def test_enterprise_discount(percent_off, applies_to, left):
    result = discount(fees("10.05", "5.05"), EnterpriseDiscount(Decimal(percent_off), applies_to), [])
    assert result.payable == left
    assert result.enterprise_discount == Decimal("15.10") - left.total


@pytest.mark.parametrize(
    ("coupon", "saving"),
    [
        (threshold("20", spend="50", applies_to=ALL), "20"),
        (threshold("20", spend="50.01", applies_to=ALL), "0"),
        (threshold("5", spend="20", applies_to=SERVICE), "5"),
        (threshold("5", spend="20.01", applies_to=SERVICE), "0"),  # electricity does not help it over
        (threshold("90", spend="20", applies_to=SERVICE), "20.00"),  # at most its base
        (threshold("90", applies_to=ALL), "50.00"),
        (percent("33.3333"), "6.67"),
        (percent("33.3333", cap="6.66"), "6.66"),  # rounded, then capped
        (percent("10", cap="15", applies_to=ALL), "5.00"),
        (percent("100", cap="500", applies_to=ALL), "50.00"),
    ],
)
def test_saving_of_a_coupon(coupon, saving):
    assert coupon.saving(fees("30.00", "20.00")) == Decimal(saving)


def test_a_percentage_of_half_a_fen_is_rounded_up():
    assert percent("10").saving(fees("0.00", "0.05")) == Decimal("0.01")


def test_the_threshold_is_tested_after_the_enterprise_discount():
    enterprise = EnterpriseDiscount(Decimal(10), ALL)
    coupon = threshold("5", spend="50", applies_to=ALL)
    assert discount(fees("30.00", "20.00"), enterprise, [coupon]).coupon is None
    assert discount(fees("30.00", "20.00"), None, [coupon]).coupon is coupon


@pytest.mark.parametrize(
    ("coupon", "payable"),
    [
        (threshold("10", applies_to=SERVICE), fees("30.00", "10.00")),
        (threshold("10", applies_to=ALL), fees("24.00", "16.00")),
        (threshold("0.01", applies_to=ALL), fees("29.99", "20.00")),
    ],
)
def test_where_a_saving_comes_off(coupon, payable):
    result = discount(fees("30.00", "20.00"), None, [coupon])
    assert result.payable == payable
    assert result.coupon_discount == coupon.save


def test_a_tie_of_the_split_goes_to_electricity():
    assert discount(fees("5.00", "5.00"), None, [threshold("0.01", applies_to=ALL)]).payable == fees(
        "4.99", "5.00"
    )


def test_best_coupon_is_the_largest_saving_then_the_earliest_end_then_the_first():
    small = threshold("1", ends=YEAR_END)
    late = threshold("2", ends=NEXT_DAY)
    early = threshold("2", ends=YEAR_END, id="early")
    same = threshold("2", ends=YEAR_END, id="same")
    endless = threshold("2", ends=None)
    amounts = fees("10.00", "10.00")
    assert best_coupon(amounts, [small, late, early]) is early
    assert best_coupon(amounts, [same, early]) is same
    assert best_coupon(amounts, [early, same]) is early
    assert best_coupon(amounts, [endless, late]) is late
    assert best_coupon(amounts, [small, endless]) is endless


def test_a_coupon_that_saves_nothing_is_not_used():
    assert best_coupon(fees("10.00", "0.00"), [threshold("5"), percent("50")]) is None
    assert best_coupon(fees("0.00", "0.00"), [threshold("5", applies_to=ALL)]) is None
