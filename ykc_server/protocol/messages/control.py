"""Remote start and stop (YKC V1.6). In both answers 01 is success."""

from typing import Annotated

from ykc_server.protocol.codes import OneIsSuccess, StartFailure, StopFailure
from ykc_server.protocol.fields import Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Balance,
    GunNo,
    LogicalCardNo,
    PhysicalCardNo,
    PileNo,
    TransactionNo,
)


@message(0x34, "remote_start", Direction.DOWN, "运营平台远程控制启机")
class RemoteStart(Message, gc=False):
    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    logical_card_no: LogicalCardNo
    physical_card_no: PhysicalCardNo
    account_balance: Annotated[Balance, "账户余额"]


@message(0x33, "remote_start_ack", Direction.UP, "远程启动充电命令回复")
class RemoteStartAck(Message, gc=False):
    """After "not plugged in" a second one says success if the plug comes within 60 s."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    result: Annotated[int, Coded(OneIsSuccess), "启动结果"]
    fail_reason: Annotated[int, Coded(StartFailure), "失败原因"]


@message(0x36, "remote_stop", Direction.DOWN, "运营平台远程停机")
class RemoteStop(Message, gc=False):
    pile_no: PileNo
    gun_no: GunNo


@message(0x35, "remote_stop_ack", Direction.UP, "远程停机命令回复")
class RemoteStopAck(Message, gc=False):
    pile_no: PileNo
    gun_no: GunNo
    result: Annotated[int, Coded(OneIsSuccess), "停止结果"]
    fail_reason: Annotated[int, Coded(StopFailure), "失败原因"]
