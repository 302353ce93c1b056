"""All declared messages. Importing this package fills the registry of `message`."""

from ykc_server.protocol.messages.billing import (
    BillingModel,
    BillingRequest,
    BillingRequestAck,
    BillingSet,
    BillingSetAck,
    BillingVerify,
    BillingVerifyAck,
)
from ykc_server.protocol.messages.clock import TimeSync, TimeSyncAck
from ykc_server.protocol.messages.control import RemoteStart, RemoteStartAck, RemoteStop, RemoteStopAck
from ykc_server.protocol.messages.realtime import ReadRealtime, Realtime
from ykc_server.protocol.messages.record import TransactionRecord, TransactionRecordAck
from ykc_server.protocol.messages.session import Heartbeat, HeartbeatAck, Login, LoginAck, answer_heartbeat

__all__ = [
    "BillingModel",
    "BillingRequest",
    "BillingRequestAck",
    "BillingSet",
    "BillingSetAck",
    "BillingVerify",
    "BillingVerifyAck",
    "Heartbeat",
    "HeartbeatAck",
    "Login",
    "LoginAck",
    "ReadRealtime",
    "Realtime",
    "RemoteStart",
    "RemoteStartAck",
    "RemoteStop",
    "RemoteStopAck",
    "TimeSync",
    "TimeSyncAck",
    "TransactionRecord",
    "TransactionRecordAck",
    "answer_heartbeat",
]
