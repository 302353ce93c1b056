"""What the gateway does with each frame of a pile: one function per type.

Three kinds, told apart when they are registered:

    plain function      runs inside `data_received`, never waits, returns the answer's bytes or None
    coroutine           runs after the connection's earlier coroutines; plain frames pass it
    coroutine, gate     everything behind it waits until it is done; nothing before it is heard

Frames carry the pile's number again; one that differs from the login's is passed over, except in a record.
"""

from ykc_server.handlers import battery, charging, prices, session, starts, upkeep
from ykc_server.handlers.registry import GATE, HOT, SLOW

__all__ = ["GATE", "HOT", "SLOW", "battery", "charging", "prices", "session", "starts", "upkeep"]
