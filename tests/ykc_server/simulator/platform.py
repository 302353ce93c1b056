"""The other end of a simulated pile's line, with times handed in: what the simulator's tests share."""

from datetime import UTC, datetime, timedelta

from ykc_server.protocol import Connection, Message, decode
from ykc_server.protocol.messages import (
    BillingSet,
    Heartbeat,
    HeartbeatAck,
    LoginAck,
    RemoteStart,
    RemoteStop,
    TransactionRecord,
    TransactionRecordAck,
)
from ykc_server.simulator import Car, SimulatedPile

PILE_NO = "32010600000001"
# 09:50 in Shanghai: ten minutes before the class changes from flat to peak.
NOON = datetime(2026, 3, 2, 1, 50, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TRANSACTION_NO = PILE_NO + "01" + "260302095000" + "0001"
CAR = Car(capacity_wh=60_000, start_wh=30_000, max_power_w=60_000, vin="LSVAM4187C2184841")

PRICES = {
    "billing_model_no": "0100",
    "sharp_electricity_price": "1.20000",
    "sharp_service_price": "0.40000",
    "peak_electricity_price": "1.00000",
    "peak_service_price": "0.40000",
    "flat_electricity_price": "0.70000",
    "flat_service_price": "0.30000",
    "valley_electricity_price": "0.30000",
    "valley_service_price": "0.20000",
    "loss_ratio": 0,
    "slot_rate_codes": [3] * 14 + [2] * 6 + [1] * 28,
}


class Platform:
    """The other end of the line: moves time, answers what a platform answers at once, and keeps what it heard."""

    def __init__(self, pile, now=NOON):
        self.pile = pile
        self.now = now
        self.line = Connection()
        self.heard: list[Message] = []
        self.answers_heartbeats = True
        self.confirms = True

    def connect(self):
        self.line = Connection()
        self.heard.clear()
        self.pile.connected(self.now)
        self.listen()

    def listen(self):
        """Read all output of the pile, answering as it comes."""
        while output := self.pile.take_output():
            for frame in self.line.feed(output):
                message = decode(frame)
                self.heard.append(message)
                if isinstance(message, Heartbeat) and self.answers_heartbeats:
                    self.answer(
                        HeartbeatAck(pile_no=message.pile_no, gun_no=message.gun_no, response=0), message
                    )
                if isinstance(message, TransactionRecord) and self.confirms:
                    self.answer(
                        TransactionRecordAck(transaction_no=message.transaction_no, result=0), message
                    )

    def answer(self, message, request):
        self.pile.receive(self.line.answer(message, request), self.now)

    def say(self, message):
        """Send a frame and return what came back."""
        self.heard.clear()
        self.pile.receive(self.line.send(message), self.now)
        self.listen()
        return list(self.heard)

    def wait(self, **duration):
        """Let time pass, ticking whenever the pile asks for it; return what was heard."""
        self.heard.clear()
        end = self.now + timedelta(**duration)
        while (due := self.pile.next_tick(self.now)) is not None and due <= end:
            assert due >= self.now
            self.now = due
            self.pile.tick(self.now)
            self.listen()
            if self.pile.wants_close:
                return list(self.heard)
        self.now = end
        return list(self.heard)

    def log_in(self, prices=True):
        self.connect()
        [login] = self.heard
        self.answer(LoginAck(pile_no=login.pile_no, result=0), login)
        self.listen()
        if prices:
            self.say(BillingSet.make(pile_no=PILE_NO, **PRICES))
        return self


def start(balance="50.00", transaction_no=TRANSACTION_NO, gun_no="01", pile_no=PILE_NO):
    return RemoteStart.make(
        transaction_no=transaction_no,
        pile_no=pile_no,
        gun_no=gun_no,
        logical_card_no="0",
        physical_card_no="00000000D14B0A54",
        account_balance=balance,
    )


def stop(gun_no="01", pile_no=PILE_NO):
    return RemoteStop.make(pile_no=pile_no, gun_no=gun_no)


def only(messages, cls):
    return [message for message in messages if isinstance(message, cls)]


def online(**options):
    options.setdefault("guns", {"01": 60_000})
    return Platform(SimulatedPile(PILE_NO, **options)).log_in()


def charging(balance="50.00", car=CAR, **options):
    """A platform whose pile charges `car` since exactly `platform.now`."""
    platform = online(**options)
    platform.pile.plug("01", platform.now, car)
    platform.say(start(balance))
    platform.wait(seconds=4)
    return platform
