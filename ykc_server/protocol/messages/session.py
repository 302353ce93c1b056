"""Login and heartbeat (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.codes import (
    HeartbeatStatus,
    MobileOperator,
    NetworkType,
    PileType,
    ProtocolVersion,
    ZeroIsSuccess,
)
from ykc_server.protocol.fields import Ascii, Bcd, Coded
from ykc_server.protocol.message import Direction, Message, message, seal
from ykc_server.protocol.messages.common import GunNo, PileNo, Plain


@message(0x01, "login", Direction.UP)
class Login(Message, gc=False):
    """First frame of every connection. `sim_no` may hold hex digits."""

    pile_no: PileNo
    pile_type: Annotated[int, Coded(PileType)]
    gun_count: Plain
    protocol_version: Annotated[int, Coded(ProtocolVersion)]
    software_version: Annotated[bytes, Ascii(8)]
    network_type: Annotated[int, Coded(NetworkType)]
    sim_no: Annotated[bytes, Bcd(10)]
    operator: Annotated[int, Coded(MobileOperator)]


@message(0x02, "login_ack", Direction.DOWN)
class LoginAck(Message, gc=False):
    pile_no: PileNo
    result: Annotated[int, Coded(ZeroIsSuccess)]


@message(0x03, "heartbeat", Direction.UP)
class Heartbeat(Message, gc=False):
    """Every 10 s, one per gun."""

    pile_no: PileNo
    gun_no: GunNo
    gun_status: Annotated[int, Coded(HeartbeatStatus)]


@message(0x04, "heartbeat_ack", Direction.DOWN)
class HeartbeatAck(Message, gc=False):
    """`response` is always 0."""

    pile_no: PileNo
    gun_no: GunNo
    response: Plain


def answer_heartbeat(sequence: bytes, gun: bytes, crc_swapped: bool = False) -> bytes:
    """Return the 04 frame for a heartbeat: `sequence` is frame[2:4], `gun` pile and gun number, frame[6:14].

    The gateway answers a heartbeat of every gun every 10 s: this saves it the object.
    """
    return seal(sequence + b"\0\x04" + gun + b"\0", crc_swapped)
