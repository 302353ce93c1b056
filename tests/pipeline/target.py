"""The product's own rules, put together as a start and a settlement put them together, without a database."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from apps.common.time import SHANGHAI
from apps.coupons.rules import Rule
from apps.orders.discounts import (
    AppliesTo,
    Coupon,
    CouponKind,
    EnterpriseDiscount,
    Fees,
    borne,
    discount,
    split_bonus,
)
from apps.orders.settlement import settle
from apps.pricing.tariff import Tariff, pile_balance, prices_from_json
from apps.reports.demo.plan import energies
from apps.wallet.payment import PayOrder, pay
from tests import oracle
from tests.pipeline.sessions import random_charge


def charge(session: dict[str, Any]) -> dict[str, Any]:
    """What the product makes of a charge, in the oracle's form."""
    begin = datetime(*session["begin"], tzinfo=SHANGHAI)
    infrastructure = Tariff.from_json({"prices": session["infrastructure"], "slots": session["slots"]})
    retail = Tariff.from_json(infrastructure.sold_at(prices_from_json(session["retail"])).to_json())
    metered = energies(
        begin=begin,
        end=begin + timedelta(seconds=session["seconds"]),
        average_kw=Decimal(session["power"]) / 10_000,
        tariff=infrastructure,
    )
    bill = settle(metered, retail)
    enterprise = session["enterprise"]
    usable = [] if session["late"] else [one for one in session["coupons"] if _is_usable(one, session, begin)]
    result = discount(
        Fees(bill.electricity_fee, bill.service_fee),
        enterprise
        and EnterpriseDiscount(Decimal(enterprise["percent_off"]), AppliesTo(enterprise["applies_to"])),
        [_coupon(one) for one in usable],
    )
    wallet = session["wallet"]
    paid = pay(
        result.payable.total,
        Decimal(wallet["principal"]),
        Decimal(wallet["bonus"]),
        PayOrder(wallet["order"]),
        Decimal(wallet["bonus_ratio"]),
    )
    shares = {one["id"]: one["station_share"] for one in usable} | {None: "0"}
    bearers = [
        borne(result.enterprise_discount, Decimal(enterprise["station_share"] if enterprise else 0)),
        borne(result.coupon_discount, Decimal(shares[result.coupon.id if result.coupon else None])),
    ]
    from_bonus = split_bonus(paid.from_bonus, result.payable)
    return {
        "energy_kwh": {name.value: f"{energy:.4f}" for name, energy in metered.items() if energy},
        "lines": [
            {
                "class": line.rate_class.value,
                "electricity_fee": str(line.electricity_fee),
                "service_fee": str(line.service_fee),
            }
            for line in bill.lines
        ],
        "electricity_fee": str(bill.electricity_fee),
        "service_fee": str(bill.service_fee),
        "enterprise_discount": str(result.enterprise_discount),
        "coupon": result.coupon.id if result.coupon else None,
        "coupon_discount": str(result.coupon_discount),
        "electricity_payable": str(result.payable.electricity),
        "service_payable": str(result.payable.service),
        "payable": str(result.payable.total),
        "from_principal": str(paid.from_principal),
        "from_bonus": str(paid.from_bonus),
        "debt": str(paid.debt),
        "bonus_electricity": str(from_bonus.electricity),
        "bonus_service": str(from_bonus.service),
        "platform_borne": str(sum(platform for platform, _ in bearers)),
        "station_borne": str(sum(station for _, station in bearers)),
        "balance": str(pile_balance(Decimal(session["hold"]), infrastructure, retail)),
    }


def _is_usable(coupon: dict[str, Any], session: dict[str, Any], begin: datetime) -> bool:
    last = coupon["last_day"]
    if (
        not date.fromisoformat(coupon["first_day"])
        <= begin.date()
        <= date.fromisoformat(last or "9999-12-31")
    ):
        return False
    rule = Rule(
        name="",
        kind=coupon["kind"],
        applies_to=coupon["applies_to"],
        stations=tuple(coupon["stations"]),
        weekdays=coupon["weekdays"],
        from_time=coupon["from_time"],
        until_time=coupon["until_time"],
    )
    return not rule.obstacle(station_id=session["station"], at=begin)


def _coupon(coupon: dict[str, Any]) -> Coupon:
    cap = coupon.get("cap")
    return Coupon(
        id=coupon["id"],
        kind=CouponKind(coupon["kind"]),
        spend=Decimal(coupon["spend"]),
        save=Decimal(coupon.get("save", "0")).quantize(Decimal("0.01")),
        percent_off=Decimal(coupon.get("percent_off", "0")),
        cap=None if cap is None else Decimal(cap).quantize(Decimal("0.01")),
        applies_to=AppliesTo(coupon["applies_to"]),
        ends=date.fromisoformat(coupon["last_day"]) if coupon["last_day"] else None,
    )


def compare(seed: int, count: int) -> tuple[dict[str, int], list[tuple[dict[str, Any], Any, Any]]]:
    """Run `count` charges of a seed through both; return how often each step did something, and what differs."""
    rng = Random(seed)
    seen = dict.fromkeys(
        ("classes", "retail", "enterprise", "coupon", "bonus", "debt", "zero", "midnight"), 0
    )
    wrong = []
    for _ in range(count):
        session = random_charge(rng)
        ours, theirs = charge(session), oracle.charge(session)
        if ours != theirs:
            wrong.append((session, ours, theirs))
        seen["classes"] += len(ours["lines"]) > 1
        seen["retail"] += bool(session["retail"])
        seen["enterprise"] += ours["enterprise_discount"] != "0.00"
        seen["coupon"] += ours["coupon_discount"] != "0.00"
        seen["bonus"] += ours["from_bonus"] != "0.00"
        seen["debt"] += ours["debt"] != "0.00"
        seen["zero"] += not ours["lines"]
        hour, minute, second = session["begin"][3:]
        seen["midnight"] += hour * 3600 + minute * 60 + second + session["seconds"] > 86_400
    return seen, wrong
