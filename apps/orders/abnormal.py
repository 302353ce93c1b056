"""Orders that wait for a person (product.md rules 4 and 6): what is known of each, and how it is closed.

The audit held its record, its record never came, or its pile is lost. A person recomputes it (after a policy or a
record changed), settles it as proposed, enters other energies, or closes it without a bill; a second person approves by
the tenant's rules. Energies are always billed by the frozen tariffs, so a bill line stays energy times price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import structlog
from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals
from apps.backoffice.approvals import Operation
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.money import AmountError, parse_decimal
from apps.common.time import now
from apps.coupons import services as coupons
from apps.orders.enums import OrderState, RecordState, Verdict
from apps.orders.errors import (
    EnergyInvalid,
    NotAbnormal,
    NotEndable,
    NothingToBill,
    OrderNotFound,
    ProposalChanged,
    StillCharging,
)
from apps.orders.guns import guns_of
from apps.orders.models import Order, TransactionRecord
from apps.orders.moves import move
from apps.orders.selectors import billing_policy, samples_of
from apps.orders.services import send_stop
from apps.orders.settlement import Bill, SettlementError, settle
from apps.orders.settling import Assessment, assess, charge, settle_again, take_times
from apps.piles.enums import AlarmKind
from apps.piles.services import close_alarm
from apps.pricing.tariff import RateClass, Tariff
from apps.wallet import services as wallet

log = structlog.get_logger(__name__)

ENERGY_PLACES = 4
ENDABLE = frozenset({OrderState.STARTING, OrderState.CHARGING, OrderState.STOPPING})
_HELD = (RecordState.HELD, RecordState.WAITING)


# --- What is known ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evidence:
    """What there is to decide by: the records, what they would be billed, and what was reported while charging."""

    records: list[TransactionRecord]
    assessment: Assessment | None
    sampled: dict[RateClass, Decimal]


def evidence(*, order: Order) -> Evidence:
    """Return what is known of an abnormal order; writes nothing."""
    records = records_of(order)
    found = None
    if is_complete(order, records):
        found = assess(order, records, billing_policy(), order.connector.pile.clock_offset_s)
    return Evidence(records, found, sampled_energies(order))


def records_of(order: Order, *, lock: bool = False) -> list[TransactionRecord]:
    """Return the decoded records that wait with an order, that of its main gun first."""
    rows = order.records.filter(state__in=_HELD, report__isnull=False).order_by("id")
    if lock:
        rows = rows.select_for_update()
    found = {row.transaction_no: row for row in rows}
    mine = [gun.transaction_no for gun in guns_of(order)]
    # A person may have matched a record of another number.
    return [found[number] for number in [*mine, *(set(found) - set(mine))] if number in found]


def is_complete(order: Order, records: list[TransactionRecord]) -> bool:
    """Return whether there is a record of every gun."""
    return bool(records) and len(records) >= len(guns_of(order))


def sampled_energies(order: Order) -> dict[RateClass, Decimal]:
    """Return the energy by class, kWh, that the guns reported while charging: each step by the class of its time."""
    tariff = order.frozen_retail_tariff()
    energies: dict[RateClass, Decimal] = {}
    last: dict[str, Decimal] = {}
    if not tariff.slots:
        return {}
    for sample in samples_of(order):
        step = sample.energy_kwh - last.get(sample.transaction_no, Decimal(0))
        if step <= 0:  # a meter that was set back at the end
            continue
        last[sample.transaction_no] = sample.energy_kwh
        rate_class = tariff.class_at(sample.at)
        energies[rate_class] = energies.get(rate_class, Decimal(0)) + step
    return {rate_class: energies[rate_class] for rate_class in RateClass if rate_class in energies}


def energies_of(words: Mapping[str, str], tariff: Tariff) -> dict[RateClass, Decimal]:
    """Read energies by class ("12.3456", kWh). Raises EnergyInvalid for what is none, or of a class without a price."""
    energies = {}
    for name, text in words.items():
        try:
            energy = parse_decimal(text, ENERGY_PLACES)
            rate_class = RateClass(name)
        except (AmountError, ValueError) as error:
            raise EnergyInvalid(why=str(error)) from None
        if energy < 0:
            raise EnergyInvalid(why=f"{name} {energy}")
        if energy and rate_class not in tariff.prices:
            raise EnergyInvalid(why=_("there is no price for %(name)s") % {"name": name})
        energies[rate_class] = energy
    return energies


def _bill(energies: Mapping[RateClass, Decimal], order: Order) -> Bill:
    try:
        return settle(energies, order.frozen_retail_tariff())
    except SettlementError as error:
        raise EnergyInvalid(why=str(error)) from None


# --- Asking -----------------------------------------------------------------------------------------------


def request_recompute(*, order_no: str, actor: Actor, reason: str, address: str | None = None) -> Approval:
    """Ask to audit and settle an abnormal order anew, by the records and the policy of now.

    What the audit still holds stays abnormal. Raises NotAbnormal, NothingToBill and what `approvals.request` raises.
    """
    order = _abnormal(order_no)
    found = _assessed(order)
    changes = _changes(order, found.bill)
    if found.verdict == Verdict.HELD:
        del changes["state"]
    changes["verdict"] = [order.verdict or None, found.verdict.value]
    return approvals.request(
        RECOMPUTE,
        order,
        {"order_no": order_no},
        actor,
        reason,
        amount=found.bill.total if found.bill else None,
        changes=changes,
        address=address,
    )


def request_settlement(*, order_no: str, actor: Actor, reason: str, address: str | None = None) -> Approval:
    """Ask to settle an abnormal order by its records, although the audit holds them.

    Raises NotAbnormal, NothingToBill and what `approvals.request` raises.
    """
    order = _abnormal(order_no)
    bill = _proposal(order)
    payload = {"order_no": order_no, "total": str(bill.total), "energy_kwh": str(bill.energy_kwh)}
    changes = _changes(order, bill)
    return approvals.request(
        SETTLE, order, payload, actor, reason, amount=bill.total, changes=changes, address=address
    )


def request_adjustment(
    *, order_no: str, energies: Mapping[str, str], actor: Actor, reason: str, address: str | None = None
) -> Approval:
    """Ask to settle an abnormal order by energies that a person entered ({class: kWh as text}), at frozen prices.

    Raises NotAbnormal, EnergyInvalid and what `approvals.request` raises.
    """
    order = _abnormal(order_no)
    wanted = energies_of(energies, order.frozen_retail_tariff())
    bill = _bill(wanted, order)
    found = evidence(order=order).assessment
    told = found.bill.total if found and found.bill else Decimal(0)
    payload = {"order_no": order_no, "energies": {name.value: str(kwh) for name, kwh in wanted.items()}}
    changes = _changes(order, bill, before=found)
    return approvals.request(
        ADJUST, order, payload, actor, reason, amount=max(bill.total, told), changes=changes, address=address
    )


def request_closing(*, order_no: str, actor: Actor, reason: str, address: str | None = None) -> Approval:
    """Ask to close an abnormal order without a bill: its hold and its coupon are given back.

    Raises NotAbnormal and what `approvals.request` raises.
    """
    order = _abnormal(order_no)
    found = evidence(order=order).assessment
    forgone = found.bill.total if found and found.bill else None
    changes = {
        "state": [order.state, OrderState.COMPLETED.value],
        gettext_noop("bill (yuan)"): [forgone, Decimal("0.00")],
    }
    return approvals.request(
        CLOSE, order, {"order_no": order_no}, actor, reason, amount=forgone, changes=changes, address=address
    )


def request_force_end(*, order_no: str, actor: Actor, reason: str, address: str | None = None) -> Approval:
    """Ask to end an order that is under way although its pile says nothing: it becomes abnormal, its gun is free.

    Raises OrderNotFound, NotEndable, StillCharging and what `approvals.request` raises.
    """
    order = _order(order_no)
    _check_endable(order)
    changes = {"state": [order.state, OrderState.ABNORMAL.value]}
    return approvals.request(
        FORCE_END, order, {"order_no": order_no}, actor, reason, changes=changes, address=address
    )


def _changes(order: Order, bill: Bill | None, *, before: Assessment | None = None) -> dict[str, list[Any]]:
    """What the second person reads: energies by class and fees, before (of the records) and after."""
    changes: dict[str, list[Any]] = {"state": [order.state, OrderState.COMPLETED.value]}
    energies = [_energies(before.bill if before else None), _energies(bill)]
    if energies != [None, None]:
        changes[gettext_noop("energy (kWh)")] = energies
    old = before.bill if before else None
    changes["electricity_fee"] = [old and old.electricity_fee, bill and bill.electricity_fee]
    changes["service_fee"] = [old and old.service_fee, bill and bill.service_fee]
    return changes


def _energies(bill: Bill | None) -> dict[str, str] | None:
    """Return {class: kWh} of a bill; None without one, and for one of nothing."""
    return {line.rate_class.value: str(line.energy_kwh) for line in bill.lines} or None if bill else None


# --- Doing (by the approvals) -----------------------------------------------------------------------------


def _recompute(payload: dict[str, Any], actor: Actor) -> None:
    order, moment = _lock(payload["order_no"]), now()
    records = records_of(order, lock=True)
    if not is_complete(order, records):
        raise NothingToBill
    move(order, OrderState.SETTLING, "recomputed", actor, moment, **_words(payload))
    settle_again(order, records, moment)
    log.info("order_recomputed", order_no=order.order_no, state=order.state, by=actor.name)


def _settle_as_proposed(payload: dict[str, Any], actor: Actor) -> None:
    order, moment = _lock(payload["order_no"]), now()
    records = records_of(order, lock=True)
    bill = _proposal(order, records)
    if str(bill.total) != payload["total"] or str(bill.energy_kwh) != payload["energy_kwh"]:
        raise ProposalChanged(now=bill.total, then=payload["total"])
    _settle_by_person(order, records, bill, "settled_as_proposed", actor, moment, payload)


def _adjust(payload: dict[str, Any], actor: Actor) -> None:
    order, moment = _lock(payload["order_no"]), now()
    records = records_of(order, lock=True)
    energies = {RateClass(name): Decimal(kwh) for name, kwh in payload["energies"].items()}
    bill = _bill(energies, order)
    _settle_by_person(order, records, bill, "adjusted", actor, moment, payload)


def _settle_by_person(  # noqa: PLR0917 - the parts of one decision
    order: Order,
    records: list[TransactionRecord],
    bill: Bill,
    kind: str,
    actor: Actor,
    moment: datetime,
    payload: dict[str, Any],
) -> None:
    reports = [record.decoded for record in records]
    words = _words(payload) | {
        "energies": {line.rate_class.value: str(line.energy_kwh) for line in bill.lines},
        "recorded": str(sum((report.total_energy_kwh for report in reports), Decimal(0))) if reports else "",
    }
    move(order, OrderState.SETTLING, kind, actor, moment, **words)
    if records:
        take_times(order, records)
    else:
        order.started_at = order.started_at or order.charging_at
        order.ended_at = order.ended_at or order.stop_requested_at or moment
    # A person has looked: it is listed, not held.
    order.verdict = Verdict.FLAGGED if order.findings else order.verdict
    charge(order, reports, bill=bill, moment=moment, at=None)
    order.save()
    _close_records(records, RecordState.SETTLED, payload, actor, moment)
    _close_alarms(order)
    log.info("order_settled_by_person", order_no=order.order_no, kind=kind, by=actor.name)


def _close_unbilled(payload: dict[str, Any], actor: Actor) -> None:
    order, moment = _lock(payload["order_no"]), now()
    records = records_of(order, lock=True)
    wallet.release_hold(order_no=order.order_no)
    coupons.release(order_no=order.order_no)
    order.coupon = None
    order.ended_at = order.ended_at or moment
    order.settled_at = moment
    order.waiting_for_plug = False
    move(order, OrderState.COMPLETED, "closed_without_bill", actor, moment, **_words(payload))
    order.save()
    _close_records(records, RecordState.REJECTED, payload, actor, moment)
    _close_alarms(order)
    log.info("order_closed_without_bill", order_no=order.order_no, by=actor.name)


def _force_end(payload: dict[str, Any], actor: Actor) -> None:
    order, moment = _lock(payload["order_no"], abnormal=False), now()
    _check_endable(order)
    if order.state == OrderState.STARTING:
        # Nothing was ever reported of it: it stops first, as any start that is given up.
        move(order, OrderState.STOPPING, "stop_requested", actor, moment)
    order.stop_requested_at = order.stop_requested_at or moment
    move(order, OrderState.ABNORMAL, "force_ended", actor, moment, **_words(payload))
    order.save()
    if order.connector.pile.is_online:
        send_stop(order, actor)
    log.info("order_force_ended", order_no=order.order_no, by=actor.name)


def _close_records(
    records: list[TransactionRecord],
    state: RecordState,
    payload: dict[str, Any],
    actor: Actor,
    moment: datetime,
) -> None:
    for record in records:
        record.state = state
        record.decided_by = actor.name[:100]
        record.decision = str(payload["approval"]["reason"])[:200]
        record.processed_at = moment
        record.save()


def _close_alarms(order: Order) -> None:
    pile = order.connector.pile
    close_alarm(
        kind=AlarmKind.MISSING_RECORD,
        pile_code=pile.pile_code,
        connector_no=order.connector.connector_no,
        subject=order.order_no,
    )


def _words(payload: dict[str, Any]) -> dict[str, str]:
    """What the order's timeline says of a decision."""
    return {name: payload["approval"][name] for name in ("requested_by", "approved_by", "reason")}


def _order(order_no: str) -> Order:
    order = (
        Order.objects.select_related("connector__pile", "connector__status").filter(order_no=order_no).first()
    )
    if order is None:
        raise OrderNotFound
    return order


def _abnormal(order_no: str) -> Order:
    order = _order(order_no)
    if order.state != OrderState.ABNORMAL:
        raise NotAbnormal
    return order


def _lock(order_no: str, *, abnormal: bool = True) -> Order:
    assert transaction.get_connection().in_atomic_block
    order = (
        Order.objects.select_for_update(of=["self"])
        .select_related("connector__pile", "connector__status", "customer")
        .get(order_no=order_no)
    )
    if abnormal and order.state != OrderState.ABNORMAL:
        raise NotAbnormal
    return order


def _assessed(order: Order, records: list[TransactionRecord] | None = None) -> Assessment:
    found = records_of(order) if records is None else records
    if not is_complete(order, found):
        raise NothingToBill
    return assess(order, found, billing_policy(), order.connector.pile.clock_offset_s)


def _proposal(order: Order, records: list[TransactionRecord] | None = None) -> Bill:
    bill = _assessed(order, records).bill
    if bill is None:
        raise NothingToBill
    return bill


def _check_endable(order: Order) -> None:
    """A charge that its pile still reports is stopped, not ended by hand (product.md rule 8)."""
    if order.state not in ENDABLE:
        raise NotEndable
    if any(gun.charges and gun.connector.pile.is_online for gun in guns_of(order)):
        raise StillCharging


APPROVER = "orders.approve_abnormalorder"
RECOMPUTE = approvals.register(
    Operation(
        "orders.recompute",
        _("Recompute an abnormal order"),
        APPROVER,
        execute=_recompute,
        rule=ApprovalRule.NEVER,
    )
)
SETTLE = approvals.register(
    Operation(
        "orders.settle_as_proposed",
        _("Settle an abnormal order as proposed"),
        APPROVER,
        execute=_settle_as_proposed,
    )
)
ADJUST = approvals.register(
    Operation("orders.adjust", _("Settle an abnormal order by other energies"), APPROVER, execute=_adjust)
)
CLOSE = approvals.register(
    Operation(
        "orders.close_unbilled",
        _("Close an abnormal order without a bill"),
        APPROVER,
        execute=_close_unbilled,
    )
)
FORCE_END = approvals.register(
    Operation("orders.force_end", _("End an order whose pile is lost"), APPROVER, execute=_force_end)
)
