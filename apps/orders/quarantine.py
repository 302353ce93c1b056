"""Records in quarantine: which orders they may belong to, and what a person decides about them.

A person matches a record to an order, which settles as by any record (audit, bill, hold), or rejects it with a reason.
A rejected record is kept like every other (rule of records: nothing is thrown away).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from apps.common.ids import Actor
from apps.common.time import now
from apps.orders.enums import OrderState, RecordState
from apps.orders.errors import NotInQuarantine, NotMatchable
from apps.orders.models import Order, TransactionRecord
from apps.orders.moves import note
from apps.orders.settling import settle_by_hand
from apps.orders.wording import unmatchable_words
from apps.piles.enums import AlarmKind
from apps.piles.services import close_alarm

log = structlog.get_logger(__name__)

WAITING = frozenset({OrderState.ABNORMAL, OrderState.FAILED})
"""Orders that a record may be given to by hand: a live one may still get its own, a completed one is billed."""
NEAR = timedelta(hours=6)
PREFIX = 22
"""Of a transaction number: pile, gun and date, which a pile that garbled its counter still sends right."""
MOST_CANDIDATES = 20
ALARMS = (AlarmKind.UNKNOWN_RECORD, AlarmKind.FOREIGN_RECORD, AlarmKind.DIFFERING_RECORD)


@dataclass(frozen=True)
class Candidate:
    """An order that a record may belong to. `obstacle` is why it cannot be matched, "" for one that can."""

    order: Order
    same_number: bool
    same_prefix: bool
    distance: timedelta
    obstacle: str


def candidates(*, record: TransactionRecord) -> list[Candidate]:
    """Return the likely orders: of the same number first, then of the same prefix, then the nearest in time."""
    begin, end = _span(record)
    near = Q(
        connector__code=f"{record.pile_code}{record.connector_no}",
        created_at__gt=begin - NEAR,
        created_at__lt=end + NEAR,
    )
    number = record.transaction_no
    alike = Q(transaction_no=number)
    if len(number) > PREFIX and number[:PREFIX].strip("0"):
        alike |= Q(transaction_no__startswith=number[:PREFIX])
    others = TransactionRecord.objects.filter(order=OuterRef("pk")).exclude(pk=record.pk)
    found = (
        Order.objects.filter(near | alike)
        .annotate(has_record=Exists(others))
        .select_related("connector", "customer", "station")
        .order_by("-id")[: 5 * MOST_CANDIDATES]
    )
    rows = [
        Candidate(
            order=order,
            same_number=order.transaction_no == number,
            same_prefix=order.transaction_no[:PREFIX] == number[:PREFIX],
            distance=abs((order.charging_at or order.created_at) - begin),
            obstacle=_obstacle(record, order, has_record=order.has_record),
        )
        for order in found
    ]
    rows.sort(key=lambda row: (not row.same_number, not row.same_prefix, row.distance))
    return rows[:MOST_CANDIDATES]


def match(
    *, record_id: int, order_no: str, reason: str, actor: Actor, at: datetime | None = None
) -> TransactionRecord:
    """Settle an order by a quarantined record, as a person decided.

    The order is audited and billed as by any record: what the audit holds stays abnormal, with its proposal. Matching
    the same record to the same order again changes nothing. Raises NotInQuarantine, NotMatchable.
    """
    moment = at or now()
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(of=["self"])
            .select_related("connector__pile", "customer")
            .filter(order_no=order_no)
            .first()
        )
        record = TransactionRecord.objects.select_for_update().get(pk=record_id)
        if order is not None and record.decided_by and record.order_id == order.pk:
            return record
        if record.state != RecordState.QUARANTINED:
            raise NotInQuarantine
        taken = (
            order is not None and TransactionRecord.objects.filter(order=order).exclude(pk=record.pk).exists()
        )
        if obstacle := _obstacle(record, order, has_record=taken):
            raise NotMatchable(why=unmatchable_words(obstacle), reason=obstacle)
        assert order is not None
        note(order, "record_matched", actor, moment, record=record.pk, reason=reason)
        _decide(record, actor, reason, moment)
        record.order = order
        settle_by_hand(order, record, moment, at)
    log.info("record_matched", record_id=record_id, order_no=order_no, by=actor.name)
    return record


def reject(*, record_id: int, reason: str, actor: Actor, at: datetime | None = None) -> TransactionRecord:
    """Close a quarantined record without billing anything; it is kept.

    Rejecting it again changes nothing. Raises NotInQuarantine.
    """
    moment = at or now()
    with transaction.atomic():
        record = TransactionRecord.objects.select_for_update().get(pk=record_id)
        if record.state == RecordState.REJECTED:
            return record
        if record.state != RecordState.QUARANTINED:
            raise NotInQuarantine
        _decide(record, actor, reason, moment)
        record.state = RecordState.REJECTED
        record.save()
    log.info("record_rejected", record_id=record_id, by=actor.name)
    return record


def _obstacle(record: TransactionRecord, order: Order | None, *, has_record: bool) -> str:
    if record.report is None:
        return "undecodable"
    if order is None:
        return "no_order"
    if has_record:
        return "has_record"
    if order.parallel_seq:
        return "several_guns"
    if order.state not in WAITING:
        return "order_state"
    return ""


def _decide(record: TransactionRecord, actor: Actor, reason: str, at: datetime) -> None:
    record.decided_by = actor.name[:100]
    record.decision = reason[:200]
    record.processed_at = at
    places = {(record.pile_code, record.connector_no), (record.connection_pile_code, "")}
    for kind in ALARMS:
        for pile_code, connector_no in places:
            close_alarm(
                kind=kind, pile_code=pile_code, connector_no=connector_no, subject=record.transaction_no
            )


def _span(record: TransactionRecord) -> tuple[datetime, datetime]:
    """Return when the charge of a record was; of a record without times, when it came."""
    report = record.decoded if record.report else None
    begin = (report and report.start_time) or record.received_at
    end = (report and report.end_time) or record.received_at
    return begin, end
