"""Starts at the pile by card, account or VIN, and charging over two guns at once (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import AuthFailure, GunRole, OneIsSuccess, StartFailure, StartType, YesNo
from ykc_server.protocol.fields import Ascii, Coded, Hex
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import (
    Balance,
    GunNo,
    LogicalCardNo,
    ParallelSeq,
    PileNo,
    TransactionNo,
    VinLastFirst,
)
from ykc_server.protocol.messages.control import RemoteStart


@message(0x31, "start_request", Direction.UP, "充电桩主动申请启动充电")
class StartRequest(Message, gc=False):
    """`password` is the middle 16 characters of the MD5 of what was typed, in lower case; zeros if nothing was."""

    pile_no: PileNo
    gun_no: GunNo
    start_type: Annotated[int, Coded(StartType), "启动方式"]
    need_password: Annotated[int, Coded(YesNo), "是否需要密码"]
    account_or_card: Annotated[bytes, Hex(8), "账号或物理卡号"]
    password: Annotated[bytes, Ascii(16, secret=True), "输入密码"]
    vin: VinLastFirst


@message(0x32, "start_request_ack", Direction.DOWN, "运营平台确认启动充电")
class StartRequestAck(Message, gc=False):
    """The platform gives the transaction number here, also when it refuses."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    logical_card_no: LogicalCardNo
    account_balance: Annotated[Balance, "账户余额"]
    auth_result: Annotated[int, Coded(OneIsSuccess), "鉴权成功标志"]
    fail_reason: Annotated[int, Coded(AuthFailure), "失败原因"]


@message(0xA1, "parallel_start_request", Direction.UP, "充电桩主动申请并充充电")
class ParallelStartRequest(StartRequest, gc=False):
    """One per gun, all with the pile's `parallel_seq` (yyMMddHHmmss)."""

    gun_role: Annotated[int, Coded(GunRole), "主辅枪标记"]
    parallel_seq: ParallelSeq


@message(0xA2, "parallel_start_request_ack", Direction.DOWN, "运营平台确认并充启动充电")
class ParallelStartRequestAck(StartRequestAck, gc=False):
    """The pile starts only when every gun was accepted."""

    parallel_seq: ParallelSeq


@message(0xA4, "parallel_remote_start", Direction.DOWN, "运营平台远程控制并充启机")
class ParallelRemoteStart(RemoteStart, gc=False):
    """One per gun, each with its own transaction number and all with the platform's `parallel_seq`."""

    parallel_seq: ParallelSeq


@message(0xA3, "parallel_remote_start_ack", Direction.UP, "远程并充启机命令回复")
class ParallelRemoteStartAck(Message, gc=False):
    """All guns of one charge answer the same."""

    transaction_no: TransactionNo
    pile_no: PileNo
    gun_no: GunNo
    result: Annotated[int, Coded(OneIsSuccess), "启动结果"]
    fail_reason: Annotated[int, Coded(StartFailure), "失败原因"]
    gun_role: Annotated[int, Coded(GunRole), "主辅枪标记"]
    parallel_seq: ParallelSeq
