from decimal import Decimal

import pytest

from apps.common.money import AmountError
from apps.wallet.payment import Payment, PaymentError, PayOrder, pay


@pytest.mark.parametrize(
    ("order", "ratio", "payable", "purse", "paid"),
    [
        ("principal_first", "0", "30.00", ("50.00", "10.00"), ("30.00", "0.00", "0.00")),
        ("principal_first", "0", "55.00", ("50.00", "10.00"), ("50.00", "5.00", "0.00")),
        ("principal_first", "0", "65.00", ("50.00", "10.00"), ("50.00", "10.00", "5.00")),
        ("bonus_first", "0", "8.00", ("50.00", "10.00"), ("0.00", "8.00", "0.00")),
        ("bonus_first", "0", "30.00", ("50.00", "10.00"), ("20.00", "10.00", "0.00")),
        ("bonus_first", "0", "65.00", ("50.00", "10.00"), ("50.00", "10.00", "5.00")),
        ("ratio", "0.30", "10.01", ("50.00", "10.00"), ("7.01", "3.00", "0.00")),  # 3.003 rounded down
        ("ratio", "0.30", "50.00", ("50.00", "10.00"), ("40.00", "10.00", "0.00")),  # at most the bonus
        ("ratio", "0.30", "20.00", ("9.00", "20.00"), ("9.00", "11.00", "0.00")),  # the rest is bonus again
        ("ratio", "0.30", "65.00", ("50.00", "10.00"), ("50.00", "10.00", "5.00")),
        ("ratio", "1", "5.00", ("50.00", "10.00"), ("0.00", "5.00", "0.00")),
        ("ratio", "0.30", "0.00", ("0.00", "0.00"), ("0.00", "0.00", "0.00")),
        ("principal_first", "0", "0.01", ("0.00", "0.00"), ("0.00", "0.00", "0.01")),
    ],
)
def test_pay(order, ratio, payable, purse, paid):
    principal, bonus = map(Decimal, purse)
    payment = pay(Decimal(payable), principal, bonus, PayOrder(order), Decimal(ratio))
    assert payment == Payment(*map(Decimal, paid))


@pytest.mark.parametrize("order", PayOrder)
@pytest.mark.parametrize("amounts", [("-0.01", "1", "1"), ("1", "-0.01", "1"), ("1", "1", "-0.01")])
def test_pay_refuses_negative_money(order, amounts):
    with pytest.raises(PaymentError, match="zero or more"):
        pay(*map(Decimal, amounts), order, Decimal("0.5"))


def test_pay_refuses_parts_of_a_fen_and_odd_ratios():
    with pytest.raises(AmountError, match=r"1\.005 yuan is not a whole number of fen"):
        pay(Decimal("1.005"), Decimal(1), Decimal(1), PayOrder.PRINCIPAL_FIRST)
    with pytest.raises(PaymentError, match=r"bonus ratio 1\.01 is not between 0 and 1"):
        pay(Decimal(1), Decimal(1), Decimal(1), PayOrder.RATIO, Decimal("1.01"))
