"""What piles report, in domain words."""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from decimal import Decimal

from apps.common.time import now
from apps.piles.enums import ConnectorState
from apps.piles.reports import ConnectorReport, PeriodReport, StartAnswer, StopAnswer, TransactionReport
from apps.pricing.tariff import RateClass
from ykc_server.protocol import messages as wire
from ykc_server.protocol.codes import GunStatus, OneIsSuccess, StartFailure, StopFailure
from ykc_server.protocol.identity import card_candidates
from ykc_server.session import Gun

WIRE_CLASSES = (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY)
START_REASONS = {
    StartFailure.NONE: "none",
    StartFailure.WRONG_PILE_NO: "wrong_pile",
    StartFailure.ALREADY_CHARGING: "already_charging",
    StartFailure.DEVICE_FAULT: "fault",
    StartFailure.DEVICE_OFFLINE: "offline",
    StartFailure.NOT_PLUGGED_IN: "not_plugged",
}
STOP_REASONS = {
    StopFailure.NONE: "none",
    StopFailure.WRONG_PILE_NO: "wrong_pile",
    StopFailure.NOT_CHARGING: "not_charging",
}
STATES = {GunStatus.FAULT: ConnectorState.FAULT, GunStatus.CHARGING: ConnectorState.CHARGING}
NO_TRANSACTION = bytes(16)


def connector_state(gun: Gun) -> ConnectorState:
    """Return the state of a gun from its last 0x13 and its heartbeats (YKC V1.6, 0x13 status, 0x03 gun status)."""
    if gun.has_fault:
        return ConnectorState.FAULT
    m = gun.last
    if m is None:
        return ConnectorState.OFFLINE
    if m.status == GunStatus.IDLE:
        return ConnectorState.PLUGGED if m.gun_plugged == 1 else ConnectorState.IDLE
    return (
        STATES.get(GunStatus(m.status), ConnectorState.OFFLINE) if m.status <= 3 else ConnectorState.OFFLINE
    )


def transaction_no(gun: Gun) -> str:
    """Return the transaction number of a gun's last 0x13; "" for none. An idle gun may repeat its last one."""
    return (
        gun.last.transaction_no.hex().upper()
        if gun.last and gun.last.transaction_no != NO_TRANSACTION
        else ""
    )


def connector_report(gun: Gun) -> ConnectorReport:
    """Return what the piles service is told of a gun."""
    m = gun.last
    return ConnectorReport(
        pile_code=gun.session.pile_code,
        connector_no=gun.connector_no,
        state=connector_state(gun),
        transaction_no=transaction_no(gun),
        energy_kwh=m.value("energy_kwh") if m else Decimal("0.0000"),
        fault_bits=m.hardware_fault if m else 0,
        reported_at=datetime.fromtimestamp(gun.reported_at, UTC),
    )


def start_answer(m: wire.RemoteStartAck) -> StartAnswer:
    """0x33 in domain words."""
    return StartAnswer(
        pile_code=m.value("pile_no"),
        connector_no=m.value("gun_no"),
        transaction_no=m.value("transaction_no"),
        accepted=m.result == OneIsSuccess.SUCCESS,
        reason=START_REASONS.get(m.value("fail_reason"), "other"),
        frame=m.encode(),
    )


def stop_answer(m: wire.RemoteStopAck) -> StopAnswer:
    """0x35 in domain words."""
    return StopAnswer(
        pile_code=m.value("pile_no"),
        connector_no=m.value("gun_no"),
        accepted=m.result == OneIsSuccess.SUCCESS,
        reason=STOP_REASONS.get(m.value("fail_reason"), "other"),
        frame=m.encode(),
    )


def transaction_report(m: wire.TransactionRecord) -> TransactionReport:
    """0x3B or 0x3D in domain words, of four rate classes or five; times that are no time are None."""
    told = m.values()
    return TransactionReport(
        transaction_no=told["transaction_no"],
        pile_code=told["pile_no"],
        connector_no=told["gun_no"],
        start_time=told["start_time"],
        end_time=told["end_time"],
        transaction_time=told["transaction_time"],
        periods={
            name: PeriodReport(
                price=told[price], energy_kwh=told[energy], loss_energy_kwh=told[loss], amount=told[amount]
            )
            for name, price, energy, loss, amount in _periods(type(m))
        },
        meter_start=told["meter_start"],
        meter_end=told["meter_end"],
        total_energy_kwh=told["total_kwh"],
        total_loss_energy_kwh=told["total_loss_kwh"],
        total_amount=told["total_amount"],
        vin=told["vin"],
        start_mode=int(m.start_mode),
        stop_code=f"{m.stop_reason:02X}",
        physical_card_no=told["physical_card_no"],
        card_numbers=list(card_candidates(told["physical_card_no"])),
    )


@functools.cache
def _periods(kind: type[wire.TransactionRecord]) -> list[tuple[str, str, str, str, str]]:
    """Names of the rate classes of a record, and of their fields."""
    return [
        (name.value, f"{name}_price", f"{name}_kwh", f"{name}_loss_kwh", f"{name}_amount")
        for name in RateClass
        if f"{name}_price" in kind.spec.fields
    ]


def login_facts(m: wire.Login) -> dict[str, str]:
    """What a pile says of itself at login, as columns of piles.Pile."""
    return {
        "protocol_version": f"{m.protocol_version // 10}.{m.protocol_version % 10}",
        "software_version": m.value("software_version")[:16],
        "sim_no": m.value("sim_no"),
    }


def clock_offset_s(m: wire.TimeSyncAck) -> Decimal | None:
    """How far a pile's clock is ahead of ours, in seconds; None when 0x55 holds no time."""
    told = m.value("time")
    return None if told is None else Decimal(str(round((told - now()).total_seconds(), 3)))
