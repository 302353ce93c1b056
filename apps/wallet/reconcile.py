"""Payment channels: their bill of a day against our top-ups and refunds (docs/reconciliation.md).

A bill is downloaded outside any transaction, stored raw once, and matched by our own numbers in set-based SQL. What
does not agree is a difference that a person resolves, or that goes away by itself when a later run finds it explained.
The provider's fee is booked once per merchant account and day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import structlog
from django.db import connection, transaction
from django.db.models import Count, F, Q, Sum
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.backoffice import approvals
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import Approval
from apps.common.differences import DifferenceState, Found, keep
from apps.common.ids import Actor
from apps.common.money import ZERO, round_fen
from apps.common.schema import current_schema
from apps.common.time import business_day, day_bounds, now
from apps.wallet import ledger, recharges, refunds
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import (
    BillKind,
    BillRow,
    ChannelError,
    NotConfigured,
    Refused,
    UnknownBillLayout,
)
from apps.wallet.channels.base import RefundState as ChannelState
from apps.wallet.enums import (
    AccountKind,
    BillRowState,
    BillState,
    ChannelDifferenceKind,
    JournalKind,
    PartState,
    RechargeState,
    TradeKind,
)
from apps.wallet.errors import BillDayNotOver, DifferenceDecided, NothingToAsk
from apps.wallet.ledger import credit, debit
from apps.wallet.models import (
    ChannelBillRow,
    ChannelDay,
    ChannelDifference,
    MerchantAccount,
    Recharge,
    WalletRefundPart,
)
from apps.wallet.models.refunds import AT_CHANNEL

log = structlog.get_logger(__name__)

AGAIN_DAYS = 14
"""So long a day with open differences is matched anew every night, and a bill that does not come is asked for."""
READY_AT = timedelta(hours=10)
"""WeChat's bill of a day is there from about 10:00 of the next, Alipay's from 09:00 (integrations.md 2.1, 2.2)."""
RETRY_AFTER = (timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=2))
PLACES = Decimal("0.00001")
ANALYZE_FROM = 1_000
"""Rows of a bill that the planner has to know of before they are matched; it would join them one by one."""
_LOCK = 7_203_413  # any number that no other advisory lock of ours has
KINDS = {BillKind.PAYMENT: TradeKind.PAYMENT, BillKind.REFUND: TradeKind.REFUND}
STATES = {
    ChannelState.DONE: BillRowState.DONE,
    ChannelState.PROCESSING: BillRowState.PROCESSING,
    ChannelState.ABNORMAL: BillRowState.PROCESSING,
    ChannelState.CLOSED: BillRowState.FAILED,
    ChannelState.NOT_FOUND: BillRowState.FAILED,
}
BY_HAND = "by_hand"
"""State of a refund, beside those of its part, whose money a person transferred."""


@dataclass(frozen=True, slots=True)
class ChannelRun:
    """What became of one merchant account's day. `rows` of the bill; `undecided` of the differences."""

    merchant: str
    day: date
    state: BillState
    problem: str
    rows: int
    differences: int
    undecided: int


def reconcile_day(
    *, merchant: MerchantAccount, day: date, at: datetime | None = None, dry_run: bool = False
) -> ChannelRun:
    """Download a merchant account's bill of a day that is over, store and match it. Raises BillDayNotOver.

    A dry run may look at today, where the provider has a bill of it already (our sandboxes can).

    Network: never call it inside a transaction. A bill that is not there, or cannot be read, is the run's `problem`,
    and is asked for again later; what was stored before stays. `dry_run` stores nothing, not even the problem.
    """
    moment = at or now()
    if day > business_day(moment) or (day == business_day(moment) and not dry_run):
        raise BillDayNotOver(day=str(day))
    try:
        rows: Sequence[BillRow] = channel_of(merchant).download_bill(day)
    except ChannelError as error:
        return _without_bill(merchant, day, error, moment, dry_run)
    with transaction.atomic():
        row = _alone_with(merchant, day)
        _take_bill(row, rows, moment)
        run = _match(row, moment)
        if dry_run:
            transaction.set_rollback(True)
    log.info(
        "channel_reconciled",
        channel=merchant.channel,
        merchant_id=merchant.pk,
        day=str(day),
        rows=run.rows,
        differences=run.differences,
        undecided=run.undecided,
        dry_run=dry_run,
    )
    return run


def match_again(*, channel_day_id: int, at: datetime | None = None) -> ChannelRun:
    """Match a stored bill anew, without a download; of a day without a bill nothing changes."""
    with transaction.atomic():
        found = ChannelDay.objects.select_related("merchant").get(pk=channel_day_id)
        row = _alone_with(found.merchant, found.day)
        return _match(row, at or now()) if row.downloaded_at else _run_of(row)


def reconcile_due(*, at: datetime | None = None) -> list[ChannelRun]:
    """Do what is due: yesterday's bills once they can be there, bills that did not come, days with open differences.

    The latter once a day only. Called every half hour. A day that raises stops no other: it stays due.
    """
    moment = at or now()
    start, _end = day_bounds(business_day(moment))
    if moment < start + READY_AT:
        return []
    yesterday = business_day(moment) - timedelta(days=1)
    oldest = yesterday - timedelta(days=AGAIN_DAYS)
    for merchant in merchants_of(yesterday):
        ChannelDay.objects.get_or_create(merchant=merchant, day=yesterday, defaults={"next_try_at": moment})
    due = ChannelDay.objects.filter(next_try_at__lte=moment, day__gte=oldest).select_related("merchant")
    runs: list[ChannelRun] = []
    for row in due.order_by("day", "merchant_id"):
        with _noted(row.pk):
            runs.append(reconcile_day(merchant=row.merchant, day=row.day, at=moment))
    again = ChannelDay.objects.filter(
        day__gte=oldest, differences_open__gt=0, reconciled_at__lt=start + READY_AT, next_try_at=None
    )
    for pk in again.order_by("day").values_list("pk", flat=True):
        with _noted(pk):
            runs.append(match_again(channel_day_id=pk, at=moment))
    return runs


@contextmanager
def _noted(channel_day_id: int) -> Iterator[None]:
    """Log what a day raises, so that the next one has its turn."""
    try:
        yield
    except Exception:
        log.exception("channel_not_reconciled", channel_day_id=channel_day_id)


def merchants_of(day: date) -> list[MerchantAccount]:
    """Return the accounts in use, and those out of use through which something was paid on that day."""
    start, end = day_bounds(day)
    paid = Recharge.objects.filter(paid_at__gte=start, paid_at__lt=end).order_by()
    return list(
        MerchantAccount.objects.filter(Q(is_active=True) | Q(pk__in=paid.values("merchant"))).order_by("pk")
    )


# --- The bill ---------------------------------------------------------------------------------------------


def _alone_with(merchant: MerchantAccount, day: date) -> ChannelDay:
    """Return a day's row; until the transaction ends no other run works on it.

    The row itself is not locked: a decision locks its difference (`approvals`) and then the day, and a run writes the
    day after it has locked the differences.
    """
    with connection.cursor() as cursor:
        key = f"{current_schema()} {merchant.pk} {day}"
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, key])
    ChannelDay.objects.get_or_create(merchant=merchant, day=day)
    return ChannelDay.objects.select_related("merchant").get(merchant=merchant, day=day)


def _without_bill(
    merchant: MerchantAccount, day: date, error: ChannelError, at: datetime, dry_run: bool
) -> ChannelRun:
    """Note why there is no bill, and when to ask again. A bill of before stays."""
    final = isinstance(error, NotConfigured | Refused | UnknownBillLayout)
    with transaction.atomic():
        row = _alone_with(merchant, day)
        row.problem = str(error)[:200]
        row.tries += 1
        if not row.downloaded_at:
            row.state = BillState.FAILED if final else BillState.WAITING
            row.next_try_at = at + RETRY_AFTER[min(row.tries, len(RETRY_AFTER)) - 1]
        row.save()
        run = _run_of(row)
        if dry_run:
            transaction.set_rollback(True)
    log.warning(
        "channel_bill_missing",
        channel=merchant.channel,
        merchant_id=merchant.pk,
        day=str(day),
        problem=row.problem,
    )
    return run


def _take_bill(row: ChannelDay, rows: Sequence[BillRow], at: datetime) -> None:
    """Store a bill unless it is the one that is stored already; book what its fee is more than was booked."""
    digest = _digest(rows)
    row.downloaded_at, row.next_try_at, row.problem, row.tries = at, None, "", 0
    if digest == row.digest:
        return
    if row.digest:
        log.warning("channel_bill_changed", channel_day_id=row.pk, revision=row.revision + 1)
    row.digest, row.revision = digest, row.revision + 1
    ChannelBillRow.objects.filter(channel_day=row, superseded=False).update(superseded=True)
    ChannelBillRow.objects.bulk_create(
        (
            ChannelBillRow(
                channel_day=row,
                merchant_id=row.merchant_id,
                revision=row.revision,
                kind=KINDS[one.kind],
                out_no=(one.out_refund_no if one.kind == BillKind.REFUND else one.out_trade_no)[:64],
                out_trade_no=one.out_trade_no[:64],
                channel_trade_no=one.channel_trade_no[:64],
                channel_refund_no=one.channel_refund_no[:64],
                amount=one.amount,
                fee=one.fee.quantize(PLACES),
                at=one.at,
                state=STATES[one.refund_state],
            )
            for one in rows
        ),
        batch_size=2_000,
    )
    if len(rows) >= ANALYZE_FROM:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE wallet_channelbillrow")
    row.fee = sum((one.fee for one in rows), Decimal(0)).quantize(PLACES)
    _book_fee(row, at)


def _digest(rows: Sequence[BillRow]) -> str:
    """Of the rows in the provider's order; the files themselves differ by the moment of their making."""
    digest = hashlib.sha256()
    for row in rows:
        parts = [
            row.kind.value, row.out_trade_no, row.channel_trade_no, f"{row.amount:.2f}", f"{row.fee:.5f}",
            row.at.isoformat(), row.out_refund_no, row.channel_refund_no,
        ]  # fmt: skip
        if (
            row.refund_state != ChannelState.DONE
        ):  # else the digest is that of bills which were stored without it
            parts.append(row.refund_state.value)
        digest.update(json.dumps(parts).encode() + b"\n")
    return digest.hexdigest()


def _book_fee(row: ChannelDay, at: datetime) -> None:
    """Book the fee, or what a changed bill makes of it; today, since the day of the bill may be closed."""
    channel, total = row.merchant.channel, round_fen(row.fee)
    more = total - row.fee_booked
    ledger.post(
        key=f"channel_fee:{row.merchant_id}:{row.day}:{row.revision}",
        kind=JournalKind.CHANNEL_FEE,
        wallet=None,
        reference=fee_reference(row),
        lines=[
            debit(AccountKind.CHANNEL_FEE, more, channel),
            credit(AccountKind.CHANNEL_CLEARING, more, channel),
        ],
        at=at,
        memo=f"{row.merchant} {row.day}"[:200],
    )
    row.fee_booked = total


def fee_reference(row: ChannelDay) -> str:
    """Return the reference of the journal entries that book a day's fee."""
    return f"FEE{row.merchant_id}-{row.day:%Y%m%d}"


# --- Matching ---------------------------------------------------------------------------------------------

# Bill rows of a day by our number; what is twice in the bill counts once, and the second is theirs only.
_THEIRS = """
WITH theirs AS (
    SELECT b.*, row_number() OVER (PARTITION BY kind, out_no ORDER BY id) AS copy
      FROM wallet_channelbillrow b WHERE channel_day_id = %(day_id)s AND NOT superseded)
"""
PAYMENTS = f"""{_THEIRS}
SELECT CASE WHEN c.id IS NULL OR c.merchant_id IS DISTINCT FROM t.merchant_id OR t.copy > 1 THEN 'only_theirs'
            WHEN c.amount <> t.amount THEN 'amount_differs' ELSE 'state_differs' END,
       t.out_no, t.channel_trade_no, c.amount, t.amount, t.at, c.id, NULL::bigint, c.state, t.copy, c.merchant_id
  FROM theirs t LEFT JOIN wallet_recharge c ON c.recharge_no = t.out_no
 WHERE t.kind = 'payment' AND NOT (c.id IS NOT NULL AND c.merchant_id = t.merchant_id AND c.amount = t.amount
       AND c.state = 'paid' AND t.copy = 1)
 ORDER BY t.id
"""  # noqa: S608 - the text above
PAYMENTS_OURS = """
SELECT 'only_ours', c.recharge_no, c.channel_trade_no, c.amount, NULL::numeric, c.paid_at, c.id, NULL::bigint,
       c.state, 1, c.merchant_id
  FROM wallet_recharge c
 WHERE c.merchant_id = %(merchant_id)s AND c.state = 'paid' AND c.paid_at >= %(start)s AND c.paid_at < %(end)s
   AND NOT EXISTS (SELECT FROM wallet_channelbillrow b WHERE b.merchant_id = c.merchant_id AND b.kind = 'payment'
                   AND b.out_no = c.recharge_no AND NOT b.superseded)
 ORDER BY c.id
"""
# A part that a person transferred, that was replaced or given back, and that the channel paid as well, went out twice.
# A refund that failed at the channel is only wrong where we count it as paid; one that is under way there may be done
# with us since, or still wait.
REFUNDS = f"""{_THEIRS}
SELECT CASE WHEN p.id IS NULL OR c.merchant_id IS DISTINCT FROM t.merchant_id OR t.copy > 1 THEN 'only_theirs'
            WHEN p.amount <> t.amount THEN 'amount_differs' ELSE 'state_differs' END,
       t.out_no, t.channel_refund_no, p.amount, t.amount, t.at, c.id, p.id,
       CASE WHEN p.manual AND p.state = 'done' THEN 'by_hand' ELSE p.state END, t.copy, c.merchant_id
  FROM theirs t LEFT JOIN wallet_walletrefundpart p ON p.out_refund_no = t.out_no
       LEFT JOIN wallet_recharge c ON c.id = p.recharge_id
 WHERE t.kind = 'refund' AND NOT (p.id IS NOT NULL AND c.merchant_id = t.merchant_id AND p.amount = t.amount
       AND p.state = 'done' AND NOT p.manual AND t.copy = 1 AND t.state <> 'failed')
   AND NOT (t.state = 'failed' AND (p.id IS NULL OR p.state <> 'done' OR p.manual))
   AND NOT (t.state = 'processing' AND t.copy = 1 AND p.id IS NOT NULL AND c.merchant_id = t.merchant_id
            AND p.amount = t.amount AND p.state = ANY (%(at_channel)s))
 ORDER BY t.id
"""  # noqa: S608 - the text above
REFUNDS_OURS = """
SELECT 'only_ours', p.out_refund_no, p.channel_refund_no, p.amount, NULL::numeric, p.done_at, c.id, p.id, p.state, 1,
       c.merchant_id
  FROM wallet_walletrefundpart p JOIN wallet_recharge c ON c.id = p.recharge_id
 WHERE c.merchant_id = %(merchant_id)s AND p.state = 'done' AND NOT p.manual AND p.done_at >= %(start)s
   AND p.done_at < %(end)s
   AND NOT EXISTS (SELECT FROM wallet_channelbillrow b WHERE b.merchant_id = c.merchant_id AND b.kind = 'refund'
                   AND b.out_no = p.out_refund_no AND NOT b.superseded)
 ORDER BY p.id
"""


def _match(row: ChannelDay, at: datetime) -> ChannelRun:
    """Match a day that nobody else works on, keep its differences and sums."""
    start, end = day_bounds(row.day)
    values = {
        "day_id": row.pk,
        "merchant_id": row.merchant_id,
        "start": start,
        "end": end,
        "at_channel": [state.value for state in (*AT_CHANNEL, PartState.ABNORMAL)],
    }
    found = [
        *_found(TradeKind.PAYMENT, PAYMENTS, values),
        *_found(TradeKind.PAYMENT, PAYMENTS_OURS, values),
        *_found(TradeKind.REFUND, REFUNDS, values),
        *_found(TradeKind.REFUND, REFUNDS_OURS, values),
    ]
    row.differences_found = len(found)
    row.differences_open = keep(ChannelDifference, {"channel_day_id": row.pk}, found, at)
    _sum_up(row, start, end)
    row.state, row.reconciled_at = BillState.RECONCILED, at
    row.save()
    return _run_of(row)


class _Pair(NamedTuple):
    """A payment or refund of which the two sides say different things."""

    kind: str
    out_no: str
    channel_no: str
    ours: Decimal | None
    theirs: Decimal | None
    at: datetime
    recharge_id: int | None
    part_id: int | None
    state: str | None
    copy: int
    merchant_id: int | None


def _found(trade_kind: TradeKind, query: str, values: Mapping[str, Any]) -> list[Found]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [_difference(trade_kind, _Pair(*columns)) for columns in cursor.fetchall()]


def _difference(trade_kind: TradeKind, pair: _Pair) -> Found:
    figures = {
        "ours": "" if pair.ours is None else str(pair.ours),
        "theirs": "" if pair.theirs is None else str(pair.theirs),
        "state": pair.state or "",
    }
    if pair.copy > 1:
        figures["copy"] = str(pair.copy)
    elif pair.kind == ChannelDifferenceKind.ONLY_THEIRS and pair.merchant_id is not None:
        figures["merchant"] = str(pair.merchant_id)
    return Found(
        kind=pair.kind,
        subject=f"{trade_kind.value}:{pair.out_no}"[:60] + (f"#{pair.copy}" if pair.copy > 1 else ""),
        figures=figures,
        columns={
            "trade_kind": trade_kind.value,
            "out_no": pair.out_no,
            "channel_no": pair.channel_no,
            "ours": pair.ours,
            "theirs": pair.theirs,
            "at": pair.at,
            "recharge_id": pair.recharge_id,
            "refund_part_id": pair.part_id,
        },
    )


def state_words(difference: ChannelDifference) -> str:
    """Return our own side's state at the last run, in words."""
    state = difference.figures["state"]
    if state == BY_HAND:
        return gettext("transferred by hand")
    states = RechargeState if difference.trade_kind == TradeKind.PAYMENT else PartState
    return str(states(state).label)


def _sum_up(row: ChannelDay, start: datetime, end: datetime) -> None:
    bill = {
        kind: (count, total or ZERO)
        for kind, count, total in ChannelBillRow.objects.filter(channel_day=row, superseded=False)
        .exclude(state=BillRowState.FAILED)
        .order_by()
        .values_list("kind")
        .annotate(count=Count("pk"), total=Sum("amount"))
    }
    row.their_payments, row.their_paid = bill.get(TradeKind.PAYMENT, (0, ZERO))
    row.their_refunds, row.their_refunded = bill.get(TradeKind.REFUND, (0, ZERO))
    paid = Recharge.objects.filter(
        merchant=row.merchant_id, state="paid", paid_at__gte=start, paid_at__lt=end
    )
    sums = paid.aggregate(count=Count("pk"), total=Sum("amount"))
    row.our_payments, row.our_paid = sums["count"], sums["total"] or ZERO
    back = WalletRefundPart.objects.filter(
        recharge__merchant=row.merchant_id,
        state=PartState.DONE,
        manual=False,
        done_at__gte=start,
        done_at__lt=end,
    )
    sums = back.aggregate(count=Count("pk"), total=Sum("amount"))
    row.our_refunds, row.our_refunded = sums["count"], sums["total"] or ZERO


def _run_of(row: ChannelDay) -> ChannelRun:
    return ChannelRun(
        merchant=row.merchant.name,
        day=row.day,
        state=BillState(row.state),
        problem=row.problem,
        rows=row.their_payments + row.their_refunds,
        differences=row.differences_found,
        undecided=row.differences_open,
    )


def can_heal(difference: ChannelDifference) -> bool:
    """Return whether asking the provider can end a difference: done there, and we still wait for it or closed it."""
    if difference.kind != ChannelDifferenceKind.STATE_DIFFERS or difference.state != DifferenceState.OPEN:
        return False
    if difference.refund_part is not None:
        return difference.refund_part.state in {*AT_CHANNEL, PartState.ABNORMAL}
    return difference.recharge is not None


def query_now(*, difference_id: int, at: datetime | None = None) -> ChannelRun:
    """Ask the provider about what is done there and not here, let it heal, and match the day anew.

    Network: never inside a transaction. Raises NothingToAsk where `can_heal` says no, and what `check_recharge` raises.
    """
    difference = ChannelDifference.objects.select_related("recharge", "refund_part").get(pk=difference_id)
    if not can_heal(difference):
        raise NothingToAsk
    if difference.refund_part is not None:
        refunds.refund_reported(out_refund_no=difference.refund_part.out_refund_no)
    elif difference.recharge is not None:
        recharges.check_recharge(recharge_no=difference.recharge.recharge_no)
    return match_again(channel_day_id=difference.channel_day_id, at=at)


# --- Decisions --------------------------------------------------------------------------------------------


def request_resolution(
    *, difference: ChannelDifference, reason: str, actor: Actor, address: str | None = None
) -> Approval:
    """Close a difference with a reason: at once, or when a second person approves, by the tenant's rule and its amount.

    Raises DifferenceDecided, and what `approvals.request` raises.
    """
    if difference.state != DifferenceState.OPEN:
        raise DifferenceDecided
    return approvals.request(
        RESOLVE,
        difference,
        {"difference": difference.pk},
        actor,
        reason,
        amount=abs(difference.difference),
        changes={
            "ours": [None, difference.ours],
            "theirs": [None, difference.theirs],
            "out_no": [None, difference.out_no],
        },
        address=address,
    )


def _resolve(payload: dict[str, Any], _decider: Actor) -> None:
    asked = payload["approval"]
    found = ChannelDifference.objects.get(pk=payload["difference"])
    difference = ChannelDifference.objects.select_for_update().get(pk=found.pk)
    if difference.state != DifferenceState.OPEN:
        raise DifferenceDecided
    names = " + ".join(name for name in (asked["requested_by"], asked["approved_by"]) if name)
    difference.close(reason=asked["reason"], by=names, at=now())
    difference.save()
    ChannelDay.objects.filter(pk=found.channel_day_id).update(differences_open=F("differences_open") - 1)
    log.info("channel_difference_resolved", difference_id=difference.pk, by=names)


RESOLVE = approvals.register(
    approvals.Operation(
        "wallet.resolve_difference",
        _("Resolve a difference with a payment channel"),
        "wallet.approve_channeldifference",
        execute=_resolve,
        rule=ApprovalRule.ABOVE,
        threshold=Decimal("100.00"),
        version=lambda row, _payload: json.dumps([row.state, row.figures], sort_keys=True),
    )
)
