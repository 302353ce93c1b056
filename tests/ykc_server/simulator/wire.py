"""A platform of a few lines on a real socket, for the tests of clients and fleets."""

import asyncio
from contextlib import asynccontextmanager

from ykc_server.protocol import Connection, decode
from ykc_server.protocol.messages import (
    BillingSet,
    Heartbeat,
    HeartbeatAck,
    Login,
    LoginAck,
    RemoteStart,
    TransactionRecord,
    TransactionRecordAck,
)

PILE_NO = "32010600000001"
DEADLINE_S = 30
POLL_S = 0.01
PRICES = {
    "pile_no": PILE_NO,
    "billing_model_no": "0100",
    "loss_ratio": 0,
    "slot_rate_codes": [2] * 48,
} | {
    f"{rate_class}_{fee}_price": "1.00000"
    for rate_class in ("sharp", "peak", "flat", "valley")
    for fee in ("electricity", "service")
}


class Platform(asyncio.Protocol):
    """Accepts every login, gives prices, confirms records unless told otherwise."""

    def __init__(self, log, confirms):
        self.log = log
        self.confirms = confirms
        self.line = Connection()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        for frame in self.line.feed(data):
            message = decode(frame)
            self.log.append((self, message))
            if isinstance(message, Login):
                self.transport.write(self.line.answer(LoginAck(pile_no=message.pile_no, result=0), message))
                self.transport.write(self.line.send(BillingSet.make(**PRICES)))
            elif isinstance(message, Heartbeat):
                ack = HeartbeatAck(pile_no=message.pile_no, gun_no=message.gun_no, response=0)
                self.transport.write(self.line.answer(ack, message))
            elif isinstance(message, TransactionRecord) and self.confirms:
                ack = TransactionRecordAck(transaction_no=message.transaction_no, result=0)
                self.transport.write(self.line.answer(ack, message))

    def send(self, message):
        self.transport.write(self.line.send(message))


@asynccontextmanager
async def platform(*, confirms=True):
    """Yield the port, and the list of (connection, message) that fills."""
    log = []
    server = await asyncio.get_running_loop().create_server(lambda: Platform(log, confirms), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], log
    finally:
        server.close()


async def until(condition):
    """Poll until `condition` is true, at most `DEADLINE_S`."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 -- a pile's state has no event to wait for
            await asyncio.sleep(POLL_S)


def start(number="1"):
    return RemoteStart.make(
        transaction_no=number,
        pile_no=PILE_NO,
        gun_no="01",
        logical_card_no="0",
        physical_card_no="0",
        account_balance="50.00",
    )
