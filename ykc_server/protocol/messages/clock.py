"""Time sync (YKC V1.6)."""

from ykc_server.protocol.message import Direction, Message, message
from ykc_server.protocol.messages.common import PileNo, Timestamp


@message(0x56, "time_sync", Direction.DOWN)
class TimeSync(Message, gc=False):
    pile_no: PileNo
    time: Timestamp


@message(0x55, "time_sync_ack", Direction.UP)
class TimeSyncAck(Message, gc=False):
    """The pile's clock after the sync."""

    pile_no: PileNo
    time: Timestamp
