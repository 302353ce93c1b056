"""Code tables, YKC V1.6 (stop reasons: appendix 13.1), with what captures add. Other codes stay plain numbers."""

from enum import IntEnum, IntFlag


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
    """Result byte of 02 and, among later frames, 41 and 93."""

    SUCCESS = 0
    FAIL = 1


class OneIsSuccess(IntEnum):
    """Result byte of 33, 35, 57: the other way round than in 02 and 40."""

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
