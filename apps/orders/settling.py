"""From a stored transaction record to money: audit, bill, charge, done. Once per order, however often it is tried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from django.db import connection, transaction
from django.db.models import Value
from django.db.models.functions import Coalesce

from apps.common.bulk import update_rows
from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.orders import unbilled
from apps.orders.audit import ClassFacts, Finding, RecordFacts, audit
from apps.orders.audit import Verdict as AuditVerdict
from apps.orders.clock import offset_of_record
from apps.orders.desk import WORKED_OFF, Desk, samples_of_charges
from apps.orders.enums import OrderState, RecordState, Verdict
from apps.orders.guns import guns_of
from apps.orders.models import BillingPolicy, BillLine, Order, ParallelLeg, TransactionRecord
from apps.orders.moves import gathered, move, note
from apps.orders.offline import order_of_offline_card
from apps.orders.paying import pay_bill
from apps.orders.selectors import Sampled
from apps.orders.settlement import Bill, SettlementError, billable_energies, settle
from apps.piles.enums import AlarmKind
from apps.piles.models import Connector, Pile
from apps.piles.reports import TransactionReport
from apps.piles.services import raise_alarm
from apps.pricing.tariff import RateClass

log = structlog.get_logger(__name__)

SETTLEABLE = frozenset(
    {OrderState.STARTING, OrderState.CHARGING, OrderState.STOPPING, OrderState.FAILED, OrderState.ABNORMAL}
)
PLAIN = (OrderState.STARTING, OrderState.CHARGING, OrderState.STOPPING)
"""States that no order keeps, or gets back, when a record of it is worked off."""
UNASKED = [
    "preset_amount",
    "limit_energy_kwh",
    "limit_minutes",
    "limit_soc_percent",
    "plate",
    "enterprise_member",
    "start_sent_at",
    "start_answered_at",
    "stop_requested_at",
    "stop_confirmed_at",
    "vin",
    "card_no",
    "abort_words",
    "refunded_electricity",
    "refunded_service",
    *(
        f"connector__{path}{field.name}"
        for path, model, asked in (
            ("", Connector, {"id", "pile", "code", "connector_no", "power_kw"}),
            ("pile__", Pile, {"id", "pile_code", "clock_offset_s"}),
        )
        for field in model._meta.concrete_fields
        if field.name not in asked
    ),
]
"""Columns of an order, its gun and its pile that no settlement of a plain record looks at."""
AT_ONCE = 100
"""Records in one transaction: what they lock is released, and their drivers see the bill, well within a second."""


def store_record(
    *,
    report: TransactionReport,
    received_at: datetime,
    body: bytes = b"",
    frame_type: int = 0x3B,
    protocol: str = "ykc",
) -> TransactionRecord:
    """Store a record as the gateway's group commit does, for callers without a socket. Repeating it adds nothing."""
    content = body or json.dumps(report.to_json(), sort_keys=True).encode()
    record, _ = TransactionRecord.objects.get_or_create(
        transaction_no=report.transaction_no,
        pile_code=report.pile_code,
        connector_no=report.connector_no,
        digest=hashlib.sha256(content).hexdigest(),
        defaults={
            "connection_pile_code": report.pile_code,
            "protocol": protocol,
            "frame_type": frame_type,
            "body": content,
            "report": report.to_json(),
            "received_at": received_at,
        },
    )
    return record


@dataclass(frozen=True)
class Outcome:
    """What became of a stored record: `settled`, `held`, `waiting` (for other guns), `quarantined`, or `error`.

    `detail` is the reason of the quarantine or the error; `payable` is that of a settled order, yuan.
    """

    record_id: int
    transaction_no: str
    result: str
    order_no: str = ""
    payable: Decimal | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Amounts as text."""
        payable = None if self.payable is None else str(self.payable)
        return {**asdict(self), "payable": payable}


def settle_pending(*, limit: int = 500) -> int:
    """Settle stored records, oldest first: one that cannot be settled stops no other.

    Returns how many were worked off. A record that raised stays stored and is found again.
    """
    return sum(outcome.result != "error" for outcome in settle_waiting(limit=limit))


def settle_waiting(*, limit: int = 500, dry_run: bool = False) -> list[Outcome]:
    """Settle stored records as `settle_pending` does, and return what became of each.

    Plain ones are settled many in a transaction, which several workers share without waiting for each other; when one
    of them raises, each of them is settled on its own, as are all that are not plain. A dry run takes each record back
    again: nothing is written, no alarm raised, nobody told.
    """
    outcomes: dict[int, Outcome] = {}
    while not dry_run and len(outcomes) < limit:
        claimed = settle_plain(limit=min(AT_ONCE, limit - len(outcomes)), passed_over=list(outcomes))
        if not claimed:
            break
        outcomes |= claimed
    waiting = TransactionRecord.objects.filter(state=RecordState.STORED).exclude(pk__in=list(outcomes))
    if not dry_run:
        # Those that another worker has claimed are its own; to wait for each of them would take its time once more.
        waiting = waiting.select_for_update(skip_locked=True)
    with transaction.atomic():
        rest = list(
            waiting.order_by("received_at", "id").values_list("pk", "transaction_no")[: limit - len(outcomes)]
        )
    for record_id, transaction_no in rest:
        outcomes[record_id] = _outcome(record_id, transaction_no, dry_run=dry_run)
    return list(outcomes.values())


def settle_plain(*, limit: int, passed_over: Sequence[int] = ()) -> dict[int, Outcome]:
    """Settle the oldest plain records that nobody works on, up to `limit` in one transaction; by the record's id.

    Plain is the first record of a running order of one gun, sent for that gun. Orders are claimed, not waited for.
    """
    claimed: dict[int, int] = {}
    try:
        with transaction.atomic(), gathered():
            claimed = _claim(limit, passed_over)
            settled = _settle_claimed(claimed) if claimed else []
        return {record.pk: _told(record) for record in settled}
    except Exception as error:  # noqa: BLE001 - what it is, and whose, is seen when each is settled on its own
        log.warning("settled_one_by_one", count=len(claimed), error=f"{type(error).__name__}: {error}"[:300])
    alone = TransactionRecord.objects.filter(pk__in=claimed).order_by("received_at", "id")
    return {
        record_id: _outcome(record_id, transaction_no, dry_run=False)
        for record_id, transaction_no in alone.values_list("pk", "transaction_no")
    }


CLAIM = """
    SELECT record.id, orders_order.id
      FROM orders_transactionrecord AS record
      JOIN orders_order USING (transaction_no)
      JOIN piles_connector ON piles_connector.id = orders_order.connector_id
     WHERE record.state = 'stored' AND record.report IS NOT NULL AND record.id <> ALL (%(passed_over)s)
       AND orders_order.state = ANY (%(states)s) AND orders_order.parallel_seq = ''
       AND piles_connector.code = record.pile_code || record.connector_no
       AND NOT EXISTS (SELECT FROM orders_transactionrecord AS other
                        WHERE other.transaction_no = record.transaction_no AND other.id <> record.id)
     ORDER BY record.received_at, record.id LIMIT %(limit)s
       FOR UPDATE OF orders_order SKIP LOCKED"""


def _claim(limit: int, passed_over: Sequence[int]) -> dict[int, int]:
    """Lock the orders of plain records that nobody works on; returns the record's id → the order's.

    An order that was settled since the statement began is looked at anew when it is locked, and is not running then.
    """
    values = {"limit": limit, "passed_over": list(passed_over), "states": [state.value for state in PLAIN]}
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, values)
        return dict(cursor.fetchall())


def _settle_claimed(claimed: dict[int, int]) -> list[TransactionRecord]:
    """Settle records whose orders are locked, in one go."""
    moment = now()
    known = (
        Order.objects.select_related("connector__pile", "coupon").defer(*UNASKED).in_bulk(claimed.values())
    )
    stored = TransactionRecord.objects.select_for_update(of=["self"]).filter(state=RecordState.STORED)
    records = list(stored.filter(pk__in=claimed).defer("body").order_by("received_at", "id"))
    for record in records:
        record.order, record.processed_at = known[claimed[record.pk]], moment
    desk = Desk([(record.order, [record]) for record in records])
    for record in records:
        _settle_at(desk, record.order, [record], moment, None)
    desk.records += records
    desk.worked_off += [record.pk for record in records]
    desk.write()
    return records


def _outcome(record_id: int, transaction_no: str, *, dry_run: bool) -> Outcome:
    try:
        if not dry_run:
            return _told(settle_record(record_id=record_id))
        with transaction.atomic():
            outcome = _told(settle_record(record_id=record_id))
            transaction.set_rollback(True)
        return outcome
    except Exception as error:
        log.exception("settlement_failed", record_id=record_id)
        return Outcome(record_id, transaction_no, "error", detail=f"{type(error).__name__}: {error}"[:300])


def _told(record: TransactionRecord) -> Outcome:
    order = record.order
    return Outcome(
        record_id=record.pk,
        transaction_no=record.transaction_no,
        result=record.state,
        order_no=order.order_no if order else "",
        payable=order.payable if order and record.state == RecordState.SETTLED else None,
        detail=record.reason,
    )


def settle_record(*, record_id: int, at: datetime | None = None) -> TransactionRecord:
    """Settle one stored record: find its order, audit, bill and charge it, or quarantine the record with a reason.

    Does nothing for a record that was worked off already.
    """
    moment = at or now()
    with transaction.atomic(), gathered():
        record = TransactionRecord.objects.select_related("order").defer("body").get(pk=record_id)
        if record.state != RecordState.STORED:
            return record
        order = _lock_order(record.transaction_no)
        record = TransactionRecord.objects.select_for_update().get(pk=record_id)
        if record.state != RecordState.STORED:
            return record
        transaction.on_commit(partial(unbilled.records_worked_off, record_ids=[record_id]), robust=True)
        made = order_of_offline_card(record, moment) if order is None else None
        reason, alarm = _why_not(record, order)
        if made is not None:
            order = made
        elif reason:
            _quarantine(record, reason, alarm, moment)
            return record
        assert order is not None
        record.order = order
        record.processed_at = moment
        records = _records(order, record)
        if len(records) < len(guns_of(order)):
            _wait(order, record, moment)
            record.save(update_fields=WORKED_OFF)
            return record
        _settle(order, records, moment, at)
        update_rows(records, WORKED_OFF)
    return record


def _lock_order(transaction_no: str) -> Order | None:
    """Lock and return the order of a transaction number, of its main gun or a further one."""
    orders = Order.objects.select_for_update(of=["self"]).select_related("connector__pile", "customer")
    order = orders.filter(transaction_no=transaction_no).first()
    if order is None:
        legs = ParallelLeg.objects.filter(transaction_no=transaction_no)
        order = orders.filter(pk__in=legs.values("order")).first()
    return order


def _records(order: Order, record: TransactionRecord) -> list[TransactionRecord]:
    """Return the records that an order is settled by, that of its main gun first: this one, and those that wait."""
    if not order.parallel_seq:
        return [record]
    waiting = order.records.select_for_update().filter(state__in=[RecordState.WAITING, RecordState.HELD])
    found = {row.transaction_no: row for row in waiting} | {record.transaction_no: record}
    return [found[gun.transaction_no] for gun in guns_of(order) if gun.transaction_no in found]


def _wait(order: Order, record: TransactionRecord, moment: datetime) -> None:
    """Keep a record of one gun until those of the others are there; its gun is free from now on."""
    record.state = RecordState.WAITING
    order.legs.filter(transaction_no=record.transaction_no).update(
        is_live=False, ended_at=Coalesce("ended_at", Value(record.received_at))
    )
    pile = Actor("pile", record.pile_code, record.pile_code)
    note(order, "gun_record_arrived", pile, moment, record=record.pk, connector=record.connector_no)


def settle_without_the_rest(order: Order, at: datetime) -> bool:
    """Close a failed start over several guns of which only some ever sent a record. Returns whether it was.

    The order is locked. A gun that never started sends none: records without energy say that nothing happened. With
    energy it is a person's to decide (ABNORMAL).
    """
    records = list(order.records.select_for_update().filter(state=RecordState.WAITING))
    if not records:
        return False
    if any(record.decoded.total_energy_kwh for record in records):
        move(order, OrderState.SETTLING, "record_arrived", SYSTEM, at)
        move(order, OrderState.ABNORMAL, "record_missing", SYSTEM, at)
        state = RecordState.HELD
    else:
        note(order, "nothing_charged", SYSTEM, at)
        state = RecordState.SETTLED
    order.records.filter(pk__in=[record.pk for record in records]).update(state=state)
    return True


def _why_not(record: TransactionRecord, order: Order | None) -> tuple[str, AlarmKind]:
    """Why a record cannot be settled, and the alarm to raise; no reason for one that can."""
    if record.report is None:
        return "undecodable", AlarmKind.UNKNOWN_RECORD
    if order is None:
        return "unknown_transaction", AlarmKind.UNKNOWN_RECORD
    guns = {gun.transaction_no: gun.connector.code for gun in guns_of(order)}
    if guns.get(record.transaction_no) != f"{record.pile_code}{record.connector_no}":
        return "other_connector", AlarmKind.FOREIGN_RECORD
    known = TransactionRecord.objects.filter(order=order, transaction_no=record.transaction_no)
    if known.exclude(pk=record.pk).exists():
        return "differs_from_first", AlarmKind.DIFFERING_RECORD
    if order.state not in SETTLEABLE:
        return "order_closed", AlarmKind.DIFFERING_RECORD
    return "", AlarmKind.UNKNOWN_RECORD


def _quarantine(record: TransactionRecord, reason: str, alarm: AlarmKind, at: datetime) -> None:
    record.state = RecordState.QUARANTINED
    record.reason = reason
    record.processed_at = at
    record.save(update_fields=["state", "reason", "processed_at"])
    raise_alarm(
        kind=alarm,
        pile_code=record.pile_code,
        connector_no=record.connector_no,
        subject=record.transaction_no,
        detail={"reason": reason, "record": record.pk},
    )
    log.warning("record_quarantined", transaction_no=record.transaction_no, reason=reason)


def settle_by_hand(
    order: Order, record: TransactionRecord, moment: datetime, at: datetime | None = None
) -> None:
    """Settle a locked order of one gun by a locked record that a person chose for it, of whatever number."""
    with gathered():
        _settle(order, [record], moment, at)
    record.save()


@dataclass(frozen=True)
class Assessment:
    """What records say of an order: the audit's verdict and findings, and the bill (None: nothing can be billed)."""

    verdict: Verdict
    findings: list[Finding]
    energies: dict[RateClass, Decimal]
    bill: Bill | None


def assess(
    order: Order,
    records: list[TransactionRecord],
    policy: BillingPolicy,
    clock_offset_s: Decimal | None = None,
    samples: Mapping[str, Sampled] | None = None,
) -> Assessment:
    """Audit the decoded records of an order and work out its bill; writes nothing.

    Of several guns (records in the order of `guns_of`) energies are added by class, then billed once. `samples`: what
    `samples_of_charges` returned, where that was asked before.
    """
    known = samples_of_charges([(order, records)]) if samples is None else samples
    guns = {gun.transaction_no: gun.connector for gun in guns_of(order)}
    facts = [
        _facts(
            order,
            guns.get(record.transaction_no, order.connector),
            record,
            clock_offset_s,
            known.get(record.transaction_no),
        )
        for record in records
    ]
    tariff, rules = order.frozen_tariff(), policy.rules()
    audits = [audit(fact, tariff, rules) for fact in facts]
    findings = [finding for result in audits for finding in result.findings]
    verdict = Verdict(max((result.verdict for result in audits), key=list(AuditVerdict).index).value)
    energies: dict[RateClass, Decimal] = {}
    for fact in facts:
        billed = billable_energies(fact.metered, fact.loss, use_loss=policy.use_loss)
        for rate_class, energy in billed.items():
            energies[rate_class] = energies.get(rate_class, Decimal(0)) + energy
    try:
        bill = settle(energies, order.frozen_retail_tariff() if order.is_retail else tariff)
    except SettlementError as error:
        bill = None
        verdict = Verdict.HELD
        if not any(finding.code == "unpriced_energy" for finding in findings):
            findings.append(Finding("unpriced_energy", AuditVerdict.HELD, {"error": str(error)}))
    return Assessment(verdict, findings, energies, bill)


def settle_again(order: Order, records: list[TransactionRecord], moment: datetime) -> None:
    """Settle a locked order in SETTLING once more by its locked records, as if they came now."""
    with gathered():
        _settle(order, records, moment, None, measure=False)
    update_rows(records, WORKED_OFF)


def _settle(
    order: Order,
    records: list[TransactionRecord],
    moment: datetime,
    at: datetime | None,
    *,
    measure: bool = True,
) -> None:
    desk = Desk([(order, records)])
    _settle_at(desk, order, records, moment, at, measure=measure)
    desk.write()


def _settle_at(
    desk: Desk,
    order: Order,
    records: list[TransactionRecord],
    moment: datetime,
    at: datetime | None,
    *,
    measure: bool = True,
) -> None:
    """Bill an order by its record, or by those of all its guns; `measure` where they tell of the pile's clock."""
    reports = [record.decoded for record in records]
    main, first = records[0], reports[0]
    pile = Actor("pile", main.pile_code, main.pile_code)
    if order.state != OrderState.SETTLING:  # as an order is made that a record begins
        move(order, OrderState.SETTLING, "record_arrived", pile, moment, record=records[-1].pk)
    offset_s = _clock(desk, order, main, first) if measure else order.connector.pile.clock_offset_s
    take_times(order, records)
    found = assess(order, records, desk.policy, offset_s, desk.samples)
    order.verdict = found.verdict
    order.findings = [finding.to_json() for finding in found.findings]
    if found.bill is None or found.verdict == Verdict.HELD:
        _hold_for_review(order, found.bill, moment)
        state = RecordState.HELD
    else:
        _charge(desk, order, reports, bill=found.bill, moment=moment, at=at)
        state = RecordState.SETTLED
    for record in records:
        record.state = state
    desk.orders.append(order)


def take_times(order: Order, records: list[TransactionRecord]) -> None:
    """Take begin, end and the reason of the end from an order's records."""
    reports = [record.decoded for record in records]
    starts = [report.start_time for report in reports if report.start_time]
    order.started_at = min(starts, default=order.charging_at)
    order.ended_at = max(
        report.end_time or record.received_at for report, record in zip(reports, records, strict=True)
    )
    order.stop_code = reports[0].stop_code
    order.waiting_for_plug = False


def _clock(desk: Desk, order: Order, record: TransactionRecord, report: TransactionReport) -> Decimal | None:
    """How far the pile's clock is off by this record, which is kept with the pile; else what was measured before.

    Of several guns nobody knows whose end was seen.
    """
    offset_s = None
    if report.end_time and not order.parallel_seq:
        offset_s = offset_of_record(
            end_time=report.end_time, received_at=record.received_at, ended_seen=order.ended_at
        )
    if offset_s is None:
        return order.connector.pile.clock_offset_s
    desk.clocks.append((record.pile_code, offset_s, record.received_at))
    return offset_s


def _facts(
    order: Order,
    connector: Connector,
    record: TransactionRecord,
    clock_offset_s: Decimal | None,
    sample: Sampled | None,
) -> RecordFacts:
    """The record in the audit's words. A time that the pile left out is taken from the platform's own clock."""
    report = record.decoded
    return RecordFacts(
        classes={
            RateClass(name): ClassFacts(
                price=period.price,
                energy_kwh=period.energy_kwh,
                loss_energy_kwh=period.loss_energy_kwh,
                amount=period.amount,
            )
            for name, period in report.periods.items()
        },
        total_kwh=report.total_energy_kwh,
        total_loss_kwh=report.total_loss_energy_kwh,
        total_amount=report.total_amount,
        meter_start=report.meter_start,
        meter_end=report.meter_end,
        start_time=report.start_time or order.charging_at or order.created_at,
        end_time=report.end_time or record.received_at,
        received_at=record.received_at,
        power_kw=connector.power_kw,
        charging_since=order.charging_at,
        clock_offset_s=clock_offset_s,
        sampled_kwh=sample.energy_kwh if sample else None,
        sampled_at=sample.at if sample else None,
    )


def _hold_for_review(order: Order, bill: Bill | None, moment: datetime) -> None:
    """Leave the money held and the decision to a person; what the bill would be is kept as a proposal."""
    proposal = (
        {"electricity_fee": str(bill.electricity_fee), "service_fee": str(bill.service_fee)} if bill else {}
    )
    move(order, OrderState.ABNORMAL, "held_for_review", SYSTEM, moment, proposal=proposal)


def charge(
    order: Order,
    reports: list[TransactionReport],
    *,
    bill: Bill,
    moment: datetime,
    at: datetime | None,
) -> None:
    """Pay a bill and complete a locked order in SETTLING; the caller saves the order."""
    desk = Desk([(order, [])])
    _charge(desk, order, reports, bill=bill, moment=moment, at=at)
    desk.write()


def _charge(
    desk: Desk,
    order: Order,
    reports: list[TransactionReport],
    *,
    bill: Bill,
    moment: datetime,
    at: datetime | None,
) -> None:
    pay_bill(order, bill, cashier=desk.cashier, moment=moment, at=at)
    desk.lines.extend(
        BillLine(
            order=order,
            rate_class=line.rate_class.value,
            energy_kwh=line.energy_kwh,
            electricity_price=line.electricity_price,
            service_price=line.service_price,
            electricity_fee=line.electricity_fee,
            service_fee=line.service_fee,
            pile_amount=sum(
                (
                    report.periods[line.rate_class.value].amount
                    for report in reports
                    if line.rate_class.value in report.periods
                ),
                Decimal(0),
            ),
        )
        for line in bill.lines
    )
    order.energy_kwh = bill.energy_kwh
    order.settled_at = moment
    if order.verdict == Verdict.FLAGGED:
        note(order, "flagged", SYSTEM, moment, findings=[finding["code"] for finding in order.findings])
    move(order, OrderState.COMPLETED, "settled", SYSTEM, moment, payable=str(order.payable))
    desk.settled.append(order)
