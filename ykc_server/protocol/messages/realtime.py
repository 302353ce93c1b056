"""Realtime data (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import GunHomed, GunPlugged, GunStatus, HardwareFault
from ykc_server.protocol.fields import Bits, Coded, Hex
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Amount,
    Ampere,
    Celsius,
    GunNo,
    Kwh,
    Minutes,
    Percent,
    PileNo,
    TransactionNo,
    Volt,
)


@message(0x12, "read_realtime", Direction.DOWN, "读取实时监测数据")
class ReadRealtime(Message, gc=False):
    pile_no: PileNo
    gun_no: GunNo


@message(0x13, "realtime", Direction.UP, "上传实时监测数据")
class Realtime(Message, gc=False):
    """Per gun every 15 s while charging, every 5 min while idle, and on change.

    An idle gun repeats the last transaction number or zeros: look at the status first. The current has no offset.
    """

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    status: Annotated[int, Coded(GunStatus), "状态"]
    gun_homed: Annotated[int, Coded(GunHomed), "枪是否归位"]
    gun_plugged: Annotated[int, Coded(GunPlugged), "是否插枪"]
    output_voltage: Annotated[Volt, "输出电压"]
    output_current: Annotated[Ampere, "输出电流"]
    cable_temp: Annotated[Celsius, "枪线温度"]
    cable_code: Annotated[bytes, Hex(8), "枪线编码"]
    soc: Annotated[Percent, "SOC"]
    battery_max_temp: Annotated[Celsius, "电池组最高温度"]
    charge_minutes: Annotated[Minutes, "累计充电时间"]
    remaining_minutes: Annotated[Minutes, "剩余时间"]
    energy_kwh: Annotated[Kwh, "充电度数"]
    loss_energy_kwh: Annotated[Kwh, "计损充电度数"]
    amount: Annotated[Amount, "已充金额"]
    hardware_fault: Annotated[int, Bits(2, HardwareFault), "硬件故障"]
