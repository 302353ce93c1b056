"""What the demo shows of refunds: of wallets and of orders, each in the states that a reviewer meets."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from apps.common.ids import Actor
from apps.customers.models import Customer, Payer
from apps.orders import refunds as order_refunds
from apps.orders.enums import OrderState
from apps.orders.models import Order, OrderRefund
from apps.wallet import recharges, refund_run, refunds
from apps.wallet.models import WalletRefund

CASES = ("applied", "done", "rejected")
KEY = "seed:refund"
TOP_UP, BACK = Decimal("200.00"), Decimal("150.00")


def seed_refunds(customers: list[Customer], until: datetime, reviewer: Actor) -> None:
    """Make one wallet refund of each state for a driver of its own, and one order refund of each; once."""
    for number, (case, customer) in enumerate(zip(CASES, customers, strict=True)):
        _wallet_refund(case, customer, until - timedelta(hours=6 + number), reviewer)
    orders = Order.objects.filter(state=OrderState.COMPLETED, debt=0, payable__gt=5, source="app")
    own = orders.filter(payer=Payer.WALLET)
    settled = own.exclude(customer__wallet__holds__state="open").select_related("customer").order_by("-id")
    if not OrderRefund.objects.filter(request_key__startswith=KEY).exists():
        for case, order in zip(CASES, settled[: len(CASES)], strict=False):
            _order_refund(case, order, until, reviewer)


def _wallet_refund(case: str, customer: Customer, at: datetime, reviewer: Actor) -> None:
    if WalletRefund.objects.filter(wallet__customer=customer, request_key=f"{KEY}:{case}").exists():
        return
    recharge = recharges.create_recharge(
        customer=customer, amount=TOP_UP, channel="sandbox", request_key=f"{KEY}:{case}", at=at
    )
    recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no, at=at)
    refund = refunds.apply(
        customer=customer,
        amount=BACK,
        reason="不再使用",
        applied_by=Actor("customer", str(customer.pk), str(customer)),
        request_key=f"{KEY}:{case}",
        at=at + timedelta(hours=1),
    )
    decided_at = at + timedelta(hours=2)
    if case == "done":
        refunds.approve(refund_no=refund.refund_no, reviewer=reviewer, at=decided_at)
        refund_run.run_refund(refund_no=refund.refund_no, at=decided_at + timedelta(minutes=1))
    elif case == "rejected":
        refunds.reject(
            refund_no=refund.refund_no, reviewer=reviewer, reason="请先处理未完成的投诉", at=decided_at
        )


def _order_refund(case: str, order: Order, until: datetime, reviewer: Actor) -> None:
    refund = order_refunds.apply(
        order_no=order.order_no,
        electricity=Decimal(0),
        service=order.refundable_service,
        reason="充电功率过低",
        applied_by=Actor("customer", str(order.customer_id), str(order.customer)),
        request_key=f"{KEY}:{case}",
        at=until - timedelta(minutes=90),
    )
    decided_at = until - timedelta(minutes=60)
    if case == "done":
        order_refunds.approve(refund_no=refund.refund_no, reviewer=reviewer, at=decided_at)
    elif case == "rejected":
        order_refunds.reject(refund_no=refund.refund_no, reviewer=reviewer, reason="功率正常", at=decided_at)
