"""A payment channel whose provider is a table: for demonstrations and tests, without HTTP and without a signature.

It does what the interface promises, at once: a payment is made by `pay`, a refund is done when it is asked for. Unlike
the real channels it works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

from django.db import transaction
from django.db.models import Sum

from apps.common.money import ZERO
from apps.common.time import day_bounds, now
from apps.wallet.channels.base import (
    AlreadyPaid,
    BadSignature,
    BillKind,
    BillRow,
    Channel,
    Notice,
    NoticeReply,
    PaymentOrder,
    Prepared,
    Refund,
    RefundOrder,
    RefundState,
    Refused,
    Trade,
    TradeState,
)
from apps.wallet.models import SandboxTrade

FEE_RATE = Decimal("0.006")


class SandboxChannel(Channel):
    """Pretends that the driver's phone paid as soon as it says so; enabled only where settings name it."""

    name: ClassVar[str] = "sandbox"
    refund_window: ClassVar[timedelta] = timedelta(days=365)
    notice_accepted: ClassVar[NoticeReply] = NoticeReply(status=204, content_type="text/plain", body=b"")
    notice_refused: ClassVar[NoticeReply] = NoticeReply(status=401, content_type="text/plain", body=b"")

    def create(self, order: PaymentOrder) -> Prepared:
        self._know(order.out_trade_no, order.amount)
        params = {"recharge_no": order.out_trade_no, "amount": f"{order.amount:.2f}"}
        return Prepared(out_trade_no=order.out_trade_no, client_params=params)

    def pay(self, out_trade_no: str, amount: Decimal, *, at: datetime | None = None) -> Trade:
        """Pay as the driver's phone would; once, whenever it comes."""
        row = self._know(out_trade_no, amount)
        if row.state != TradeState.PAID:
            row.state, row.at = TradeState.PAID, at or now()
            row.save(update_fields=["state", "at"])
        return self._trade(row)

    def query(self, out_trade_no: str) -> Trade:
        row = SandboxTrade.objects.filter(out_trade_no=out_trade_no, out_refund_no="").first()
        if row is None:
            return Trade(out_trade_no=out_trade_no, state=TradeState.NOT_FOUND)
        return self._trade(row)

    def close(self, out_trade_no: str) -> None:
        rows = SandboxTrade.objects.filter(out_trade_no=out_trade_no, out_refund_no="")
        rows.filter(state=TradeState.WAITING).update(state=TradeState.CLOSED)
        if rows.filter(state=TradeState.PAID).exists():
            raise AlreadyPaid("PAID")

    @transaction.atomic
    def refund(self, order: RefundOrder) -> Refund:
        paid = SandboxTrade.objects.select_for_update().filter(
            out_trade_no=order.out_trade_no, out_refund_no="", state=TradeState.PAID
        )
        payment = paid.first()
        if payment is None:
            raise Refused("NOT_PAID")
        back = SandboxTrade.objects.filter(out_trade_no=order.out_trade_no).exclude(out_refund_no="")
        known = back.filter(out_refund_no=order.out_refund_no).first()
        if known is None:
            gone = back.aggregate(total=Sum("amount"))["total"] or ZERO
            if order.amount <= 0 or gone + order.amount > payment.amount:
                raise Refused("TOO_MUCH")
            known = SandboxTrade.objects.create(
                out_trade_no=order.out_trade_no,
                out_refund_no=order.out_refund_no,
                amount=order.amount,
                state=RefundState.DONE,
                at=now(),
            )
        elif known.amount != order.amount:
            raise Refused("OTHER_AMOUNT")
        return self._refund(known)

    def query_refund(self, *, out_trade_no: str, out_refund_no: str) -> Refund:
        row = SandboxTrade.objects.filter(out_trade_no=out_trade_no, out_refund_no=out_refund_no).first()
        if row is None:
            return Refund(out_refund_no=out_refund_no, out_trade_no=out_trade_no, state=RefundState.NOT_FOUND)
        return self._refund(row)

    def download_bill(self, day: date) -> Sequence[BillRow]:
        start, end = day_bounds(day)
        rows = SandboxTrade.objects.filter(
            at__gte=start, at__lt=end, state__in=[TradeState.PAID, RefundState.DONE]
        )
        return [_bill_row(row) for row in rows.order_by("at", "id")]

    def parse_notice(
        self, headers: Mapping[str, str], body: bytes, *, received_at: datetime | None = None
    ) -> Notice:
        """Nobody signs for this provider, so nothing is believed."""
        raise BadSignature("the sandbox sends no notices")

    @staticmethod
    def _know(out_trade_no: str, amount: Decimal) -> SandboxTrade:
        row, _ = SandboxTrade.objects.get_or_create(
            out_trade_no=out_trade_no,
            out_refund_no="",
            defaults={"amount": amount, "state": TradeState.WAITING},
        )
        if row.amount != amount:
            raise Refused("OTHER_AMOUNT")
        return row

    @staticmethod
    def _trade(row: SandboxTrade) -> Trade:
        return Trade(
            out_trade_no=row.out_trade_no,
            state=TradeState(row.state),
            amount=row.amount,
            channel_trade_no=_trade_no(row),
            paid_at=row.at,
        )

    @staticmethod
    def _refund(row: SandboxTrade) -> Refund:
        return Refund(
            out_refund_no=row.out_refund_no,
            out_trade_no=row.out_trade_no,
            state=RefundState(row.state),
            amount=row.amount,
            channel_refund_no=f"SANDBOX{row.out_refund_no}",
            done_at=row.at,
        )


def _trade_no(row: SandboxTrade) -> str:
    return f"SANDBOX{row.out_trade_no}"


def _bill_row(row: SandboxTrade) -> BillRow:
    is_refund = bool(row.out_refund_no)
    assert row.at is not None
    return BillRow(
        kind=BillKind.REFUND if is_refund else BillKind.PAYMENT,
        out_trade_no=row.out_trade_no,
        channel_trade_no=_trade_no(row),
        amount=row.amount,
        fee=row.amount * FEE_RATE * (-1 if is_refund else 1),
        at=row.at,
        out_refund_no=row.out_refund_no,
        channel_refund_no=f"SANDBOX{row.out_refund_no}" if is_refund else "",
    )
