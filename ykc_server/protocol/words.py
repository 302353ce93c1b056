"""What codes mean, in English words that are the source strings of translations.

    words(message)["abort_reason"]   [Word("state of charge reached")]
    words(message)["status_bits"]    [Word("cell voltage", "too high"), Word("charging", "forbidden")]

Whoever shows a word translates `text` and `state` one by one: the protocol itself knows no languages.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple

from ykc_server.protocol import codes
from ykc_server.protocol.fields import Bits, Coded, Field, Groups
from ykc_server.protocol.message import Message


class Word(NamedTuple):
    """What a code or a group of bits says; `state` qualifies it ("too high", "timeout") where that is needed."""

    text: str
    state: str = ""

    def __str__(self) -> str:
        return f"{self.text}: {self.state}" if self.state else self.text


def _(text: str) -> str:
    """Mark a source string for the collector of translations."""
    return text


_Stop = codes.StopReason
_Fault = codes.HardwareFault
_Auth = codes.AuthFailure

# Codes that are not here are told by their names: WRONG_PILE_NO is "wrong pile no".
WORDS: dict[type[IntEnum | IntFlag], dict[int, str]] = {
    _Stop: {
        _Stop.APP_STOP: _("stopped by the platform"),
        _Stop.SOC_FULL: _("battery full"),
        _Stop.ENERGY_LIMIT: _("energy limit reached"),
        _Stop.AMOUNT_LIMIT: _("amount limit reached"),
        _Stop.TIME_LIMIT: _("time limit reached"),
        _Stop.MANUAL_STOP: _("stopped by hand at the pile"),
        _Stop.START_CONTROL_FAULT: _("start failed: control system of the pile"),
        _Stop.START_CONTROL_PILOT_OPEN: _("start failed: control pilot open"),
        _Stop.START_BREAKER_TRIPPED: _("start failed: breaker tripped"),
        _Stop.START_METER_LOST: _("start failed: energy meter does not answer"),
        _Stop.START_BALANCE_LOW: _("start failed: balance too low"),
        _Stop.START_MODULE_FAULT: _("start failed: power module"),
        _Stop.START_EMERGENCY_STOP: _("start failed: emergency stop"),
        _Stop.START_SURGE_PROTECTOR: _("start failed: surge protector"),
        _Stop.START_BMS_NOT_READY: _("start failed: battery not ready"),
        _Stop.START_TEMPERATURE: _("start failed: temperature"),
        _Stop.START_BATTERY_REVERSED: _("start failed: battery reversed"),
        _Stop.START_ELECTRONIC_LOCK: _("start failed: electronic lock"),
        _Stop.START_CONTACTOR: _("start failed: contactor did not close"),
        _Stop.START_INSULATION: _("start failed: insulation"),
        _Stop.START_TIMEOUT_BHM: _("start failed: timeout of the handshake (BHM)"),
        _Stop.START_TIMEOUT_BRM: _("start failed: timeout of battery identification (BRM)"),
        _Stop.START_TIMEOUT_BCP: _("start failed: timeout of battery parameters (BCP)"),
        _Stop.START_TIMEOUT_BRO: _("start failed: timeout of battery ready (BRO)"),
        _Stop.START_TIMEOUT_BCS: _("start failed: timeout of battery total state (BCS)"),
        _Stop.START_TIMEOUT_BCL: _("start failed: timeout of battery demand (BCL)"),
        _Stop.START_TIMEOUT_BSM: _("start failed: timeout of battery state (BSM)"),
        _Stop.START_VOLTAGE_IN_BHM: _("start failed: voltage present during the handshake"),
        _Stop.START_VOLTAGE_DIFFERS: _("start failed: battery voltage differs from what was announced"),
        _Stop.START_BRO_WITHDRAWN: _("start failed: battery withdrew its readiness"),
        _Stop.START_TIMEOUT_HOST: _("start failed: timeout of the configuration"),
        _Stop.START_CHARGER_NOT_READY: _("start failed: charger not ready"),
        _Stop.SYSTEM_LOCKED: _("pile locked"),
        _Stop.CONTROL_PILOT_OPEN: _("control pilot open (plug pulled)"),
        _Stop.BREAKER_TRIPPED: _("breaker tripped"),
        _Stop.METER_LOST: _("energy meter does not answer"),
        _Stop.BALANCE_EXHAUSTED: _("balance used up"),
        _Stop.AC_PROTECTION: _("AC protection acted"),
        _Stop.DC_PROTECTION: _("DC protection acted"),
        _Stop.MODULE_FAULT: _("power module fault"),
        _Stop.EMERGENCY_STOP: _("emergency stop"),
        _Stop.SURGE_PROTECTOR: _("surge protector"),
        _Stop.TEMPERATURE: _("temperature abnormal"),
        _Stop.OUTPUT_ABNORMAL: _("output abnormal"),
        _Stop.NO_CURRENT: _("no charging current"),
        _Stop.ELECTRONIC_LOCK: _("electronic lock"),
        _Stop.TOTAL_VOLTAGE: _("total voltage abnormal"),
        _Stop.TOTAL_CURRENT: _("total current abnormal"),
        _Stop.CELL_VOLTAGE: _("cell voltage abnormal"),
        _Stop.PACK_TOO_HOT: _("battery too hot"),
        _Stop.HIGHEST_CELL_VOLTAGE: _("highest cell voltage abnormal"),
        _Stop.HIGHEST_PACK_TEMPERATURE: _("highest battery temperature reached"),
        _Stop.BMV_CELL_VOLTAGE: _("cell voltage abnormal (BMV)"),
        _Stop.BMT_PACK_TOO_HOT: _("battery too hot (BMT)"),
        _Stop.BATTERY_STATE: _("battery state abnormal"),
        _Stop.VEHICLE_FORBIDS: _("vehicle forbids charging"),
        _Stop.POWER_LOST: _("pile lost power"),
        _Stop.TIMEOUT_BCS: _("timeout of battery total state (BCS)"),
        _Stop.TIMEOUT_BCL: _("timeout of battery demand (BCL)"),
        _Stop.TIMEOUT_BSM: _("timeout of battery state (BSM)"),
        _Stop.TIMEOUT_BST: _("timeout of battery stop (BST)"),
        _Stop.TIMEOUT_BSD: _("timeout of battery statistics (BSD)"),
        _Stop.TIMEOUT_CCS: _("timeout of charger state (CCS)"),
        _Stop.UNKNOWN: _("unknown reason"),
    },
    _Auth: {
        _Auth.NONE: _("none"),
        _Auth.NO_ACCOUNT: _("account does not exist"),
        _Auth.ACCOUNT_FROZEN: _("account frozen"),
        _Auth.BALANCE_LOW: _("balance too low"),
        _Auth.CARD_UNSETTLED: _("card has an unsettled record"),
        _Auth.PILE_DISABLED: _("pile disabled"),
        _Auth.NOT_ALLOWED_HERE: _("account not allowed on this pile"),
        _Auth.WRONG_PASSWORD: _("wrong password"),
        _Auth.STATION_CAPACITY: _("capacity of the station exceeded"),
        _Auth.VIN_UNKNOWN: _("VIN unknown"),
        _Auth.PILE_UNSETTLED: _("pile has an unsettled record"),
        _Auth.NO_CARDS_HERE: _("pile does not take cards"),
    },
    codes.StartFailure: {
        codes.StartFailure.NONE: _("none"),
        codes.StartFailure.WRONG_PILE_NO: _("wrong pile number"),
        codes.StartFailure.ALREADY_CHARGING: _("gun already charging"),
        codes.StartFailure.DEVICE_FAULT: _("device fault"),
        codes.StartFailure.DEVICE_OFFLINE: _("device offline"),
        codes.StartFailure.NOT_PLUGGED_IN: _("not plugged in"),
    },
    codes.StopFailure: {
        codes.StopFailure.NONE: _("none"),
        codes.StopFailure.WRONG_PILE_NO: _("wrong pile number"),
        codes.StopFailure.NOT_CHARGING: _("gun is not charging"),
        codes.StopFailure.OTHER: _("other reason"),
    },
    _Fault: {
        _Fault.EMERGENCY_STOP: _("emergency stop button"),
        _Fault.NO_RECTIFIER: _("no usable rectifier module"),
        _Fault.OUTLET_TOO_HOT: _("air outlet too hot"),
        _Fault.AC_SURGE_PROTECTION: _("AC surge protection"),
        _Fault.MODULE_COMMUNICATION: _("module DC20 does not answer"),
        _Fault.INSULATION_MONITOR_COMMUNICATION: _("insulation monitor FC08 does not answer"),
        _Fault.METER_COMMUNICATION: _("energy meter does not answer"),
        _Fault.CARD_READER_COMMUNICATION: _("card reader does not answer"),
        _Fault.RC10_COMMUNICATION: _("RC10 does not answer"),
        _Fault.FAN_BOARD: _("fan speed board"),
        _Fault.DC_FUSE: _("DC fuse"),
        _Fault.HIGH_VOLTAGE_CONTACTOR: _("high-voltage contactor"),
        _Fault.DOOR_OPEN: _("door open"),
    },
    codes.BatteryType: {
        codes.BatteryType.LEAD_ACID: _("lead-acid"),
        codes.BatteryType.NIMH: "NiMH",
        codes.BatteryType.LFP: "LFP",
        codes.BatteryType.LMO: "LMO",
        codes.BatteryType.LCO: "LCO",
        codes.BatteryType.TERNARY: _("ternary"),
        codes.BatteryType.LI_POLYMER: _("lithium polymer"),
        codes.BatteryType.LTO: "LTO",
        codes.BatteryType.OTHER: _("other type"),
    },
    codes.ProtocolVersion: {version: f"V{version // 10}.{version % 10}" for version in codes.ProtocolVersion},
    codes.PileType: {codes.PileType.DC: "DC", codes.PileType.AC: "AC"},
    codes.PileModel: {codes.PileModel.DC: "DC", codes.PileModel.AC: "AC"},
}


def word(code: IntEnum | IntFlag) -> str:
    """Return the words for one code."""
    texts = WORDS.get(type(code), {})
    return texts.get(code) or (code.name or "").lower().replace("_", " ")


def field_words(field: Field, raw: int) -> list[Word]:
    """Return what a code or bit field says; nothing for other fields, and for groups of bits that are normal.

    A code without a meaning is shown in hex: "0x8A".
    """
    if isinstance(field, Coded):
        code = field.value(raw)
        return [Word(word(code) if isinstance(code, IntEnum) else f"0x{raw:02X}")]
    if isinstance(field, Groups):
        told = [(group.words, group.value(raw)) for group in field.groups if group.value(raw) != group.normal]
        return [Word(text, _state(value)) for text, value in told if text]
    if isinstance(field, Bits) and field.flags:
        known = [flag for flag in field.flags if raw & flag]
        rest = raw & ~sum(known)
        return [Word(word(flag)) for flag in known] + ([Word(f"0x{rest:04X}")] if rest else [])
    return []


def _state(value: object) -> str:
    """Return the state of a group of bits; a plain yes adds nothing to what the group is called."""
    if value is codes.Verdict.YES:
        return ""
    return word(value) if isinstance(value, IntEnum) else f"{value}"


def words(message: Message) -> dict[str, list[Word]]:
    """Return what every code and bit field of a message says, by field."""
    return {
        name: field_words(field, getattr(message, name))
        for name, field in message.spec.fields.items()
        if isinstance(field, Coded | Bits)
    }
