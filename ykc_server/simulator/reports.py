"""What a simulated pile reports of a gun, as messages: realtime data, the battery's talk, the transaction record."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ykc_server.protocol import Message
from ykc_server.protocol.codes import (
    BatteryType,
    ChargeMode,
    GunHomed,
    GunPlugged,
    StopReason,
)
from ykc_server.protocol.messages import (
    BmsAbort,
    BmsConfig,
    BmsDemand,
    BmsHandshake,
    BmsInfo,
    ChargerAbort,
    ChargingEnd,
    Realtime,
    TransactionRecord,
    TransactionRecordFivePrices,
)
from ykc_server.simulator.car import TAPER_FROM
from ykc_server.simulator.session import CLASSES, Phase, Session

if TYPE_CHECKING:
    from ykc_server.simulator.parts import Gun
    from ykc_server.simulator.pile.line import Line

DC_BASE_VOLTAGE = 3300
AC_VOLTAGE = 2200
RATED_VOLTAGE = 3600
MAX_VOLTAGE = 4200
CELLS = 100
NO_CURRENT = 4000
"""0 A in the frames about the battery; a charging current lies below."""

# Abort reason, fault and error bits of frame 21 for what ends a charge at the pile; 01 means yes.
CHARGER_ABORTS = {
    StopReason.AMOUNT_LIMIT: (0b01, 0, 0),
    StopReason.APP_STOP: (0b01 << 2, 0, 0),
    StopReason.MANUAL_STOP: (0b01 << 2, 0, 0),
    StopReason.EMERGENCY_STOP: (0b01 << 4, 0b01 << 8, 0),
    StopReason.CONTROL_PILOT_OPEN: (0b01 << 4, 0b01 << 2, 0),
}
OTHER_ABORT = (0b01 << 4, 0b01 << 10, 0)


def realtime(pile: Line, gun: Gun) -> Realtime:
    """Return frame 13 as of now."""
    message = Realtime(
        transaction_no=gun.last_transaction_no,
        pile_no=pile.raw_pile_no,
        gun_no=bytes.fromhex(gun.gun_no),
        status=gun.status,
        gun_homed=GunHomed.NO if gun.plugged else GunHomed.YES,
        gun_plugged=GunPlugged.YES if gun.plugged else GunPlugged.NO,
        output_voltage=0,
        output_current=0,
        cable_temp=0,
        cable_code=bytes(8),
        soc=0,
        battery_max_temp=0,
        charge_minutes=0,
        remaining_minutes=0,
        energy_kwh=0,
        loss_energy_kwh=0,
        amount=0,
        hardware_fault=gun.fault_bits,
    )
    session = gun.session
    if session and session.phase is Phase.CHARGING:
        soc = session.car.soc(session.energy_wh)
        voltage = AC_VOLTAGE if pile.is_ac else _battery_voltage(soc)
        message.output_voltage = voltage
        message.output_current = session.power_w * 100 // voltage
        message.cable_temp = 50 + 22 + session.power_w // 6000
        message.charge_minutes = session.simulated_ms // 60_000
        message.energy_kwh = sum(session.units)
        message.loss_energy_kwh = sum(session.loss_units)
        message.amount = sum(session.amounts)
        if not pile.is_ac:
            message.soc = soc
            message.battery_max_temp = _battery_temp(soc)
            message.remaining_minutes = min(session.remaining_minutes, 0xFFFF)
    return message


def battery_begins(pile: Line, gun: Gun, session: Session) -> list[Message]:
    """Return 15 and 17: what battery and charger tell each other before a DC charge."""
    car = session.car
    soc = car.soc(session.energy_wh)
    most = max(1, session.limit_w)
    return [
        BmsHandshake(
            **_head(pile, gun, session),
            bms_protocol_version=bytes((1, 1, 0)),
            battery_type=BatteryType.LFP,
            rated_capacity=car.capacity_wh * 100 // RATED_VOLTAGE,
            rated_voltage=RATED_VOLTAGE,
            manufacturer=b"SIMU",
            pack_serial=bytes(4),
            made_year=2023 - 1985,
            made_month=6,
            made_day=15,
            charge_count=100,
            ownership=1,
            reserved=b"\0",
            vin=car.vin.encode().ljust(17, b"\0"),
            bms_software_version=b"\x01\x0f\x06\xe7\x07\xff\xff\xff",
        ),
        BmsConfig(
            **_head(pile, gun, session),
            max_cell_voltage=MAX_VOLTAGE // 10,
            max_current=_battery_current(car.max_power_w, MAX_VOLTAGE),
            nominal_energy=car.capacity_wh // 100,
            max_total_voltage=MAX_VOLTAGE,
            max_temp=50 + 55,
            soc=soc * 10,
            battery_voltage=_battery_voltage(soc),
            pile_max_voltage=7500,
            pile_min_voltage=2000,
            pile_max_current=_battery_current(most, MAX_VOLTAGE),
            pile_min_current=NO_CURRENT,
        ),
    ]


def battery_goes_on(pile: Line, gun: Gun, session: Session) -> list[Message]:
    """Return 23 and 25, due every 15 s of a DC charge."""
    soc = session.car.soc(session.energy_wh)
    voltage = _battery_voltage(soc)
    current = _battery_current(session.power_w, voltage)
    constant_current = soc < TAPER_FROM
    return [
        BmsDemand(
            **_head(pile, gun, session),
            demand_voltage=MAX_VOLTAGE,
            demand_current=current,
            charge_mode=ChargeMode.CONSTANT_CURRENT if constant_current else ChargeMode.CONSTANT_VOLTAGE,
            bms_voltage=voltage,
            bms_current=current,
            max_cell_voltage_group=1 << 12 | voltage * 10 // CELLS,
            soc=soc,
            remaining_minutes=min(session.remaining_minutes, 0xFFFF),
            pile_voltage=voltage,
            pile_current=current,
            charge_minutes=session.simulated_ms // 60_000 & 0xFFFF,
        ),
        BmsInfo(
            **_head(pile, gun, session),
            max_cell_no=6,
            max_battery_temp=_battery_temp(soc),
            max_temp_point=2,
            min_battery_temp=_battery_temp(soc) - 2,
            min_temp_point=0,
            status_bits=0b01 << 12,
        ),
    ]


def battery_ends(pile: Line, gun: Gun, session: Session, reason: StopReason) -> list[Message]:
    """Return 1D or 21, whoever ended a DC charge, and 19."""
    soc = session.car.soc(session.energy_wh)
    cell = _battery_voltage(soc) * 10 // CELLS
    abort: Message
    if reason == StopReason.SOC_FULL:
        abort = BmsAbort(**_head(pile, gun, session), abort_reason=0b01, abort_fault=0, abort_error=0)
    else:
        bits = CHARGER_ABORTS.get(reason, OTHER_ABORT)
        abort = ChargerAbort(
            **_head(pile, gun, session), abort_reason=bits[0], abort_fault=bits[1], abort_error=bits[2]
        )
    end = ChargingEnd(
        **_head(pile, gun, session),
        end_soc=soc,
        min_cell_voltage=cell - 2,
        max_cell_voltage=cell,
        min_battery_temp=_battery_temp(soc) - 2,
        max_battery_temp=_battery_temp(soc),
        charge_minutes=session.simulated_ms // 60_000 & 0xFFFF,
        output_energy=sum(session.units) // 1000,
        charger_no=int(gun.gun_no),
    )
    return [abort, end]


def transaction_record(
    pile: Line, gun: Gun, session: Session, reason: StopReason, now: datetime
) -> TransactionRecord:
    """Return frame 3B for a charge that ends `now`, in the pile's own time."""
    end = pile.clock(now)
    began = session.began if pile.time_scale == 1 else now - timedelta(milliseconds=session.simulated_ms)
    periods: dict[str, Any] = {}
    known = CLASSES[: len(session.prices.prices)]
    columns = zip(
        known, session.prices.prices, session.units, session.loss_units, session.amounts, strict=True
    )
    for name, price, units, loss_units, amount in columns:
        periods |= {
            f"{name}_price": price,
            f"{name}_kwh": units,
            f"{name}_loss_kwh": loss_units,
            f"{name}_amount": amount,
        }
    times = TransactionRecord.spec.fields["start_time"]
    layout = TransactionRecordFivePrices if len(known) == len(CLASSES) else TransactionRecord
    return layout(
        **_head(pile, gun, session),
        start_time=times.raw(pile.clock(began)),
        end_time=times.raw(end),
        **periods,
        meter_start=session.meter_start,
        meter_end=session.meter_start + sum(session.units),
        total_kwh=sum(session.units),
        total_loss_kwh=sum(session.loss_units),
        total_amount=sum(session.amounts),
        vin=bytes(17) if pile.is_ac else session.car.vin.encode().ljust(17, b"\0"),
        start_mode=session.start_mode,
        transaction_time=times.raw(end),
        stop_reason=reason,
        physical_card_no=session.request.physical_card_no,
    )


def _head(pile: Line, gun: Gun, session: Session) -> dict[str, Any]:
    return {
        "transaction_no": session.request.transaction_no,
        "pile_no": pile.raw_pile_no,
        "gun_no": bytes.fromhex(gun.gun_no),
    }


def _battery_voltage(soc: int) -> int:
    """In 0.1 V, rising as the battery fills."""
    return DC_BASE_VOLTAGE + 8 * soc


def _battery_current(power_w: int, voltage: int) -> int:
    """In 0.1 A from -400 A, negative into the battery, no more than the field can say."""
    return max(0, NO_CURRENT - power_w * 100 // voltage)


def _battery_temp(soc: int) -> int:
    return 50 + 26 + soc // 20
