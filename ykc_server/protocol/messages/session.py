"""Login and heartbeat (YKC V1.6)."""

import struct
from typing import Annotated

from ykc_server.protocol.codes import (
    HeartbeatStatus,
    MobileOperator,
    NetworkType,
    PileType,
    ProtocolVersion,
    ZeroIsSuccess,
)
from ykc_server.protocol.crc import crc16
from ykc_server.protocol.fields import Ascii, Bcd, Coded
from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import GunNo, PileNo, Plain


@message(0x01, "login", Direction.UP, "充电桩登录认证")
class Login(Message, gc=False):
    """First frame of every connection. `sim_no` may hold hex digits."""

    pile_no: PileNo
    pile_type: Annotated[int, Coded(PileType), "桩类型"]
    gun_count: Annotated[Plain, "充电枪数量"]
    protocol_version: Annotated[int, Coded(ProtocolVersion), "通信协议版本"]
    software_version: Annotated[bytes, Ascii(8), "程序版本"]
    network_type: Annotated[int, Coded(NetworkType), "网络链接类型"]
    sim_no: Annotated[bytes, Bcd(10), "SIM 卡"]
    operator: Annotated[int, Coded(MobileOperator), "运营商"]


@message(0x02, "login_ack", Direction.DOWN, "登录认证应答")
class LoginAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(ZeroIsSuccess), "登陆结果"]


@message(0x03, "heartbeat", Direction.UP, "充电桩心跳包")
class Heartbeat(Message, gc=False):
    """Every 10 s, one per gun."""

    pile_no: PileNo
    gun_no: GunNo
    gun_status: Annotated[int, Coded(HeartbeatStatus), "枪状态"]


@message(0x04, "heartbeat_ack", Direction.DOWN, "心跳包应答")
class HeartbeatAck(Message, gc=False):
    """`response` is always 0."""

    pile_no: PileNo
    gun_no: GunNo
    response: Annotated[Plain, "心跳应答"]


_parts_of_heartbeat = struct.Struct("<2x2s2x8s").unpack_from
_pack_core_of_answer = struct.Struct("<2sH8sx").pack
_pack_answer = struct.Struct("<2s13sH").pack


def answer_heartbeat(heartbeat: bytes) -> bytes:
    """Return the 04 frame for a whole 03 frame, with its sequence, pile and gun number.

    The gateway answers a heartbeat of every gun every 10 s: this saves it the object.
    """
    sequence, gun = _parts_of_heartbeat(heartbeat)
    core = _pack_core_of_answer(sequence, 0x04_00, gun)
    return _pack_answer(b"\x68\x0d", core, crc16(core))
