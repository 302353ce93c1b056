"""Bonus tiers: which of them a top-up gets, how often, and that it keeps them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.common.time import now
from apps.orders.ledger_check import differences
from apps.wallet import recharges
from apps.wallet.models import BonusTier, BonusUse, Recharge
from apps.wallet.services import wallet_of
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


def bonus_of(amount: str, customer=None, key: str = "k") -> str:
    recharge = recharges.create_recharge(
        customer=customer or factories.a_customer("0"),
        amount=Decimal(amount),
        channel="sandbox",
        request_key=key,
    )
    recharge.refresh_from_db()
    return str(recharge.bonus)


def test_the_largest_bonus_that_fits_counts_and_others_come_on_top() -> None:
    factories.a_tier("100.00", "5.00")
    factories.a_tier("200.00", "15.00")
    factories.a_tier("150.00", "2.00")  # a worse one above the first
    assert [bonus_of(amount) for amount in ("99.99", "100.00", "199.99", "200.00", "5000.00")] == [
        "0.00",
        "5.00",
        "5.00",
        "15.00",
        "15.00",
    ]
    factories.a_tier("100.00", "1.00", is_additional=True)
    factories.a_tier("200.00", "0.50", is_additional=True)
    assert [bonus_of(amount) for amount in ("99.99", "100.00", "200.00")] == ["0.00", "6.00", "16.50"]


def test_tiers_are_in_force_from_and_until_and_while_they_are_on() -> None:
    moment = now()
    tier = factories.a_tier("10.00", "1.00", starts_at=moment + timedelta(hours=1))
    assert bonus_of("10.00") == "0.00"
    for starts, ends, wanted in ((-2, -1, "0.00"), (-1, 1, "1.00"), (None, None, "1.00")):
        BonusTier.objects.filter(pk=tier.pk).update(
            starts_at=starts and moment + timedelta(hours=starts),
            ends_at=ends and moment + timedelta(hours=ends),
        )
        assert bonus_of("10.00") == wanted
    BonusTier.objects.update(is_active=False)
    assert bonus_of("10.00") == "0.00"


def test_the_limit_of_a_customer_counts_open_and_paid_top_ups_and_not_closed_ones() -> None:
    factories.a_tier("10.00", "1.00", per_customer=2)
    customer, other = factories.a_customer("0"), factories.a_customer("0")
    assert [bonus_of("10.00", customer, key) for key in "abc"] == ["1.00", "1.00", "0.00"]
    assert bonus_of("10.00", other) == "1.00"
    assert bonus_of("10.00", customer, "a") == "1.00"  # the same request is the same top-up
    Recharge.objects.filter(request_key="a", wallet__customer=customer).update(state="closed")
    assert [bonus_of("10.00", customer, key) for key in "de"] == ["1.00", "0.00"]
    assert BonusUse.objects.filter(wallet__customer=customer).count() == 3


def test_what_was_promised_is_given_though_the_tier_has_changed() -> None:
    tier = factories.a_tier("100.00", "5.00")
    customer = factories.a_customer("0")
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("100.00"), channel="sandbox", request_key="k"
    )
    BonusTier.objects.filter(pk=tier.pk).update(bonus=Decimal(50), is_active=False)
    for _ in range(2):
        recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no)
    wallet = wallet_of(customer=customer)
    assert (wallet.principal, wallet.bonus) == (Decimal("100.00"), Decimal("5.00"))
    assert differences() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "0"},
        {"bonus": "-1"},
        {"bonus": "0"},
        {"per_customer": 0},
        {"starts_at": now(), "ends_at": now() - timedelta(days=1)},
    ],
)
def test_tiers_that_the_database_refuses(wrong: dict[str, object]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        factories.a_tier(**{"threshold": "10.00", "bonus": "1.00", **wrong})
