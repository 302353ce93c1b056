"""Time sync (YKC V1.6)."""

from typing import Annotated

from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import PileNo, Timestamp


@message(0x56, "time_sync", Direction.DOWN, "对时设置")
class TimeSync(Message, gc=False):
    pile_no: PileNo
    time: Annotated[Timestamp, "当前时间"]


@message(0x55, "time_sync_ack", Direction.UP, "对时设置应答")
class TimeSyncAck(Message, gc=False):
    """The pile's clock after the sync."""

    pile_no: PileNo
    time: Annotated[Timestamp, "当前时间"]
