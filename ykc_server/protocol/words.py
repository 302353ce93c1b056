"""What codes mean, in English words that are the source strings of translations.

    words(message)["abort_reason"]   [Word("state of charge reached")]
    words(message)["status_bits"]    [Word("cell voltage", "too high"), Word("charging permission", "forbidden")]

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


_ = codes._
_Stop = codes.StopReason
_Fault = codes.HardwareFault
_Auth = codes.AuthFailure

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
        codes.BatteryType.NIMH: _("NiMH"),
        codes.BatteryType.LFP: _("LFP"),
        codes.BatteryType.LMO: _("LMO"),
        codes.BatteryType.LCO: _("LCO"),
        codes.BatteryType.TERNARY: _("ternary"),
        codes.BatteryType.LI_POLYMER: _("lithium polymer"),
        codes.BatteryType.LTO: _("LTO"),
        codes.BatteryType.OTHER: _("other type"),
    },
    codes.ProtocolVersion: {version: f"V{version // 10}.{version % 10}" for version in codes.ProtocolVersion},
    codes.PileType: {codes.PileType.DC: "DC", codes.PileType.AC: "AC"},
    codes.PileModel: {codes.PileModel.DC: "DC", codes.PileModel.AC: "AC"},
    codes.NetworkType: {
        codes.NetworkType.SIM: "SIM",
        codes.NetworkType.LAN: "LAN",
        codes.NetworkType.WAN: "WAN",
        codes.NetworkType.OTHER: _("other network"),
    },
    codes.MobileOperator: {
        codes.MobileOperator.CHINA_MOBILE: _("China Mobile"),
        codes.MobileOperator.CHINA_TELECOM: _("China Telecom"),
        codes.MobileOperator.CHINA_UNICOM: _("China Unicom"),
        codes.MobileOperator.OTHER: _("other carrier"),
    },
    codes.ZeroIsSuccess: {
        codes.ZeroIsSuccess.SUCCESS: _("success"),
        codes.ZeroIsSuccess.FAIL: _("it failed"),
    },
    codes.OneIsSuccess: {codes.OneIsSuccess.FAIL: _("it failed"), codes.OneIsSuccess.SUCCESS: _("success")},
    codes.HeartbeatStatus: {
        codes.HeartbeatStatus.NORMAL: _("normal"),
        codes.HeartbeatStatus.FAULT: _("fault"),
    },
    codes.BillingVerdict: {
        codes.BillingVerdict.SAME: _("same prices"),
        codes.BillingVerdict.DIFFERENT: _("other prices"),
    },
    codes.RecordVerdict: {
        codes.RecordVerdict.RECEIVED: _("received"),
        codes.RecordVerdict.ILLEGAL: _("record refused"),
    },
    codes.GunStatus: {
        codes.GunStatus.OFFLINE: _("offline"),
        codes.GunStatus.FAULT: _("fault"),
        codes.GunStatus.IDLE: _("idle"),
        codes.GunStatus.CHARGING: _("charging"),
    },
    codes.GunHomed: {
        codes.GunHomed.NO: _("no"),
        codes.GunHomed.YES: _("yes"),
        codes.GunHomed.UNKNOWN: _("unknown"),
    },
    codes.GunPlugged: {codes.GunPlugged.NO: _("no"), codes.GunPlugged.YES: _("yes")},
    codes.YesNo: {codes.YesNo.NO: _("no"), codes.YesNo.YES: _("yes")},
    codes.StartType: {
        codes.StartType.CARD: _("card"),
        codes.StartType.ACCOUNT: _("account"),
        codes.StartType.VIN: "VIN",
    },
    codes.StartMode: {
        codes.StartMode.APP: _("by the app"),
        codes.StartMode.CARD: _("card"),
        codes.StartMode.OFFLINE_CARD: _("offline card"),
        codes.StartMode.VIN: "VIN",
    },
    codes.GunRole: {codes.GunRole.MAIN: _("main gun"), codes.GunRole.AUXILIARY: _("auxiliary gun")},
    codes.BalanceResult: {
        codes.BalanceResult.OK: _("success"),
        codes.BalanceResult.WRONG_PILE_NO: _("wrong pile number"),
        codes.BalanceResult.WRONG_CARD: _("wrong card"),
    },
    codes.SyncFailure: {
        codes.SyncFailure.NONE: _("none"),
        codes.SyncFailure.BAD_FORMAT: _("bad card number format"),
        codes.SyncFailure.NO_SPACE: _("no space left"),
    },
    codes.ClearFailure: {
        codes.ClearFailure.NONE: _("none"),
        codes.ClearFailure.BAD_FORMAT: _("bad card number format"),
    },
    codes.CardPresence: {
        codes.CardPresence.ABSENT: _("not on the pile"),
        codes.CardPresence.PRESENT: _("on the pile"),
    },
    codes.WorkSwitch: {
        codes.WorkSwitch.ALLOWED: _("work allowed"),
        codes.WorkSwitch.LOCKED: _("stopped and locked"),
    },
    codes.ExecuteMode: {
        codes.ExecuteMode.NOW: _("at once"),
        codes.ExecuteMode.WHEN_IDLE: _("when the pile is idle"),
    },
    codes.UpdateResult: {
        codes.UpdateResult.OK: _("success"),
        codes.UpdateResult.WRONG_PILE_NO: _("wrong pile number"),
        codes.UpdateResult.WRONG_MODEL: _("wrong pile model"),
        codes.UpdateResult.DOWNLOAD_TIMEOUT: _("download timed out"),
    },
    codes.QrFormat: {
        codes.QrFormat.PILE_NO: _("prefix and pile number"),
        codes.QrFormat.PILE_AND_GUN_NO: _("prefix, pile and gun number"),
    },
    codes.Ownership: {
        codes.Ownership.LEASED: _("leased"),
        codes.Ownership.VEHICLE: _("owned with the vehicle"),
    },
    codes.ChargeMode: {
        codes.ChargeMode.CONSTANT_VOLTAGE: _("constant voltage"),
        codes.ChargeMode.CONSTANT_CURRENT: _("constant current"),
    },
    codes.LockStatus: {
        codes.LockStatus.NOT_IN_POSITION: _("not in position"),
        codes.LockStatus.RAISED: _("raised and locked"),
        codes.LockStatus.LOWERED: _("lowered and locked"),
    },
    codes.SpaceStatus: {
        codes.SpaceStatus.EMPTY: _("no vehicle"),
        codes.SpaceStatus.OCCUPIED: _("vehicle present"),
    },
    codes.LockAlarm: {
        codes.LockAlarm.NONE: _("none"),
        codes.LockAlarm.ARM_STUCK: _("arm stuck"),
        codes.LockAlarm.ARM_FORCED: _("arm moved by force"),
    },
    codes.LockCommand: {
        codes.LockCommand.RAISE: _("raise the lock"),
        codes.LockCommand.LOWER: _("lower the lock"),
    },
    codes.Level: {
        codes.Level.NORMAL: _("normal"),
        codes.Level.TOO_HIGH: _("too high"),
        codes.Level.TOO_LOW: _("too low"),
    },
    codes.Condition: {
        codes.Condition.NORMAL: _("normal"),
        codes.Condition.ABNORMAL: _("abnormal"),
        codes.Condition.UNTRUSTED: _("untrusted"),
    },
    codes.Verdict: {
        codes.Verdict.NO: _("no"),
        codes.Verdict.YES: _("yes"),
        codes.Verdict.UNTRUSTED: _("untrusted"),
    },
    codes.Wait: {
        codes.Wait.NORMAL: _("normal"),
        codes.Wait.TIMEOUT: _("timeout"),
        codes.Wait.UNTRUSTED: _("untrusted"),
    },
    codes.Permission: {
        codes.Permission.FORBIDDEN: _("forbidden"),
        codes.Permission.ALLOWED: _("it is allowed"),
    },
}


def word(code: IntEnum | IntFlag) -> str:
    """Return the words for one code."""
    return WORDS[type(code)][code]


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
