"""From a bill to money: the discounts of product.md rule 2 on retail fees, then the wallet, all written to the order.

Lock order: order (the caller's) → wallet → coupons. What each step did is kept in `Order.explanation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from apps.common.money import ZERO
from apps.coupons import services as coupons
from apps.coupons.models import Coupon
from apps.customers.models import Payer
from apps.orders import discounts
from apps.orders.discounts import AppliesTo, CouponKind, Discounts, EnterpriseDiscount, Fees, Step
from apps.orders.enums import OrderSource
from apps.orders.models import BillingPolicy, Order
from apps.orders.settlement import Bill
from apps.wallet import services as wallet
from apps.wallet.payment import Payment, PayOrder


class Cashier:
    """Pays the bills of one or many locked orders: wallets, holds and coupons are locked together, in that order.

    Money and coupons move in the caller's transaction, or not at all; money not before `write`.
    """

    def __init__(self, orders: Sequence[Order], policy: BillingPolicy) -> None:
        """Lock what pays these orders; `policy` is the tenant's order of payment."""
        self.policy = policy
        self.till = wallet.Till(
            {order.order_no: order.customer_id for order in orders},
            {
                order.order_no: order.enterprise_id
                for order in orders
                if order.payer == Payer.ENTERPRISE and order.enterprise_id is not None
            },
        )
        self.purse = coupons.Purse(
            {order.order_no: order.customer_id for order in orders if _may_use_coupon(order)}
        )


def pay_bill(order: Order, bill: Bill, *, cashier: Cashier, moment: datetime, at: datetime | None) -> None:
    """Discount and charge a locked order's bill, once, in the tenant's order of payment; the caller saves the order.

    A coupon counts where it was valid for the station, hour and date of the charge's start. A late record (product.md
    rule 4) is billed without one, and so is what an enterprise pays.
    """
    policy = cashier.policy
    found = _coupons(order, cashier.purse)
    fees = Fees(bill.electricity_fee, bill.service_fee)
    result = discounted(fees, order.enterprise_rule, found)
    pay_order, bonus_ratio = PayOrder(policy.pay_order), policy.bonus_ratio
    payment = cashier.till.charge(
        order_no=order.order_no,
        electricity=fees.electricity,
        service=fees.service,
        enterprise_discount=result.enterprise_discount,
        coupon_discount=result.coupon_discount,
        pay_order=pay_order,
        bonus_ratio=bonus_ratio,
        at=at or moment,  # the ledger's day is that of the order's settlement, at midnight too
    )
    used = next((coupon for coupon in found if result.coupon and str(coupon.pk) == result.coupon.id), None)
    reserved = order.coupon
    if order.coupon_id is not None and used is None:
        cashier.purse.release(order_no=order.order_no)
    if used is not None:
        coupons.use(used, order_no=order.order_no, saved=result.coupon_discount, at=moment)
    order.coupon = used
    order.electricity_fee, order.service_fee = fees.electricity, fees.service
    order.enterprise_discount = result.enterprise_discount
    order.coupon_discount = result.coupon_discount
    order.electricity_payable = result.payable.electricity
    order.service_payable = result.payable.service
    order.payable = result.payable.total
    order.paid_principal = payment.from_principal
    order.paid_bonus = payment.from_bonus
    order.debt = payment.debt
    order.paid_enterprise = payment.from_enterprise
    from_bonus = discounts.split_bonus(payment.from_bonus, result.payable)
    order.bonus_electricity, order.bonus_service = from_bonus.electricity, from_bonus.service
    steps = kept_steps(result, order.enterprise_rule, used)
    order.platform_borne = sum((Decimal(step["platform"]) for step in steps), ZERO)
    order.station_borne = sum((Decimal(step["station"]) for step in steps), ZERO)
    order.explanation = [
        *([{"step": "retail"}] if order.is_retail else []),
        *steps,
        *([_unused(reserved)] if reserved is not None and used is None else []),
        _paid(order, result, payment, pay_order, bonus_ratio),
    ]


def began_at(order: Order) -> datetime:
    """When a charge began, for what is valid then: our own clock, but the pile's where it charged on its own."""
    if order.source == OrderSource.OFFLINE_CARD and order.started_at is not None:
        return order.started_at
    return order.created_at


def pure_coupon(coupon: Coupon) -> discounts.Coupon:
    """Return a coupon as the pipeline knows it."""
    rule = coupon.terms
    return discounts.Coupon(
        id=str(coupon.pk),
        kind=CouponKind(rule.kind),
        spend=Decimal(rule.spend),
        save=Decimal(rule.save),
        percent_off=Decimal(rule.percent_off),
        cap=None if rule.cap is None else Decimal(rule.cap),
        applies_to=AppliesTo(rule.applies_to),
        ends=coupon.last_day,
    )


def _may_use_coupon(order: Order) -> bool:
    is_late = bool(order.fail_reason)
    may = not is_late and order.payer == Payer.WALLET
    return may and (order.coupon_choice == "best" or order.coupon_id is not None)


def _coupons(order: Order, purse: coupons.Purse) -> list[Coupon]:
    """Return the coupons that the order may use: none, the one that it reserved, or all valid at its start."""
    if not _may_use_coupon(order):
        return []
    return purse.of_order(
        customer_id=order.customer_id,
        order_no=order.order_no,
        station_id=order.station_id,
        at=began_at(order),
    )


def discounted(fees: Fees, enterprise_rule: Mapping[str, str] | None, found: Sequence[Coupon]) -> Discounts:
    """Take an enterprise's frozen rule and the best of some coupons off fees: for bills, and for quotes of them."""
    enterprise = None
    if enterprise_rule:
        enterprise = EnterpriseDiscount(
            percent_off=Decimal(enterprise_rule["percent_off"]),
            applies_to=AppliesTo(enterprise_rule["applies_to"]),
        )
    return discounts.discount(fees, enterprise, [pure_coupon(coupon) for coupon in found])


def kept_steps(
    result: Discounts, enterprise_rule: Mapping[str, str] | None, used: Coupon | None
) -> list[dict[str, Any]]:
    """Return the steps of discounts as orders keep them, each with its rule's name and who bears it."""
    return [
        _kept(step, (enterprise_rule if step.code == "enterprise" else used and used.rule) or {})
        for step in result.steps
    ]


def _kept(step: Step, rule: Mapping[str, Any]) -> dict[str, Any]:
    platform, station = discounts.borne(step.saving, Decimal(rule["station_share"]))
    return {
        **step.to_json(),
        "name": rule["name"],
        "rule": {key: value for key, value in rule.items() if key not in ("name", "stations")},
        "platform": str(platform),
        "station": str(station),
    }


def _unused(coupon: Coupon) -> dict[str, Any]:
    """Return that the chosen coupon saved nothing and was given back."""
    return {"step": "coupon_unused", "id": str(coupon.pk), "name": coupon.rule["name"]}


def _paid(
    order: Order, result: Discounts, payment: Payment, pay_order: PayOrder, ratio: Decimal
) -> dict[str, Any]:
    fees = {
        "step": "paid",
        "electricity": str(result.payable.electricity),
        "service": str(result.payable.service),
        "payable": str(result.payable.total),
    }
    if order.payer == Payer.ENTERPRISE:
        return {**fees, "enterprise": str(payment.from_enterprise)}
    return {
        **fees,
        "order": pay_order.value,
        "bonus_ratio": str(ratio),
        "principal": str(payment.from_principal),
        "bonus": str(payment.from_bonus),
        "debt": str(payment.debt),
    }
