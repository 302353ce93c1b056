"""Paying approved refunds through the channels: safe to kill at any point, and to run twice at once.

Each part goes through three steps, and each is found again by its row when the process dies behind it:

1. *claim* (a transaction): the part is marked as sent and leased, so that nobody else asks meanwhile;
2. *ask* (no transaction): the first time the refund is asked for; ever after the channel is queried first, by the
   same number, and asked again under that number only if it never heard of it;
3. *book* (a transaction): what the channel said is booked, and the refund moves on.

Money leaves the ledger in step 3 alone, by a key that is the number. A number is never given up but after a refusal
that a query confirmed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction

from apps.common.ids import SYSTEM
from apps.common.time import now
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import (
    BalanceShort,
    Channel,
    ChannelError,
    Mismatch,
    NotConfigured,
    Refund,
    RefundOrder,
    Refused,
    Unknown,
)
from apps.wallet.channels.base import RefundState as Said
from apps.wallet.enums import PartState, RefundState
from apps.wallet.models import WalletRefund, WalletRefundPart
from apps.wallet.models.refunds import AT_CHANNEL
from apps.wallet.recharges import notice_url
from apps.wallet.refund_parts import conclude, lock, note, pay_part, too_old
from apps.wallet.returns import charges_now

log = structlog.get_logger(__name__)

LEASE = timedelta(minutes=2)
"""Longer than two calls of a channel can take; after it, a part whose process died is taken up again."""
GAPS_S = (15, 30, 60, 60, 60, 60, 300, 300, 300, 600, 600)
"""Between one question and the next: a minute at first (WeChat's advice), then slower."""
LONGEST_GAP_S = 1800
SHORT_GAP_S = 600
"""Until a merchant account that was short is tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking the channel: the state that the part gets, and the channel's words."""

    state: PartState
    words: str = ""
    refund: Refund | None = None


def run_due(*, at: datetime | None = None, limit: int = 200) -> int:
    """Begin approved refunds and ask about every part whose time has come; return how many were asked about.

    One that raises stops no other: its row is found again.
    """
    approved = WalletRefund.objects.filter(state=RefundState.APPROVED).order_by("id")
    for refund_no in list(approved.values_list("refund_no", flat=True)[:limit]):
        try:
            begin(refund_no=refund_no, at=at)
        except Exception:
            log.exception("refund_not_begun", refund_no=refund_no)
    due = WalletRefundPart.objects.filter(state__in=AT_CHANNEL, next_try_at__lte=at or now())
    asked = 0
    for part_id in list(due.order_by("next_try_at").values_list("pk", flat=True)[:limit]):
        try:
            asked += run_part(part_id=part_id, at=at)
        except Exception:
            log.exception("refund_part_failed", part_id=part_id)
    return asked


def run_refund(*, refund_no: str, at: datetime | None = None) -> None:
    """Begin one approved refund and ask for its parts."""
    begin(refund_no=refund_no, at=at)
    parts = WalletRefundPart.objects.filter(refund__refund_no=refund_no, state__in=AT_CHANNEL)
    for part_id in list(parts.order_by("id").values_list("pk", flat=True)):
        run_part(part_id=part_id, at=at)


def begin(*, refund_no: str, at: datetime | None = None) -> bool:
    """Take up an approved refund; False where it waits, for the end of a charge, or goes back to review for a debt.

    Payments that passed the channel's age limit since the application go to the list of transfers by hand.
    """
    moment = at or now()
    with transaction.atomic():
        wallet, refund = lock(refund_no)
        if refund.state != RefundState.APPROVED:
            return False
        if charges_now(wallet):
            return False  # asked again by the beat task
        if wallet.debt:
            refund.state = RefundState.RETURNED
            refund.save(update_fields=["state", "updated_at"])
            note(refund, "returned_for_debt", SYSTEM, moment, debt=wallet.debt)
            return False
        refund.state = RefundState.EXECUTING
        refund.save(update_fields=["state", "updated_at"])
        note(refund, "begun", SYSTEM, moment)
        for part in refund.parts.select_for_update(of=("self",)).select_related("recharge").order_by("id"):
            if part.state == PartState.WAITING and too_old(part.recharge, moment):
                part.state, part.manual = PartState.MANUAL, True
                part.save(update_fields=["state", "manual", "updated_at"])
            elif part.state in AT_CHANNEL:
                part.next_try_at = moment
                part.save(update_fields=["next_try_at", "updated_at"])
        conclude(wallet, refund, moment, at)
    return True


def run_part(*, part_id: int, at: datetime | None = None, reported: bool = False) -> bool:
    """Claim a part, ask the channel, book the answer; False when there is nothing to do for it now.

    `reported`: the channel says that something happened, so it is asked before its time, also about a part that the
    driver's account had not accepted.
    """
    claimed = _claim(part_id, at or now(), reported=reported)
    if claimed is None:
        return False
    part, before = claimed
    _book(part, _ask(part, is_new=part.tries == 1), at, was_short=before == PartState.SHORT)
    return True


def _claim(part_id: int, moment: datetime, *, reported: bool) -> tuple[WalletRefundPart, str] | None:
    """Lease a part until its answer is booked; returns it with its state before."""
    with transaction.atomic():
        part = (
            WalletRefundPart.objects.select_for_update(of=("self",))
            .select_related("refund", "recharge__merchant")
            .filter(pk=part_id)
            .first()
        )
        if part is None:
            return None
        if reported:
            if part.state not in {*AT_CHANNEL, PartState.ABNORMAL} or part.sent_at is None:
                return None
        elif part.state not in AT_CHANNEL or part.next_try_at is None or part.next_try_at > moment:
            return None
        before = part.state
        if part.sent_at is None:
            merchant = part.recharge.merchant
            part.notify_url = notice_url(merchant) if merchant is not None else ""
            part.sent_at = part.unclear_since = moment
        if part.state in {PartState.WAITING, PartState.SHORT}:
            part.state = PartState.ASKED
            part.unclear_since = part.unclear_since or moment
        part.tries += 1
        part.next_try_at = moment + LEASE
        part.save()
    return part, before


def _ask(part: WalletRefundPart, *, is_new: bool) -> Answer:
    """Ask the channel, outside any transaction. Whatever is not certain is `asked`: the same number again, later."""
    try:
        assert part.recharge.merchant is not None
        channel = channel_of(part.recharge.merchant)
    except NotConfigured as error:
        return Answer(PartState.ASKED, str(error))
    order = RefundOrder(
        out_refund_no=part.out_refund_no,
        out_trade_no=part.recharge.recharge_no,
        amount=part.amount,
        total=part.recharge.amount,
        reason=part.refund.refund_no,
        notify_url=part.notify_url,
    )
    try:
        found = None if is_new else _query(channel, part)
        if found is None:
            try:
                found = channel.refund(order)
            except BalanceShort as error:
                return Answer(PartState.SHORT, str(error))
            except Refused as error:
                # An earlier call may have arrived after all: only the channel's own word makes it void.
                found = None if is_new else _query(channel, part)
                if found is None:
                    return Answer(PartState.FAILED, str(error))
    except ChannelError as error:
        log.warning("refund_unclear", out_refund_no=part.out_refund_no, cause=str(error))
        return Answer(PartState.ASKED, str(error))
    if found.amount is not None and found.amount != part.amount:
        return Answer(PartState.ASKED, str(Mismatch("amount")))
    states = {
        Said.DONE: PartState.DONE,
        Said.CLOSED: PartState.FAILED,
        Said.ABNORMAL: PartState.ABNORMAL,
    }
    state = states.get(found.state, PartState.PROCESSING)
    return Answer(state, "" if state in {PartState.DONE, PartState.PROCESSING} else found.state.value, found)


def _query(channel: Channel, part: WalletRefundPart) -> Refund | None:
    """Return what the channel knows of a part, None if it never heard of it. A refused question is no answer."""
    try:
        found = channel.query_refund(out_trade_no=part.recharge.recharge_no, out_refund_no=part.out_refund_no)
    except Refused as error:
        raise Unknown(f"query refused: {error}") from error
    return None if found.state == Said.NOT_FOUND else found


def _book(claimed: WalletRefundPart, answer: Answer, at: datetime | None, *, was_short: bool) -> None:
    """Write down what the channel said, and book it when the money is gone."""
    moment = at or now()
    with transaction.atomic():
        wallet, refund = lock(claimed.refund.refund_no)
        part = (
            WalletRefundPart.objects.select_for_update(of=("self",))
            .select_related("recharge")
            .get(pk=claimed.pk)
        )
        was = part.state
        if was not in {*AT_CHANNEL, PartState.ABNORMAL}:
            return  # somebody else booked its end
        if was == PartState.ABNORMAL and answer.state not in {PartState.DONE, PartState.FAILED}:
            return
        if answer.refund is not None:
            part.channel_refund_no = answer.refund.channel_refund_no or part.channel_refund_no
        part.problem = answer.words[:200]
        match answer.state:
            case PartState.DONE:
                done_at = answer.refund.done_at if answer.refund is not None else None
                pay_part(wallet, refund, part, done_at or moment, at)
                note(refund, "part_paid", SYSTEM, moment, amount=part.amount, number=part.out_refund_no)
            case PartState.FAILED | PartState.ABNORMAL:
                part.state, part.next_try_at, part.unclear_since = answer.state, None, None
                part.save()
                note(
                    refund,
                    "part_refused" if answer.state == PartState.FAILED else "part_abnormal",
                    SYSTEM,
                    moment,
                    amount=part.amount,
                    number=part.out_refund_no,
                    words=answer.words,
                )
            case _:
                part.state = answer.state
                if answer.state == PartState.SHORT:
                    part.unclear_since = None
                part.next_try_at = moment + _gap(part)
                part.save()
                if answer.state == PartState.SHORT and not was_short:
                    note(refund, "part_short", SYSTEM, moment, amount=part.amount, words=answer.words)
        conclude(wallet, refund, moment, at)
    log.info("refund_part", out_refund_no=part.out_refund_no, state=part.state, words=answer.words)


def _gap(part: WalletRefundPart) -> timedelta:
    if part.state == PartState.SHORT:
        return timedelta(seconds=SHORT_GAP_S)
    place = part.tries - 1
    return timedelta(seconds=GAPS_S[place] if place < len(GAPS_S) else LONGEST_GAP_S)
