"""What the demo shows of reconciliation: some days that are done, and two payments that only the channel knows."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal

from apps.common.time import business_day, day_bounds
from apps.orders.energy_reconcile import reconcile_energy
from apps.wallet import books
from apps.wallet.channels.base import TradeState
from apps.wallet.merchants import merchant_for
from apps.wallet.models import ChannelDay, SandboxTrade
from apps.wallet.reconcile import reconcile_day

DAYS = 3
NIGHT, MORNING = timedelta(hours=5, minutes=20), timedelta(hours=10, minutes=30)
"""After the end of a day: when its energy is reconciled, and when its bill is there."""
STRANGERS = (Decimal("66.00"), Decimal("128.00"))
"""Paid into the merchant account on the newest of the days, by nobody that we know."""


def reconcile_days(*, until: datetime, days: int) -> None:
    """Reconcile the last of the `days` before `until` that were over long enough; what is reconciled stays as it is."""
    today = business_day(until)
    done = set(ChannelDay.objects.values_list("day", flat=True))
    merchant = merchant_for("sandbox")
    for back in range(2, min(days, DAYS + 2)):
        day = today - timedelta(days=back)
        _, end = day_bounds(day)
        closed = books.closed_through()
        if day in done or (closed is not None and business_day(end) <= closed):
            continue
        if back == 2:
            _strangers(day)
        reconcile_day(merchant=merchant, day=day, at=end + MORNING)
        reconcile_energy(day=day, at=end + NIGHT)


def _strangers(day: date) -> None:
    start, _ = day_bounds(day)
    for number, amount in enumerate(STRANGERS, 1):
        SandboxTrade.objects.get_or_create(
            out_trade_no=f"ERP{day:%Y%m%d}{number:04d}",
            out_refund_no="",
            defaults={
                "amount": amount,
                "state": TradeState.PAID,
                "at": start + timedelta(hours=9 + number, minutes=17),
            },
        )
