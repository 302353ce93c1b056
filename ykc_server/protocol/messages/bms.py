"""What a DC pile tells of the talk between it and the car's battery (GB/T 27930), YKC V1.6. DC only, never answered.

The battery's own currents are negative while it is charged, see `magnitude`.
"""

from decimal import Decimal
from typing import Annotated

from ykc_server.protocol.codes import (
    BMS_ABORT_ERROR,
    BMS_ABORT_FAULT,
    BMS_ABORT_REASON,
    BMS_STATUS,
    CHARGER_ABORT_ERROR,
    CHARGER_ABORT_FAULT,
    CHARGER_ABORT_REASON,
    TALK_ERRORS,
    BatteryType,
    ChargeMode,
    Ownership,
)
from ykc_server.protocol.errors import FieldError
from ykc_server.protocol.fields import Ascii, Coded, Group, Groups, Hex, Uint
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    BmsAmpere,
    CellVolt,
    Celsius,
    CoarseKwh,
    GunNo,
    Minutes,
    Number,
    Percent,
    PileNo,
    Plain,
    Reserved1,
    TransactionNo,
    VinForward,
    Volt,
)


class BmsMessage(Message, gc=False):
    """All of them begin with the charge they belong to."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo


@message(0x15, "bms_handshake", Direction.UP, "充电握手")
class BmsHandshake(BmsMessage, gc=False):
    """Once after the start. The VIN comes as the battery reports it."""

    bms_protocol_version: Annotated[bytes, Hex(3), "BMS 通信协议版本号"]
    battery_type: Annotated[int, Coded(BatteryType), "BMS 电池类型"]
    rated_capacity: Annotated[int, Uint(2, places=1, unit="Ah"), "整车额定容量"]
    rated_voltage: Annotated[Volt, "额定总电压"]
    manufacturer: Annotated[bytes, Ascii(4), "电池生产厂商名称"]
    pack_serial: Annotated[bytes, Hex(4), "电池组序号"]
    made_year: Annotated[int, Uint(1, offset=1985), "生产日期年"]
    made_month: Annotated[Plain, "生产日期月"]
    made_day: Annotated[Plain, "生产日期日"]
    charge_count: Annotated[int, Uint(3), "充电次数"]
    ownership: Annotated[int, Coded(Ownership), "产权标识"]
    reserved: Reserved1
    vin: VinForward
    bms_software_version: Annotated[bytes, Hex(8), "BMS 软件版本号"]


@message(0x17, "bms_config", Direction.UP, "参数配置")
class BmsConfig(BmsMessage, gc=False):
    """Once, after the handshake: what the battery stands and what the pile can give."""

    max_cell_voltage: Annotated[CellVolt, "单体最高允许充电电压"]
    max_current: Annotated[BmsAmpere, "最高允许充电电流"]
    nominal_energy: Annotated[CoarseKwh, "标称总能量"]
    max_total_voltage: Annotated[Volt, "最高允许充电总电压"]
    max_temp: Annotated[Celsius, "最高允许温度"]
    soc: Annotated[int, Uint(2, places=1, unit="%"), "荷电状态"]
    battery_voltage: Annotated[Volt, "当前电池电压"]
    pile_max_voltage: Annotated[Volt, "电桩最高输出电压"]
    pile_min_voltage: Annotated[Volt, "电桩最低输出电压"]
    pile_max_current: Annotated[BmsAmpere, "电桩最大输出电流"]
    pile_min_current: Annotated[BmsAmpere, "电桩最小输出电流"]


@message(0x19, "charging_end", Direction.UP, "充电结束")
class ChargingEnd(BmsMessage, gc=False):
    """Before the transaction record."""

    end_soc: Annotated[Percent, "中止荷电状态 SOC"]
    min_cell_voltage: Annotated[CellVolt, "单体最低电压"]
    max_cell_voltage: Annotated[CellVolt, "单体最高电压"]
    min_battery_temp: Annotated[Celsius, "最低温度"]
    max_battery_temp: Annotated[Celsius, "最高温度"]
    charge_minutes: Annotated[Minutes, "累计充电时间"]
    output_energy: Annotated[CoarseKwh, "输出能量"]
    charger_no: Annotated[int, Uint(4), "充电机编号"]


@message(0x1B, "bms_error", Direction.UP, "错误报文")
class BmsError(BmsMessage, gc=False):
    """Frames that battery or charger waited for in vain."""

    error_bits: Annotated[int, Groups(8, *TALK_ERRORS), "错误位"]


@message(0x1D, "bms_abort", Direction.UP, "充电阶段 BMS 中止")
class BmsAbort(BmsMessage, gc=False):
    """The battery ends the charge (its BST)."""

    abort_reason: Annotated[int, Groups(1, *BMS_ABORT_REASON), "中止充电原因"]
    abort_fault: Annotated[int, Groups(2, *BMS_ABORT_FAULT), "中止故障原因"]
    abort_error: Annotated[int, Groups(1, *BMS_ABORT_ERROR), "中止错误原因"]


@message(0x21, "charger_abort", Direction.UP, "充电阶段充电机中止")
class ChargerAbort(BmsMessage, gc=False):
    """The charger ends the charge (its CST)."""

    abort_reason: Annotated[int, Groups(1, *CHARGER_ABORT_REASON), "中止充电原因"]
    abort_fault: Annotated[int, Groups(2, *CHARGER_ABORT_FAULT), "中止故障原因"]
    abort_error: Annotated[int, Groups(1, *CHARGER_ABORT_ERROR), "中止错误原因"]


CELL_VOLTAGE_GROUP = (Group("voltage", 0, 12, places=2), Group("group", 12, 4))


@message(0x23, "bms_demand", Direction.UP, "充电过程 BMS 需求与充电机输出")
class BmsDemand(BmsMessage, gc=False):
    """Every 15 s while charging. The pile's own current has the offset too, unlike that of frame 13."""

    demand_voltage: Annotated[Volt, "BMS 电压需求"]
    demand_current: Annotated[BmsAmpere, "BMS 电流需求"]
    charge_mode: Annotated[int, Coded(ChargeMode), "BMS 充电模式"]
    bms_voltage: Annotated[Volt, "充电电压测量值"]
    bms_current: Annotated[BmsAmpere, "充电电流测量值"]
    max_cell_voltage_group: Annotated[int, Groups(2, *CELL_VOLTAGE_GROUP), "最高单体电压及组号"]
    soc: Annotated[Percent, "SOC"]
    remaining_minutes: Annotated[Minutes, "估算剩余时间"]
    pile_voltage: Annotated[Volt, "电桩电压输出值"]
    pile_current: Annotated[BmsAmpere, "电桩电流输出值"]
    charge_minutes: Annotated[Minutes, "累计充电时间"]


@message(0x25, "bms_info", Direction.UP, "充电过程 BMS 信息")
class BmsInfo(BmsMessage, gc=False):
    """Every 15 s while charging."""

    max_cell_no: Annotated[Number, "最高单体电压编号"]
    max_battery_temp: Annotated[Celsius, "最高温度"]
    max_temp_point: Annotated[Number, "最高温度检测点"]
    min_battery_temp: Annotated[Celsius, "最低温度"]
    min_temp_point: Annotated[Number, "最低温度检测点"]
    status_bits: Annotated[int, Groups(2, *BMS_STATUS), "状态位"]


def magnitude(bms: BmsMessage, name: str) -> Decimal:
    """Return a current of 17 or 23 in A without its sign: piles send both -74.2 A and 74.2 A for the same charge.

    Raises:
        FieldError: the field is no current.
    """
    field = bms.spec.fields[name]
    if not isinstance(field, Uint) or field.offset != -400:
        raise FieldError(name, "is no current")
    return abs(Decimal(bms.value(name)))
