"""What a simulated pile is, and what it says on its own."""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from datetime import datetime, timedelta
from random import Random

from ykc_server.protocol import Connection, Message
from ykc_server.protocol.codes import (
    GunStatus,
    HeartbeatStatus,
)
from ykc_server.protocol.messages import (
    BillingModel,
    Heartbeat,
    ParallelRemoteStart,
)
from ykc_server.simulator import reports
from ykc_server.simulator.parts import Asked, Faults, Gun, Habits, StoredRecord
from ykc_server.simulator.profiles import PLAIN, Profile

HEARTBEAT_EVERY = timedelta(seconds=10)
HEARTBEATS_MISSED = 3
REALTIME_CHARGING = timedelta(seconds=15)
REALTIME_IDLE = timedelta(minutes=5)
RECORD_RETRY = timedelta(seconds=30)
RECORD_RETRIES = 3
RECORD_LAST_TRY = timedelta(minutes=5)
# A record that is repeated is one of the last that were sent.
JOURNAL_LOOK = 50


class Line:
    """A pile's parts and its line to the platform."""

    def __init__(
        self,
        pile_no: str,
        *,
        guns: Mapping[str, int] | None = None,
        is_ac: bool = False,
        time_scale: float = 1,
        faults: Faults | None = None,
        habits: Habits | None = None,
        profile: Profile = PLAIN,
        seed: int | str | None = None,
    ) -> None:
        self.pile_no = pile_no
        self.raw_pile_no = bytes.fromhex(pile_no.zfill(14))
        self.is_ac = is_ac
        self.time_scale = time_scale
        self.faults = faults or Faults()
        self.habits = habits or Habits()
        self.profile = profile
        self.random = Random(pile_no if seed is None else seed)
        self.guns = {gun_no: Gun(gun_no, power_w) for gun_no, power_w in (guns or {"01": 120_000}).items()}
        self.billing: BillingModel | None = None
        self.records: dict[bytes, StoredRecord] = {}
        self.clock_offset = self.faults.clock_offset
        self.offline_cards: dict[str, str] = {}
        """Logical by physical card number."""
        self.asked: dict[str, Asked] = {}
        """What the pile asked the platform for and has no answer to, by gun."""
        self.is_locked = False
        self.max_power_percent = 100
        self.software_version = "SIM-1.0"
        self.qr_prefix = ""
        self.is_online = False
        self.wants_close = False
        self.changes = 0
        """Grows whenever something happens that a pile keeps over a power cut."""
        self.sent: Counter[str] = Counter()
        """Transmissions of records, their confirmations, and starts that were taken on."""
        self.journal: list[bytes] | None = None
        """The number of every record sent, for whoever makes it a list."""
        self._connection: Connection | None = None
        self._output: list[bytes] = []
        self._login_deadline: datetime | None = None
        self._ask_prices_at: datetime | None = None
        self._offline_charges = 0
        self._reboots_when_idle = False
        # Starts over several guns that wait for the other guns, by their common number.
        self._parallel: dict[bytes, tuple[datetime, list[ParallelRemoteStart]]] = {}

    def clock(self, now: datetime) -> datetime:
        """Return the time that the pile believes it is."""
        return now + self.clock_offset

    def take_output(self) -> bytes:
        """Return what has to be written now, and forget it."""
        if not self._output:
            return b""
        output = self.faults.garbage + b"".join(self._output)
        self._output.clear()
        return output

    def inject(self, data: bytes) -> None:
        """Say what no pile should."""
        if self._connection is not None:
            self._output.append(data)

    def say(self, message: Message) -> None:
        """Send a message that answers nothing; without a line it is lost."""
        self._send(message)

    # What it says on its own.

    def _send(self, message: Message) -> None:
        if self._connection is not None:
            self._output.append(self._connection.send(self.profile.shape(message)))

    def _answer(self, message: Message, request: Message) -> None:
        if self._connection is not None:
            if self.profile.reversed_sequence:
                request = copy(request)
                request.sequence = request.sequence[::-1]
            self._output.append(self._connection.answer(self.profile.shape(message), request))

    def _beat(self, gun: Gun, now: datetime) -> None:
        if gun.heartbeats_unanswered >= HEARTBEATS_MISSED:
            self.wants_close = True
            return
        status = HeartbeatStatus.FAULT if gun.fault_bits else HeartbeatStatus.NORMAL
        self._send(Heartbeat(pile_no=self.raw_pile_no, gun_no=bytes.fromhex(gun.gun_no), gun_status=status))
        gun.heartbeats_unanswered += 1
        gun.next_heartbeat = now + HEARTBEAT_EVERY

    def _report(self, gun: Gun, now: datetime) -> None:
        """Send 13 now; the next one is due by the gun's status."""
        if not self.is_online:
            return
        self._send(self.profile.shape(reports.realtime(self, gun), idle=gun.session is None))
        if gun.session and gun.status is GunStatus.CHARGING:
            self._send_battery(reports.battery_goes_on(self, gun, gun.session))
        gun.next_realtime = now + (REALTIME_CHARGING if gun.status is GunStatus.CHARGING else REALTIME_IDLE)

    def _send_battery(self, messages: list[Message]) -> None:
        """Send what only DC piles know, and only while it is new: nothing of it is kept for later."""
        if self.is_online and not self.is_ac:
            for message in messages:
                self._send(message)

    def _send_record(self, stored: StoredRecord, now: datetime) -> bool:
        """Send a record; return whether the line stays.

        At once, three times more after 30 s each, once more after 5 min (YKC V1.6 §8.7, §8.8), then not before
        the next login.
        """
        times = 1
        if self.faults.duplicate_records > 0:
            self.faults.duplicate_records -= 1
            times = 2
        for _ in range(times):
            self._send(stored.record)
        self.sent["transmissions"] += times
        if self.journal is not None and stored.record.transaction_no not in self.journal[-JOURNAL_LOOK:]:
            self.journal.append(stored.record.transaction_no)
        stored.tries += 1
        if stored.tries <= RECORD_RETRIES:
            stored.next_try = now + RECORD_RETRY
        elif stored.tries == RECORD_RETRIES + 1:
            stored.next_try = now + RECORD_LAST_TRY
        else:
            stored.next_try = None
        if self.faults.cut_before_record_ack > 0:
            self.faults.cut_before_record_ack -= 1
            self.wants_close = True
        return not self.wants_close
