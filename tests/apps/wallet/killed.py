"""A process that works on a top-up or a refund and is killed with SIGKILL at a named step; see test_killed.py.

The steps stand where a process can die between two things that belong together: around each call of the provider,
inside and behind each transaction. Nothing is replaced: each function does its work, and then the process ends.
"""

from __future__ import annotations

import json
import os
import signal
from decimal import Decimal
from typing import Any


def die(*_: Any, **__: Any) -> None:
    """What no finally clause survives."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    """Die where `name` would be called."""
    setattr(owner, name, die)


def after(owner: Any, name: str) -> None:
    """Die when `name` has done its work, before its caller hears of it."""
    real = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        die()

    setattr(owner, name, killed)


def main(arguments: list[str]) -> None:
    """Run, and die on the way; arguments: schema, step, action, and what the action needs."""
    schema, step, action, *arguments = arguments
    from apps.common.ids import Actor
    from apps.common.schema import schema_context
    from apps.common.time import now
    from apps.customers.models import Customer
    from apps.wallet import (
        bonus,
        debts,
        ledger,
        notices,
        recharges,
        refund_parts,
        refund_run,
        refunds,
        signals,
        tasks,
    )
    from apps.wallet.channels.alipay import Alipay
    from apps.wallet.channels.wechatpay import WechatPay
    from apps.wallet.models import Recharge, WalletRefundPart

    def of_channels(place: Any, name: str) -> None:
        for channel in (WechatPay, Alipay):
            place(channel, name)

    steps: dict[str, Any] = {
        "row not committed": lambda: after(bonus, "freeze"),
        "row written": lambda: of_channels(before, "create"),
        "order at the provider": lambda: of_channels(after, "create"),
        "notice believed": lambda: of_channels(after, "parse_notice"),
        "notice stored": lambda: before(notices, "_enqueue"),
        "notice in work": lambda: before(recharges, "recharge_paid"),
        "money in the journal, not committed": lambda: after(ledger, "post"),
        "debts paid, not committed": lambda: after(debts, "recover"),
        "money booked": lambda: before(signals.recharge_paid, "send_robust"),
        "notice not marked": lambda: after(recharges, "accept_trade"),
        "top-up claimed": lambda: after(recharges, "due_recharges"),
        "answer of the query": lambda: of_channels(after, "query"),
        "about to close": lambda: of_channels(before, "close"),
        "closed at the provider": lambda: of_channels(after, "close"),
        "approved, no task": lambda: before(refunds, "_enqueue"),
        "task taken": lambda: before(refund_run, "begin"),
        "begun, not committed": lambda: after(refund_run, "conclude"),
        "begun": lambda: before(refund_run, "run_part"),
        "part claimed, not committed": lambda: after(refund_run, "notice_url"),
        "part claimed": lambda: before(refund_run, "_ask"),
        "refund at the provider": lambda: of_channels(after, "refund"),
        "answer not booked": lambda: before(refund_run, "_book"),
        "refund in the journal, not committed": lambda: after(refund_run, "pay_part"),
        "refund closed, not committed": lambda: after(refund_parts, "close"),
        "refund booked": lambda: after(refund_run, "_book"),
        "answer about the refund": lambda: of_channels(after, "query_refund"),
    }
    steps[step]()
    with schema_context(schema):
        match action:
            case "begin":
                customer_id, channel = arguments
                recharge = recharges.create_recharge(
                    customer=Customer.objects.get(pk=int(customer_id)),
                    amount=Decimal(100),
                    channel=channel,
                    request_key="k",
                )
                recharges.prepare_payment(recharge=recharge)
            case "notice":
                channel, merchant_id, place = arguments
                with open(place) as file:
                    kept = json.load(file)
                notices.receive(
                    channel=channel,
                    merchant_id=int(merchant_id),
                    headers=kept["headers"],
                    body=kept["body"].encode(),
                )
            case "check":
                Recharge.objects.exclude(next_check_at=None).update(
                    next_check_at=Recharge.objects.get().created_at
                )
                tasks.check_recharges()
            case "approve":
                refunds.approve(refund_no=arguments[0], reviewer=Actor("staff", "2", "李强"))
            case "ask again":
                WalletRefundPart.objects.exclude(next_try_at=None).update(next_try_at=now())
                tasks.execute_refunds()
