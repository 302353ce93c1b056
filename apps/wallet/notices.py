"""What payment providers tell us (支付通知): believed, stored once, answered at once, processed in a task.

A notice only triggers: what it says is verified again when it is processed, compared with the top-up under lock, and
moves it forward only. A repeated notice finds its event stored and changes nothing; a forged one is refused and
leaves a line in the log only, so that nobody can fill the table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

import structlog
from django.db import transaction
from django.db.models import F

from apps.common.queue import enqueue
from apps.common.time import now
from apps.wallet import recharges, refunds
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import (
    BadSignature,
    Channel,
    ChannelError,
    Mismatch,
    NotConfigured,
    Notice,
    NoticeKind,
    NoticeReply,
    UnknownKey,
)
from apps.wallet.enums import NoticeState
from apps.wallet.errors import ChannelNotAvailable, NoticeNotFound, RechargeNotFound
from apps.wallet.merchants import key_unknown
from apps.wallet.models import MerchantAccount, PaymentNotice, Recharge

log = structlog.get_logger(__name__)

TRY_LATER = NoticeReply(status=500, content_type="text/plain", body=b"fail")
KEPT_HEADERS = ("content-type", "wechatpay-")
"""Headers that a signature is in; the others say nothing about the notice."""


def receive(*, channel: str, merchant_id: int, headers: Mapping[str, str], body: bytes) -> NoticeReply:
    """Take one raw notice and return the HTTP answer that the provider wants.

    Raises NoticeNotFound where there is no such merchant account. What cannot be believed is refused; what is genuine
    but cannot be read now is answered so that the provider sends it again.
    """
    merchant = MerchantAccount.objects.filter(pk=merchant_id, channel=channel).first()
    if merchant is None:
        raise NoticeNotFound
    moment = now()
    try:
        client = channel_of(merchant)
    except NotConfigured as error:
        log.error("notice_not_readable", merchant_id=merchant.pk, field=error.field)
        return TRY_LATER
    try:
        notice = client.parse_notice(headers, body, received_at=moment)
    except (BadSignature, Mismatch) as error:
        if isinstance(error, UnknownKey):
            key_unknown(merchant=merchant)  # the provider sends the notice again
        log.warning("notice_refused", channel=channel, merchant_id=merchant.pk, cause=str(error))
        return client.notice_refused
    except ChannelError as error:
        log.error("notice_not_readable", channel=channel, merchant_id=merchant.pk, cause=str(error))
        return TRY_LATER
    kept = {name.lower(): value for name, value in headers.items() if name.lower().startswith(KEPT_HEADERS)}
    with transaction.atomic():
        row, created = PaymentNotice.objects.get_or_create(
            channel=channel,
            merchant=merchant,
            event_id=notice.event_id,
            defaults={
                "kind": notice.kind,
                "number": _number(notice),
                "amount": _amount(notice),
                "headers": json.dumps(kept),
                "body": body.decode(),
                "received_at": moment,
                "last_received_at": moment,
            },
        )
        if created:
            transaction.on_commit(partial(_enqueue, row.pk))
        else:
            PaymentNotice.objects.filter(pk=row.pk).update(times=F("times") + 1, last_received_at=moment)
    log.info(
        "notice_received", channel=channel, event_id=notice.event_id, kind=notice.kind, again=not created
    )
    return client.notice_accepted


def process_notice(*, notice_id: int) -> PaymentNotice:
    """Do what a stored notice asks for. May be repeated; nothing happens twice.

    What cannot be done because it is wrong is marked as failed, for a person; what a database or a broker that is
    away prevents stays waiting. Raises NoticeNotFound.
    """
    row = PaymentNotice.objects.select_related("merchant").filter(pk=notice_id).first()
    if row is None:
        raise NoticeNotFound
    if row.state in {NoticeState.DONE, NoticeState.IGNORED}:
        return row
    recharge: Recharge | None = None
    state, error = NoticeState.DONE, ""
    try:
        notice = _parsed(channel_of(row.merchant), row)
        if notice.kind == NoticeKind.PAYMENT:
            recharge = _paid(notice, row)
        elif notice.kind == NoticeKind.REFUND:
            _refunded(notice)
        else:
            state = NoticeState.IGNORED
    except RechargeNotFound:
        state, error = NoticeState.FAILED, "unknown_order"
    except (ChannelError, ChannelNotAvailable) as wrong:
        state, error = NoticeState.FAILED, str(wrong)
    if state == NoticeState.FAILED:
        log.error("notice_failed", notice_id=row.pk, channel=row.channel, number=row.number, cause=error)
    row.state, row.error, row.processed_at = state, error[:100], now()
    row.recharge = recharge or _recharge_of(row)
    row.save(update_fields=["state", "error", "processed_at", "recharge"])
    return row


def pending_notices(*, older_than_s: int = 15, limit: int = 500) -> list[int]:
    """Return the notices that no task has processed: it was lost, or died on the way."""
    rows = PaymentNotice.objects.filter(state=NoticeState.RECEIVED).order_by("received_at")
    moment = now()
    return [
        pk
        for pk, received_at in rows.values_list("pk", "received_at")[:limit]
        if (moment - received_at).total_seconds() >= older_than_s
    ]


def _parsed(client: Channel, row: PaymentNotice) -> Notice:
    return client.parse_notice(json.loads(row.headers), row.body.encode(), received_at=row.received_at)


def _paid(notice: Notice, row: PaymentNotice) -> Recharge:
    """Book a payment. The top-up has to be one of this very merchant account."""
    assert notice.trade is not None
    recharge = Recharge.objects.filter(
        recharge_no=notice.trade.out_trade_no, merchant_id=row.merchant_id
    ).first()
    if recharge is None:
        raise RechargeNotFound
    return recharges.accept_trade(recharge=recharge, trade=notice.trade)


def _refunded(notice: Notice) -> None:
    """Let the refund be asked for, by its number: the notice itself moves no money."""
    if notice.refund is not None and notice.refund.out_refund_no:
        refunds.refund_reported(out_refund_no=notice.refund.out_refund_no)


def _recharge_of(row: PaymentNotice) -> Recharge | None:
    return Recharge.objects.filter(recharge_no=row.number, merchant_id=row.merchant_id).first()


def _number(notice: Notice) -> str:
    if notice.trade is not None:
        return notice.trade.out_trade_no
    return notice.refund.out_trade_no if notice.refund is not None else ""


def _amount(notice: Notice) -> object:
    if notice.kind == NoticeKind.PAYMENT and notice.trade is not None:
        return notice.trade.amount
    return notice.refund.amount if notice.refund is not None else None


def _enqueue(notice_id: int) -> None:
    from apps.wallet import tasks

    # With the broker away `process_notices` finds the notice.
    enqueue(tasks.process_notice, notice_id)
