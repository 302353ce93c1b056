"""Ten thousand rows of a channel's bill against our books: read, stored, matched, the fee booked.

The provider is the pretend one, whose books are a table: nine payments to a refund, and in every hundredth row it says
another amount than we do. Each round is of a day of its own, long ago.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from decimal import Decimal

ROWS = 10_000
REFUND_EVERY, WRONG_EVERY = 10, 100
FIRST_DAY = date(2001, 1, 1)
AMOUNT, BACK, MORE = Decimal("50.00"), Decimal("20.00"), Decimal("0.01")


def fresh_day() -> date:
    """A day that no round has used."""
    from apps.wallet.models import ChannelDay

    days = ChannelDay.objects.filter(day__lt=date(2011, 1, 1)).order_by("-day").values_list("day", flat=True)
    newest = days.first()
    return newest + timedelta(days=1) if newest else FIRST_DAY


def make_day(day: date, rows: int) -> int:
    """Make a day's payments and refunds, ours and the provider's; return how many rows differ."""
    from django.db import connection, transaction

    from apps.common.time import day_bounds
    from apps.customers.models import Customer
    from apps.wallet.enums import PartState, RechargeState, RefundState
    from apps.wallet.merchants import merchant_for
    from apps.wallet.models import Recharge, SandboxTrade, WalletRefund, WalletRefundPart
    from apps.wallet.services import wallet_of

    start, _ = day_bounds(day)
    merchant = merchant_for("sandbox")
    customer = Customer.objects.order_by("pk").first()
    assert customer is not None
    wallet = wallet_of(customer=customer)
    refunds = rows // REFUND_EVERY
    numbers = [f"B{day:%Y%m%d}{number:06d}" for number in range(rows - refunds)]
    moments = [start + timedelta(seconds=8 * number) for number in range(rows - refunds)]
    trades = []
    with transaction.atomic():
        recharges = Recharge.objects.bulk_create(
            [
                Recharge(
                    recharge_no=number,
                    wallet=wallet,
                    merchant=merchant,
                    channel="sandbox",
                    amount=AMOUNT,
                    refunded=BACK if place < refunds else Decimal(0),
                    state=RechargeState.PAID,
                    paid_at=at,
                    request_key=number,
                    created_at=at,
                )
                for place, (number, at) in enumerate(zip(numbers, moments, strict=True))
            ],
            batch_size=2_000,
        )
        asked = WalletRefund.objects.bulk_create(
            [
                WalletRefund(
                    refund_no=f"W{one.recharge_no}",
                    wallet=wallet,
                    amount=BACK,
                    paid=BACK,
                    state=RefundState.DONE,
                    closed_at=one.paid_at,
                    request_key=one.recharge_no,
                    created_at=one.paid_at,
                )
                for one in recharges[:refunds]
            ],
            batch_size=2_000,
        )
        WalletRefundPart.objects.bulk_create(
            [
                WalletRefundPart(
                    refund=refund,
                    recharge=recharge,
                    out_refund_no=f"{refund.refund_no}P1",
                    amount=BACK,
                    state=PartState.DONE,
                    done_at=recharge.paid_at,
                    created_at=recharge.paid_at,
                )
                for refund, recharge in zip(asked, recharges, strict=False)
            ],
            batch_size=2_000,
        )
        trades = [(number, "", AMOUNT, "paid", at) for number, at in zip(numbers, moments, strict=True)]
        trades += [
            (one.recharge_no, f"W{one.recharge_no}P1", BACK, "done", one.paid_at)
            for one in recharges[:refunds]
        ]
        wrong = set(range(0, rows, WRONG_EVERY))
        SandboxTrade.objects.bulk_create(
            [
                SandboxTrade(
                    out_trade_no=number,
                    out_refund_no=refund_no,
                    amount=amount + (MORE if place in wrong else 0),
                    state=state,
                    at=at,
                )
                for place, (number, refund_no, amount, state, at) in enumerate(trades)
            ],
            batch_size=2_000,
        )
    with connection.cursor() as cursor:  # as autovacuum does with tables that grow by the minute
        for table in ("wallet_recharge", "wallet_walletrefundpart", "wallet_sandboxtrade"):
            cursor.execute(f"analyze {table}")
    return len(wrong)


def reconcile(day: date, rows: int, wrong: int) -> float:
    """Reconcile the day; return the seconds. Raises RuntimeError when it does not come out as made."""
    from apps.wallet.merchants import merchant_for
    from apps.wallet.reconcile import reconcile_day

    merchant = merchant_for("sandbox")
    began = time.perf_counter()
    run = reconcile_day(merchant=merchant, day=day)
    taken = time.perf_counter() - began
    if (run.rows, run.differences, run.problem) != (rows, wrong, ""):
        raise RuntimeError(f"{run}, not {rows} rows and {wrong} differences")
    return taken
