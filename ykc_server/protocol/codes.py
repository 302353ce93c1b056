"""Code tables, YKC V1.6 (stop reasons: appendix 13.1), with what captures add. Other codes stay plain numbers."""

from enum import IntEnum, IntFlag

from ykc_server.protocol.fields import Group


def _(text: str) -> str:
    """Mark a source string for the collector of translations: the protocol itself knows no languages."""
    return text


class PileType(IntEnum):
    DC = 0
    AC = 1


class ProtocolVersion(IntEnum):
    """Version x 10."""

    V1_0 = 0x0A
    V1_5 = 0x0F
    V1_6 = 0x10
    V1_7 = 0x11


class NetworkType(IntEnum):
    SIM = 0
    LAN = 1
    WAN = 2
    OTHER = 3


class MobileOperator(IntEnum):
    CHINA_MOBILE = 0
    CHINA_TELECOM = 2
    CHINA_UNICOM = 3
    OTHER = 4


class ZeroIsSuccess(IntEnum):
    """Result byte of 02. 41 and 93 mean success by 00 too."""

    SUCCESS = 0
    FAIL = 1


class OneIsSuccess(IntEnum):
    """Result byte of most answers: the other way round than in 02, 06, 40, 41 and 93."""

    FAIL = 0
    SUCCESS = 1


class HeartbeatStatus(IntEnum):
    NORMAL = 0
    FAULT = 1


class BillingVerdict(IntEnum):
    SAME = 0
    DIFFERENT = 1


class RecordVerdict(IntEnum):
    """Result byte of 40. Received does not mean settled."""

    RECEIVED = 0
    ILLEGAL = 1


class RateClass(IntEnum):
    """Price class of a half hour. Deep valley exists on five-price piles only (frame 85)."""

    SHARP = 0
    PEAK = 1
    FLAT = 2
    VALLEY = 3
    DEEP_VALLEY = 4


class GunStatus(IntEnum):
    OFFLINE = 0
    FAULT = 1
    IDLE = 2
    CHARGING = 3


class GunHomed(IntEnum):
    NO = 0
    YES = 1
    UNKNOWN = 2


class GunPlugged(IntEnum):
    NO = 0
    YES = 1


class StartFailure(IntEnum):
    NONE = 0
    WRONG_PILE_NO = 1
    ALREADY_CHARGING = 2
    DEVICE_FAULT = 3
    DEVICE_OFFLINE = 4
    NOT_PLUGGED_IN = 5


class StopFailure(IntEnum):
    NONE = 0
    WRONG_PILE_NO = 1
    NOT_CHARGING = 2
    OTHER = 3


class StartType(IntEnum):
    """What a person shows the pile to start a charge, 31."""

    CARD = 1
    ACCOUNT = 2
    VIN = 3


class AuthFailure(IntEnum):
    """Why the platform refuses a start at the pile, 32 and A2."""

    NONE = 0
    NO_ACCOUNT = 1
    ACCOUNT_FROZEN = 2
    BALANCE_LOW = 3
    CARD_UNSETTLED = 4
    PILE_DISABLED = 5
    NOT_ALLOWED_HERE = 6
    WRONG_PASSWORD = 7
    STATION_CAPACITY = 8
    VIN_UNKNOWN = 9
    PILE_UNSETTLED = 10
    NO_CARDS_HERE = 11


class YesNo(IntEnum):
    NO = 0
    YES = 1


class GunRole(IntEnum):
    """In charging over two guns."""

    MAIN = 0
    AUXILIARY = 1


class BalanceResult(IntEnum):
    OK = 0
    WRONG_PILE_NO = 1
    WRONG_CARD = 2


class SyncFailure(IntEnum):
    """Why offline cards were not stored, 43."""

    NONE = 0
    BAD_FORMAT = 1
    NO_SPACE = 2


class ClearFailure(IntEnum):
    """Why an offline card was not removed, 45."""

    NONE = 0
    BAD_FORMAT = 1


class CardPresence(IntEnum):
    ABSENT = 0
    PRESENT = 1


class WorkSwitch(IntEnum):
    """52: 01 forbids use and locks the pile."""

    ALLOWED = 0
    LOCKED = 1


class ExecuteMode(IntEnum):
    NOW = 1
    WHEN_IDLE = 2


class PileModel(IntEnum):
    """94 counts otherwise than the login."""

    DC = 1
    AC = 2


class UpdateResult(IntEnum):
    OK = 0
    WRONG_PILE_NO = 1
    WRONG_MODEL = 2
    DOWNLOAD_TIMEOUT = 3


class QrFormat(IntEnum):
    """What follows the prefix in a QR code."""

    PILE_NO = 0
    PILE_AND_GUN_NO = 1


class LockStatus(IntEnum):
    NOT_IN_POSITION = 0x00
    RAISED = 0x55
    LOWERED = 0xFF


class SpaceStatus(IntEnum):
    EMPTY = 0x00
    OCCUPIED = 0xFF


class LockAlarm(IntEnum):
    NONE = 0x00
    ARM_STUCK = 0x55
    ARM_FORCED = 0xFF


class LockCommand(IntEnum):
    RAISE = 0x55
    LOWER = 0xFF


class BatteryType(IntEnum):
    LEAD_ACID = 1
    NIMH = 2
    LFP = 3
    LMO = 4
    LCO = 5
    TERNARY = 6
    LI_POLYMER = 7
    LTO = 8
    OTHER = 0xFF


class Ownership(IntEnum):
    LEASED = 0
    VEHICLE = 1


class ChargeMode(IntEnum):
    CONSTANT_VOLTAGE = 1
    CONSTANT_CURRENT = 2


class StartMode(IntEnum):
    """How a recorded session was started. Piles also send 0, 3 and 9."""

    APP = 1
    CARD = 2
    OFFLINE_CARD = 4
    VIN = 5


class HardwareFault(IntFlag):
    """Bits of `hardware_fault` in 13; "Bit1" of the text is mask 0001."""

    EMERGENCY_STOP = 0x0001
    NO_RECTIFIER = 0x0002
    OUTLET_TOO_HOT = 0x0004
    AC_SURGE_PROTECTION = 0x0008
    MODULE_COMMUNICATION = 0x0010
    INSULATION_MONITOR_COMMUNICATION = 0x0020
    METER_COMMUNICATION = 0x0040
    CARD_READER_COMMUNICATION = 0x0080
    RC10_COMMUNICATION = 0x0100
    FAN_BOARD = 0x0200
    DC_FUSE = 0x0400
    HIGH_VOLTAGE_CONTACTOR = 0x0800
    DOOR_OPEN = 0x1000


class StopReason(IntEnum):
    """Why a session ended: 40-49 finished, 4A-69 never started, 6A-8F aborted, 90 unknown."""

    APP_STOP = 0x40
    SOC_FULL = 0x41
    ENERGY_LIMIT = 0x42
    AMOUNT_LIMIT = 0x43
    TIME_LIMIT = 0x44
    MANUAL_STOP = 0x45

    START_CONTROL_FAULT = 0x4A
    START_CONTROL_PILOT_OPEN = 0x4B
    START_BREAKER_TRIPPED = 0x4C
    START_METER_LOST = 0x4D
    START_BALANCE_LOW = 0x4E
    START_MODULE_FAULT = 0x4F
    START_EMERGENCY_STOP = 0x50
    START_SURGE_PROTECTOR = 0x51
    START_BMS_NOT_READY = 0x52
    START_TEMPERATURE = 0x53
    START_BATTERY_REVERSED = 0x54
    START_ELECTRONIC_LOCK = 0x55
    START_CONTACTOR = 0x56
    START_INSULATION = 0x57
    START_TIMEOUT_BHM = 0x59
    START_TIMEOUT_BRM = 0x5A
    START_TIMEOUT_BCP = 0x5B
    START_TIMEOUT_BRO = 0x5C
    START_TIMEOUT_BCS = 0x5D
    START_TIMEOUT_BCL = 0x5E
    START_TIMEOUT_BSM = 0x5F
    START_VOLTAGE_IN_BHM = 0x60
    START_VOLTAGE_DIFFERS = 0x61
    START_BRO_WITHDRAWN = 0x62
    START_TIMEOUT_HOST = 0x63
    START_CHARGER_NOT_READY = 0x64

    SYSTEM_LOCKED = 0x6A
    CONTROL_PILOT_OPEN = 0x6B
    BREAKER_TRIPPED = 0x6C
    METER_LOST = 0x6D
    BALANCE_EXHAUSTED = 0x6E
    AC_PROTECTION = 0x6F
    DC_PROTECTION = 0x70
    MODULE_FAULT = 0x71
    EMERGENCY_STOP = 0x72
    SURGE_PROTECTOR = 0x73
    TEMPERATURE = 0x74
    OUTPUT_ABNORMAL = 0x75
    NO_CURRENT = 0x76
    ELECTRONIC_LOCK = 0x77
    TOTAL_VOLTAGE = 0x79
    TOTAL_CURRENT = 0x7A
    CELL_VOLTAGE = 0x7B
    PACK_TOO_HOT = 0x7C
    HIGHEST_CELL_VOLTAGE = 0x7D
    HIGHEST_PACK_TEMPERATURE = 0x7E
    BMV_CELL_VOLTAGE = 0x7F
    BMT_PACK_TOO_HOT = 0x80
    BATTERY_STATE = 0x81
    VEHICLE_FORBIDS = 0x82
    POWER_LOST = 0x83
    TIMEOUT_BCS = 0x84
    TIMEOUT_BCL = 0x85
    TIMEOUT_BSM = 0x86
    TIMEOUT_BST = 0x87
    TIMEOUT_BSD = 0x88
    TIMEOUT_CCS = 0x89
    UNKNOWN = 0x90


class Level(IntEnum):
    NORMAL = 0
    TOO_HIGH = 1
    TOO_LOW = 2


class Condition(IntEnum):
    NORMAL = 0
    ABNORMAL = 1
    UNTRUSTED = 2


class Verdict(IntEnum):
    NO = 0
    YES = 1
    UNTRUSTED = 2


class Wait(IntEnum):
    NORMAL = 0
    TIMEOUT = 1
    UNTRUSTED = 2


class Permission(IntEnum):
    FORBIDDEN = 0
    ALLOWED = 1


# Bit groups of the frames about the battery, as GB/T 27930 orders them: low bits first.

BMS_STATUS = (
    Group("cell_voltage", 0, 2, _("cell voltage"), Level),
    Group("soc", 2, 2, _("state of charge"), Level),
    Group("current", 4, 2, _("charging current"), Condition),
    Group("temperature", 6, 2, _("battery temperature"), Condition),
    Group("insulation", 8, 2, _("insulation"), Condition),
    Group("connector", 10, 2, _("output connector"), Condition),
    Group("permission", 12, 2, _("charging permission"), Permission, normal=1),
)
TALK_ERRORS = (
    # What the battery missed.
    Group("crm_00", 0, 2, _("charger identification (CRM 00)"), Wait),
    Group("crm_aa", 2, 2, _("charger identification (CRM AA)"), Wait),
    Group("cts_cml", 8, 2, _("time and maximum output (CTS, CML)"), Wait),
    Group("cro", 10, 2, _("charger ready (CRO)"), Wait),
    Group("ccs", 16, 2, _("charger state (CCS)"), Wait),
    Group("cst", 18, 2, _("charger stop (CST)"), Wait),
    Group("csd", 24, 2, _("charger statistics (CSD)"), Wait),
    Group("bms_other", 26, 6, _("other error of the battery")),
    # What the charger missed.
    Group("brm", 32, 2, _("battery identification (BRM)"), Wait),
    Group("bcp", 40, 2, _("battery parameters (BCP)"), Wait),
    Group("bro", 42, 2, _("battery ready (BRO)"), Wait),
    Group("bcs", 48, 2, _("battery total state (BCS)"), Wait),
    Group("bcl", 50, 2, _("battery demand (BCL)"), Wait),
    Group("bst", 52, 2, _("battery stop (BST)"), Wait),
    Group("bsd", 56, 2, _("battery statistics (BSD)"), Wait),
    Group("charger_other", 58, 6, _("other error of the charger")),
)
BMS_ABORT_REASON = (
    Group("soc_reached", 0, 2, _("state of charge reached"), Verdict),
    Group("total_voltage_reached", 2, 2, _("total voltage reached"), Verdict),
    Group("cell_voltage_reached", 4, 2, _("cell voltage reached"), Verdict),
    Group("charger_stopped", 6, 2, _("charger stopped first"), Verdict),
)
BMS_ABORT_FAULT = (
    Group("insulation", 0, 2, _("insulation fault"), Verdict),
    Group("connector_too_hot", 2, 2, _("output connector too hot"), Verdict),
    Group("bms_too_hot", 4, 2, _("battery management or its connector too hot"), Verdict),
    Group("connector", 6, 2, _("charging connector fault"), Verdict),
    Group("battery_too_hot", 8, 2, _("battery too hot"), Verdict),
    Group("relay", 10, 2, _("high-voltage relay fault"), Verdict),
    Group("detection_point_2", 12, 2, _("voltage at detection point 2"), Verdict),
    Group("other", 14, 2, _("other fault"), Verdict),
)
BMS_ABORT_ERROR = (
    Group("over_current", 0, 2, _("current too high"), Verdict),
    Group("voltage", 2, 2, _("voltage abnormal"), Verdict),
)
CHARGER_ABORT_REASON = (
    Group("condition_reached", 0, 2, _("set condition reached"), Verdict),
    Group("by_hand", 2, 2, _("stopped by hand"), Verdict),
    Group("abnormal", 4, 2, _("abnormal stop"), Verdict),
    Group("bms_stopped", 6, 2, _("battery stopped first"), Verdict),
)
CHARGER_ABORT_FAULT = (
    Group("charger_too_hot", 0, 2, _("charger too hot"), Verdict),
    Group("connector", 2, 2, _("charging connector fault"), Verdict),
    Group("interior_too_hot", 4, 2, _("interior of the charger too hot"), Verdict),
    Group("energy_not_delivered", 6, 2, _("energy cannot be delivered"), Verdict),
    Group("emergency_stop", 8, 2, _("emergency stop"), Verdict),
    Group("other", 10, 2, _("other fault"), Verdict),
)
CHARGER_ABORT_ERROR = (
    Group("current_mismatch", 0, 2, _("current does not match"), Verdict),
    Group("voltage", 2, 2, _("voltage abnormal"), Verdict),
)
