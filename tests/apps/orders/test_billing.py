import copy
from random import Random

import pytest

from apps.orders.billing import BillInputError, bill_session
from tests import oracle
from tests.apps.orders.sessions import random_session

SESSION = {
    "tariff": {"peak": {"electricity": "1.20000", "service": "0.40000"}},
    "energy_kwh": {"peak": "12.3456"},
    "enterprise": {"percent_off": "20", "applies_to": "service"},
    "coupons": [
        {
            "id": "c1",
            "kind": "percent",
            "spend": "10",
            "percent_off": "10",
            "cap": "15",
            "applies_to": "all",
            "ends": "2026-12-31",
        }
    ],
    "wallet": {"principal": "10.00", "bonus": "5.00", "order": "ratio", "bonus_ratio": "0.30"},
}


def test_the_whole_form():
    assert bill_session(SESSION) == {
        "lines": [{"class": "peak", "electricity_fee": "14.81", "service_fee": "4.94"}],
        "electricity_fee": "14.81",
        "service_fee": "4.94",
        "enterprise_discount": "0.99",
        "coupon": "c1",
        "coupon_discount": "1.88",
        "electricity_payable": "13.33",
        "service_payable": "3.55",
        "payable": "16.88",
        "from_principal": "10.00",
        "from_bonus": "5.00",
        "debt": "1.88",
        "explanation": [
            "peak electricity: 12.3456 kWh x 1.20000 = 14.814720000 -> 14.81",
            "peak service: 12.3456 kWh x 0.40000 = 4.938240000 -> 4.94",
            "fees: electricity 14.81 + service 4.94 = 19.75",
            "enterprise: 20% off service: electricity 14.81 -> 14.81, service 4.94 -> 3.95",
            "coupon c1: percent on all, saves 1.88: electricity 14.81 -> 13.33, service 3.95 -> 3.55",
            "payable: electricity 13.33 + service 3.55 = 16.88",
            "wallet (ratio 0.3000): principal 10.00, bonus 5.00, debt 1.88",
        ],
    }


def test_two_thousand_random_sessions_equal_the_oracle():
    rng = Random(20260302)
    seen = {"enterprise_discount": 0, "coupon_discount": 0, "debt": 0, "from_bonus": 0}
    for _ in range(2_000):
        session = random_session(rng)
        bill = bill_session(session)
        assert bill.pop("explanation")
        assert bill == oracle.bill(session), session
        for name in seen:
            seen[name] += bill[name] != "0.00"
    assert min(seen.values()) > 300, "the seed no longer reaches every step"


@pytest.mark.parametrize("absent", ["enterprise", "coupons"])
@pytest.mark.parametrize("as_null", [True, False])
def test_without_discounts(absent, as_null):
    session = copy.deepcopy(SESSION)
    session[absent] = None
    if not as_null:
        del session[absent]
    assert bill_session(session)[f"{absent.removesuffix('s')}_discount"] == "0.00"


def changed(path: str, value: object) -> dict:
    session = copy.deepcopy(SESSION)
    *parents, last = path.split(".")
    target = session
    for step in parents:
        target = target[int(step)] if isinstance(target, list) else target[step]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return session


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ([], "session is not an object"),
        (changed("wallet", ...), "session: wallet missing"),
        (changed("coupon", []), "session: coupon not known"),
        (changed("tariff", []), "a tariff is an object with prices by rate class"),
        (
            changed("tariff.noon", {"electricity": "1", "service": "1"}),
            "'noon' is not a rate class (sharp, peak, flat, valley, deep_valley)",
        ),
        (
            changed("tariff.peak.electricity", "1.200001"),
            "price of peak: '1.200001' has more than 5 decimal places",
        ),
        (changed("energy_kwh.peak", 12.3456), "energy_kwh.peak: 12.3456 is not a decimal string"),
        (
            changed("energy_kwh.peak", "12.34567"),
            "energy_kwh.peak: '12.34567' has more than 4 decimal places",
        ),
        (changed("energy_kwh.peak", "-1"), "energy_kwh.peak: -1.0000 is below zero"),
        (
            changed("energy_kwh.peak", "10000000"),
            "energy 10000000.0000 kWh of class peak is not between 0 and 10000000",
        ),
        (changed("energy_kwh.flat", "1"), "1.0000 kWh were charged in class flat, which has no price"),
        (changed("energy_kwh.noon", "1"), "energy_kwh: noon not known"),
        (changed("enterprise.percent_off", "100.01"), "enterprise.percent_off: 100.0100 is more than 100"),
        (
            changed("enterprise.applies_to", "electricity"),
            "enterprise.applies_to: 'electricity' is not one of service, all",
        ),
        (changed("coupons", {}), "coupons is not a list"),
        (changed("coupons.0.kind", "gift"), "coupons[0].kind: 'gift' is not one of threshold, percent"),
        (changed("coupons.0.kind", "threshold"), "coupons[0]: a threshold coupon needs save"),
        (changed("coupons.0.id", 7), "coupons[0].id is not a text"),
        (changed("coupons.0.ends", "31/12/2026"), "coupons[0].ends: '31/12/2026' is not a date (YYYY-MM-DD)"),
        (changed("coupons.0.spend", "1.005"), "coupons[0].spend: '1.005' has more than 2 decimal places"),
        (
            changed("wallet.order", "credit"),
            "wallet.order: 'credit' is not one of principal_first, bonus_first, ratio",
        ),
        (
            changed("wallet.order", ["ratio"]),
            "wallet.order: ['ratio'] is not one of principal_first, bonus_first, ratio",
        ),
        (changed("wallet.bonus_ratio", ...), "wallet.bonus_ratio is missing"),
        (changed("wallet.bonus_ratio", "1.1"), "wallet.bonus_ratio: 1.1000 is more than 1"),
        (changed("wallet.principal", "-0.01"), "wallet.principal: -0.01 is below zero"),
    ],
)
def test_what_is_wrong_is_said(session, reason):
    with pytest.raises(BillInputError) as caught:
        bill_session(session)
    assert str(caught.value) == reason
