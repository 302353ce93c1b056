"""Ground locks of parking spaces (YKC V1.6). Gun numbers are binary here."""

from typing import Annotated

from ykc_server.protocol.codes import LockAlarm, LockCommand, LockStatus, OneIsSuccess, SpaceStatus
from ykc_server.protocol.fields import Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import BinaryGunNo, Percent, PileNo, Reserved4


@message(0x61, "ground_lock_status", Direction.UP, "地锁数据上送")
class GroundLockStatus(Message, gc=False):
    """Every 5 min and on change."""

    pile_no: PileNo
    gun_no: BinaryGunNo
    lock_status: Annotated[int, Coded(LockStatus), "车位锁状态"]
    space_status: Annotated[int, Coded(SpaceStatus), "车位状态"]
    battery_percent: Annotated[Percent, "地锁电量状态"]
    alarm: Annotated[int, Coded(LockAlarm), "报警状态"]
    reserved: Reserved4


@message(0x62, "ground_lock_control", Direction.DOWN, "遥控地锁升锁与降锁命令")
class GroundLockControl(Message, gc=False):
    pile_no: PileNo
    gun_no: BinaryGunNo
    command: Annotated[int, Coded(LockCommand), "升/降地锁"]
    reserved: Reserved4


@message(0x63, "ground_lock_control_ack", Direction.UP, "地锁控制返回")
class GroundLockControlAck(Message, gc=False):
    pile_no: PileNo
    gun_no: BinaryGunNo
    result: Annotated[int, Coded(OneIsSuccess), "地锁控制返回标志"]
    reserved: Reserved4
