"""A pile with one or two guns as a state machine: bytes and the time in, bytes out.

It does what YKC V1.6 asks of a pile: logs in, verifies its prices, beats every 10 s per gun, reports every 15 s
while charging and every 5 min otherwise, starts and stops on command, bills by its own prices and repeats a record
until it is confirmed. `now` is the true time (aware) and never goes back; the pile's own clock may be off.

    pile.connected(now); pile.receive(data, now); pile.tick(now); pile.disconnected(now)    what happens to it
    pile.plug("01", now); pile.unplug("01", now); pile.press_stop("01", now)                what people do
    pile.take_output()  pile.next_tick(now)  pile.wants_close                               what its client does next
"""

from collections import Counter
from collections.abc import Callable, Mapping
from copy import copy
from datetime import datetime, timedelta
from random import Random
from typing import Any, ClassVar

from ykc_server.protocol import Connection, Message, ProtocolError, decode
from ykc_server.protocol.codes import (
    BillingVerdict,
    GunRole,
    GunStatus,
    HeartbeatStatus,
    MobileOperator,
    NetworkType,
    OneIsSuccess,
    PileType,
    ProtocolVersion,
    StartFailure,
    StartMode,
    StopFailure,
    StopReason,
    ZeroIsSuccess,
)
from ykc_server.protocol.fields import CHINA
from ykc_server.protocol.messages import (
    BillingModel,
    BillingRequest,
    BillingRequestAck,
    BillingSet,
    BillingSetAck,
    BillingSetFivePrices,
    BillingVerify,
    BillingVerifyAck,
    Heartbeat,
    HeartbeatAck,
    Login,
    LoginAck,
    ParallelRemoteStart,
    ParallelRemoteStartAck,
    ReadRealtime,
    RemoteStart,
    RemoteStartAck,
    RemoteStop,
    RemoteStopAck,
    TimeSync,
    TimeSyncAck,
    TransactionRecord,
    TransactionRecordAck,
)
from ykc_server.simulator import reports
from ykc_server.simulator.car import Car
from ykc_server.simulator.parts import Asked, Faults, Gun, Habits, StoredRecord
from ykc_server.simulator.profiles import PLAIN, Profile
from ykc_server.simulator.session import Phase, Prices, Session
from ykc_server.simulator.starts import DECISIONS
from ykc_server.simulator.upkeep import ANSWERS

HEARTBEAT_EVERY = timedelta(seconds=10)
HEARTBEATS_MISSED = 3
REALTIME_CHARGING = timedelta(seconds=15)
REALTIME_IDLE = timedelta(minutes=5)
LOGIN_TIMEOUT = timedelta(seconds=30)
PLUG_TIMEOUT = timedelta(seconds=60)
HANDSHAKE = timedelta(seconds=4)
ASK_PRICES_EVERY = timedelta(seconds=10)
RECORD_AFTER = timedelta(seconds=2)
RECORD_RETRY = timedelta(seconds=30)
RECORD_RETRIES = 3
RECORD_LAST_TRY = timedelta(minutes=5)
# While a gun charges the state is worked out this often, so that a full battery or an empty balance shows at once.
CHARGING_TICK = timedelta(seconds=1)
PARALLEL_TIMEOUT = timedelta(seconds=10)
# A record that is repeated is one of the last that were sent.
JOURNAL_LOOK = 50


class SimulatedPile:
    """One pile. `guns` says what each gun can give, in W; `time_scale` simulated seconds of charging pass per second.

    With a `time_scale` above 1 the record's start is dated back, so that energy and duration fit each other.
    """

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

    # What happens on the line.

    def connected(self, now: datetime) -> None:
        """Start a connection: the login is the first thing to send."""
        self._connection = Connection(crc_swapped=self.faults.crc_swapped or self.profile.crc_swapped)
        self._output.clear()
        self.is_online = self.wants_close = False
        self._login_deadline = now + LOGIN_TIMEOUT
        self._send(
            Login.make(
                pile_no=self.pile_no,
                pile_type=PileType.AC if self.is_ac else PileType.DC,
                gun_count=len(self.guns),
                protocol_version=ProtocolVersion.V1_6,
                software_version=self.software_version,
                network_type=NetworkType.SIM,
                sim_no=f"898600{self.pile_no:>014}",
                operator=MobileOperator.CHINA_MOBILE,
            )
        )

    def disconnected(self, now: datetime) -> None:
        """The line is gone. A charge goes on; records wait for the next login."""
        self._connection = None
        self._output.clear()
        self.is_online = self.wants_close = False
        self.asked.clear()
        self._login_deadline = self._ask_prices_at = None
        self.tick(now)
        for gun in self.guns.values():
            gun.next_heartbeat = gun.next_realtime = None

    def receive(self, data: bytes, now: datetime) -> None:
        """Take bytes from the platform. What cannot be decoded is passed over."""
        if self._connection is None or self.wants_close:
            return
        for frame in self._connection.feed(data):
            try:
                message = decode(frame)
            except ProtocolError:
                continue
            heard = self.is_online or isinstance(message, LoginAck)
            if not heard or message.spec.kind in self.faults.unanswered:
                continue
            if handler := self._HANDLERS.get(type(message)):
                handler(self, message, now)
            elif decision := DECISIONS.get(type(message)):
                decision(self, message, now)
            elif answers := ANSWERS.get(type(message)):
                answer, *news = answers(self, message, now)
                self._answer(answer, message)
                for new in news:
                    self._send(new)

    def take_output(self) -> bytes:
        """Return what has to be written now, and forget it."""
        if not self._output:
            return b""
        output = self.faults.garbage + b"".join(self._output)
        self._output.clear()
        return output

    def tick(self, now: datetime) -> None:
        """Do what is due. Calling it too often does nothing, calling it late does it late."""
        for gun in self.guns.values():
            self._tick_gun(gun, now)
        self._give_up_parallel(now)
        if self._connection is None or self.wants_close:
            return
        if not self.is_online:
            if self._login_deadline and now >= self._login_deadline:
                self.wants_close = True
            return
        if self._ask_prices_at and now >= self._ask_prices_at:
            self._send(BillingRequest(pile_no=self.raw_pile_no))
            self._ask_prices_at = now + ASK_PRICES_EVERY
        for gun in self.guns.values():
            if gun.next_heartbeat and now >= gun.next_heartbeat:
                self._beat(gun, now)
            if gun.next_realtime and now >= gun.next_realtime:
                self._report(gun, now)
        for stored in self.records.values():
            if stored.next_try and now >= stored.next_try and not self._send_record(stored, now):
                break

    def next_tick(self, now: datetime) -> datetime | None:
        """Return when `tick` has something to do next; None when only new bytes can bring it."""
        times: list[datetime | None] = []
        for gun in self.guns.values():
            times += [gun.plug_at, gun.unplug_at]
            if gun.session:
                charging = gun.session.phase is Phase.CHARGING
                times.append(now + CHARGING_TICK if charging else gun.session.deadline)
        times += [deadline for deadline, _ in self._parallel.values()]
        if self._connection is not None and not self.wants_close:
            times += [self._login_deadline, self._ask_prices_at]
            times += [time for gun in self.guns.values() for time in (gun.next_heartbeat, gun.next_realtime)]
            if self.is_online:
                times += [stored.next_try for stored in self.records.values()]
        return min((time for time in times if time), default=None)

    # What people do.

    def plug(self, gun_no: str, now: datetime, car: Car | None = None) -> None:
        """Put the plug into `car` (any car if None). A start that waits for it goes on."""
        gun = self.guns[gun_no]
        gun.plug_at = None
        if gun.plugged:
            return
        gun.plugged = True
        gun.car = car or Car.any(self.random)
        session = gun.session
        if session and session.phase is Phase.WAITING_PLUG and now < session.deadline:
            self._begin(gun, session, now)
        self._report(gun, now)

    def unplug(self, gun_no: str, now: datetime) -> None:
        """Pull the plug; a running charge ends and its record leaves at once."""
        gun = self.guns[gun_no]
        gun.unplug_at = None
        if not gun.plugged:
            return
        if gun.session:
            self._end(gun, StopReason.CONTROL_PILOT_OPEN, now)
        gun.plugged, gun.car = False, None
        self._report(gun, now)

    def press_stop(self, gun_no: str, now: datetime) -> None:
        """Stop by hand at the pile."""
        gun = self.guns[gun_no]
        if gun.session:
            self._end(gun, StopReason.MANUAL_STOP, now)

    def charge_offline(self, gun_no: str, now: datetime) -> bool:
        """Start with one of the pile's own cards while there is no line; returns whether it could."""
        gun = self.guns[gun_no]
        if self.is_online or gun.session or self.billing is None or gun.fault_bits:
            return False
        self.plug(gun_no, now)
        self._offline_charges += 1
        moment = self.clock(now).astimezone(CHINA)
        request = RemoteStart.make(
            transaction_no=f"{self.pile_no:>014}{gun_no}{moment:%y%m%d%H%M%S}{9000 + self._offline_charges % 1000}",
            pile_no=self.pile_no,
            gun_no=gun_no,
            logical_card_no="1",
            physical_card_no="1",
            account_balance="20.00",
        )
        gun.session = self._new_session(gun, request, now)
        gun.session.start_mode = StartMode.OFFLINE_CARD
        self._begin(gun, gun.session, now)
        return True

    def cut_power(self, now: datetime) -> None:
        """Charges end where they are; what is sent of them is sent after the return."""
        for gun in self.guns.values():
            if gun.session:
                self._end(gun, StopReason.POWER_LOST, now)

    def hurry(self, now: datetime) -> None:
        """Send what waits for its confirmation once more, now."""
        for stored in self.records.values():
            stored.tries, stored.next_try = 0, now

    def inject(self, data: bytes) -> None:
        """Say what no pile should."""
        if self._connection is not None:
            self._output.append(data)

    def set_fault(self, gun_no: str, fault_bits: int, now: datetime) -> None:
        """Set the hardware faults (`codes.HardwareFault`) of a gun, 0 for none; a fault ends the charge."""
        gun = self.guns[gun_no]
        gun.fault_bits = fault_bits
        if fault_bits and gun.session:
            self._end(gun, StopReason.EMERGENCY_STOP if fault_bits & 1 else StopReason.MODULE_FAULT, now)
        self._report(gun, now)

    def reboot(self, now: datetime, *, when_idle: bool) -> None:
        """Start anew: the line is cut, charges end, the QR prefix is forgotten. Or later, when no gun charges."""
        busy = [gun for gun in self.guns.values() if gun.session]
        self._reboots_when_idle = when_idle and bool(busy)
        if self._reboots_when_idle:
            return
        for gun in busy:
            self._end(gun, StopReason.POWER_LOST, now)
        self.qr_prefix = ""
        self.wants_close = self._connection is not None

    # What it keeps over a power cut.

    def to_state(self, now: datetime) -> dict[str, Any]:
        """Return meters, prices and unconfirmed records as JSON; a running charge as ended by the power cut."""
        records = [stored.record for stored in self.records.values()]
        meters = {}
        for gun in self.guns.values():
            meters[gun.gun_no] = gun.meter
            if gun.session and gun.session.phase is not Phase.WAITING_PLUG:
                record = self._record(gun, gun.session, StopReason.POWER_LOST, now)
                records.append(record)
                meters[gun.gun_no] = record.meter_end
        return {
            "meters": meters,
            "cards": self.offline_cards,
            "billing": self.billing.encode().hex() if self.billing else None,
            "records": [record.encode().hex() for record in records],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Come back after a power cut with what `to_state` returned."""
        self.offline_cards = dict(state.get("cards", {}))
        for gun_no, meter in state["meters"].items():
            if gun_no in self.guns:
                self.guns[gun_no].meter = meter
        billing = decode(bytes.fromhex(state["billing"])) if state["billing"] else None
        self.billing = billing if isinstance(billing, BillingModel) else None
        for text in state["records"]:
            record = decode(bytes.fromhex(text))
            if isinstance(record, TransactionRecord):
                self.records[record.transaction_no] = StoredRecord(record, None)

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

    # A charge.

    def _tick_gun(self, gun: Gun, now: datetime) -> None:
        if gun.plug_at and now >= gun.plug_at:
            self.plug(gun.gun_no, now)
        if gun.unplug_at and now >= gun.unplug_at:
            self.unplug(gun.gun_no, now)
        session = gun.session
        if session is None:
            return
        if session.phase is Phase.WAITING_PLUG and now >= session.deadline:
            # Too late for the plug: the start never was (YKC V1.6: silence after 60 s).
            gun.session = None
        elif session.phase is Phase.STARTING and now >= session.deadline:
            session.phase = Phase.CHARGING
            session.began = session.charged_until = now
            self.changes += 1
            self._send_battery(reports.battery_begins(self, gun, session))
            self._charge(gun, session, now)
            self._report(gun, now)
        elif session.phase is Phase.CHARGING:
            self._charge(gun, session, now)

    def _charge(self, gun: Gun, session: Session, now: datetime) -> None:
        reason = session.charge(now, time_scale=self.time_scale, clock_offset=self.clock_offset)
        if reason:
            self._end(gun, reason, now)

    def _record(self, gun: Gun, session: Session, reason: StopReason, now: datetime) -> TransactionRecord:
        return self.profile.shape_record(reports.transaction_record(self, gun, session, reason, now))

    def _begin(self, gun: Gun, session: Session, now: datetime) -> None:
        """Accept a start: the plug is in."""
        session.phase = Phase.STARTING
        session.deadline = now + HANDSHAKE
        session.began = session.charged_until = now
        session.car = gun.car or session.car
        gun.last_transaction_no = session.request.transaction_no
        self.sent["starts"] += 1
        self.changes += 1
        if not session.is_own:
            self._answer_start(session.request, StartFailure.NONE)

    def _end(self, gun: Gun, reason: StopReason, now: datetime) -> None:
        """End a charge: the record is stored, and sent within seconds. A start that still waits leaves none."""
        session = gun.session
        if session is None:
            return
        if session.phase is Phase.CHARGING and session.charged_until < now:
            reason = session.charge(now, time_scale=self.time_scale, clock_offset=self.clock_offset) or reason
        gun.session = None
        if session.phase is Phase.WAITING_PLUG:
            return
        if session.phase is Phase.CHARGING:
            self._send_battery(reports.battery_ends(self, gun, session, reason))
        record = self._record(gun, session, reason, now)
        gun.meter = record.meter_end
        if self.habits.unplug_after is not None:
            gun.unplug_at = now + self.habits.unplug_after
        wait = RECORD_AFTER
        if self.faults.late_records > 0:
            self.faults.late_records -= 1
            wait = self.faults.late_by
        self.records[record.transaction_no] = StoredRecord(record, now + wait)
        self.changes += 1
        self._report(gun, now)
        if self._reboots_when_idle:
            self.reboot(now, when_idle=True)

    # What the platform says.

    def _on_login_ack(self, ack: LoginAck, now: datetime) -> None:
        if ack.result != ZeroIsSuccess.SUCCESS:
            self.wants_close = True
            return
        if self.is_online:
            return
        self.is_online = True
        self._login_deadline = None
        model_no = self.billing.billing_model_no if self.billing else bytes(2)
        self._send(BillingVerify(pile_no=self.raw_pile_no, billing_model_no=model_no))
        for gun in self.guns.values():
            gun.heartbeats_unanswered = 0
            self._beat(gun, now)
            self._report(gun, now)
        for stored in self.records.values():
            stored.tries, stored.next_try = 0, now + RECORD_AFTER

    def _on_heartbeat_ack(self, ack: HeartbeatAck, now: datetime) -> None:
        gun = self.guns.get(ack.gun_no.hex())
        if gun:
            gun.heartbeats_unanswered = 0

    def _on_billing_verify_ack(self, ack: BillingVerifyAck, now: datetime) -> None:
        if ack.result != BillingVerdict.SAME or self.billing is None:
            self._send(BillingRequest(pile_no=self.raw_pile_no))
            self._ask_prices_at = now + ASK_PRICES_EVERY

    def _on_five_prices(self, order: BillingSetFivePrices, now: datetime) -> None:
        """What comes back is not known of real piles: this one says 05 anew, and the platform learns by it."""
        if self.profile.five_prices:
            self._ask_prices_at = None
            self.billing = order
            self.changes += 1
            self._send(BillingVerify(pile_no=self.raw_pile_no, billing_model_no=order.billing_model_no))

    def _on_billing_request_ack(self, ack: BillingRequestAck, now: datetime) -> None:
        self._ask_prices_at = None
        self.billing = ack
        self.changes += 1

    def _on_billing_set(self, order: BillingSet, now: datetime) -> None:
        """New prices only while idle; a running charge keeps the ones it began with."""
        idle = all(gun.session is None for gun in self.guns.values())
        if idle:
            self._ask_prices_at = None
            self.billing = order
            self.changes += 1
        result = OneIsSuccess.SUCCESS if idle else OneIsSuccess.FAIL
        self._answer(BillingSetAck(pile_no=self.raw_pile_no, result=result), order)

    def _on_time_sync(self, order: TimeSync, now: datetime) -> None:
        time = order.value("time")
        if time and not self.faults.ignores_time_sync:
            self.clock_offset = time - now
        raw_time = TimeSyncAck.spec.fields["time"].raw(self.clock(now))
        self._answer(TimeSyncAck(pile_no=self.raw_pile_no, time=raw_time), order)

    def _on_read_realtime(self, order: ReadRealtime, now: datetime) -> None:
        gun = self.guns.get(order.gun_no.hex())
        if gun and order.pile_no == self.raw_pile_no:
            message = self.profile.shape(reports.realtime(self, gun), idle=gun.session is None)
            self._answer(message, order)

    def _on_remote_start(self, order: RemoteStart, now: datetime) -> None:
        gun = self.guns.get(order.gun_no.hex())
        failure = self._why_not(order)
        if gun is None or failure:
            self._answer_start(order, self._said_before(gun, order, failure))
            return
        gun.session = self._new_session(gun, order, now)
        if gun.plugged:
            self._begin(gun, gun.session, now)
            return
        self._answer_start(order, StartFailure.NOT_PLUGGED_IN)
        if self.habits.plug_after is not None:
            gun.plug_at = now + self.habits.plug_after

    def _on_parallel_start(self, order: ParallelRemoteStart, now: datetime) -> None:
        """Charge with all guns or with none: the answers wait for the last gun's order (YKC V1.6)."""
        _, orders = self._parallel.setdefault(order.parallel_seq, (now + PARALLEL_TIMEOUT, []))
        orders[:] = [other for other in orders if other.gun_no != order.gun_no] + [order]
        if len(orders) < len(self.guns):
            return
        failure = next((why for other in orders if (why := self._why_not(other))), StartFailure.NONE)
        if not failure and not all(gun.plugged for gun in self.guns.values()):
            failure = StartFailure.NOT_PLUGGED_IN
        self._decide_parallel(orders, failure, now)

    def _give_up_parallel(self, now: datetime) -> None:
        for deadline, orders in list(self._parallel.values()):
            if now >= deadline:
                self._decide_parallel(orders, StartFailure.DEVICE_FAULT, now)

    def _decide_parallel(
        self, orders: list[ParallelRemoteStart], failure: StartFailure, now: datetime
    ) -> None:
        del self._parallel[orders[0].parallel_seq]
        for order in orders:
            if failure:
                self._answer_start(order, failure)
            else:
                gun = self.guns[order.gun_no.hex()]
                gun.session = self._new_session(gun, order, now)
                self._begin(gun, gun.session, now)

    def _why_not(self, order: RemoteStart) -> StartFailure:
        """Return why a start cannot be taken on; a missing plug is no reason yet."""
        gun = self.guns.get(order.gun_no.hex())
        if gun is None or order.pile_no != self.raw_pile_no:
            return StartFailure.WRONG_PILE_NO
        if gun.session:
            return StartFailure.ALREADY_CHARGING
        if gun.fault_bits or self.is_locked or self.billing is None or order.transaction_no in self.records:
            return StartFailure.DEVICE_FAULT
        return StartFailure.NONE

    def _said_before(self, gun: Gun | None, order: RemoteStart, failure: StartFailure) -> StartFailure:
        """Return the first answer again when the start that a gun is busy with is repeated."""
        session = gun.session if gun and failure is StartFailure.ALREADY_CHARGING else None
        if session is None or session.request.transaction_no != order.transaction_no:
            return failure
        waiting = session.phase is Phase.WAITING_PLUG
        return StartFailure.NOT_PLUGGED_IN if waiting else StartFailure.NONE

    def _new_session(self, gun: Gun, order: RemoteStart, now: datetime) -> Session:
        assert self.billing is not None
        gun.unplug_at = None
        return Session(
            request=order,
            prices=Prices.of(self.billing),
            phase=Phase.WAITING_PLUG,
            deadline=now + PLUG_TIMEOUT,
            car=gun.car or Car(),
            limit_w=gun.power_w * self.max_power_percent // 100,
            meter_start=self.profile.meter_start(gun.meter),
            began=now,
            charged_until=now,
        )

    def start_own(self, order: RemoteStart, mode: StartMode, now: datetime) -> None:
        """Take on a start that the pile asked for itself, or allowed by its own list: nobody waits for an answer."""
        gun = self.guns[order.gun_no.hex()]
        gun.session = self._new_session(gun, order, now)
        gun.session.is_own, gun.session.start_mode = True, mode
        if gun.plugged:
            self._begin(gun, gun.session, now)

    def say(self, message: Message) -> None:
        """Send a message that answers nothing; without a line it is lost."""
        self._send(message)

    def _answer_start(self, order: RemoteStart, failure: StartFailure) -> None:
        answer: dict[str, Any] = {
            "transaction_no": order.transaction_no,
            "pile_no": self.raw_pile_no,
            "gun_no": order.gun_no,
            "result": OneIsSuccess.FAIL if failure else OneIsSuccess.SUCCESS,
            "fail_reason": failure,
        }
        if isinstance(order, ParallelRemoteStart):
            role = GunRole.MAIN if order.gun_no.hex() == min(self.guns) else GunRole.AUXILIARY
            self._answer(
                ParallelRemoteStartAck(**answer, gun_role=role, parallel_seq=order.parallel_seq), order
            )
        else:
            self._answer(RemoteStartAck(**answer), order)

    def _on_remote_stop(self, order: RemoteStop, now: datetime) -> None:
        """Stop what runs. A start that waits for the plug is given up, but was no charge: failure 02."""
        gun = self.guns.get(order.gun_no.hex())
        failure = StopFailure.NONE
        if gun is None or order.pile_no != self.raw_pile_no:
            failure = StopFailure.WRONG_PILE_NO
        elif gun.session is None or gun.session.phase is Phase.WAITING_PLUG:
            failure = StopFailure.NOT_CHARGING
            gun.session = gun.plug_at = None
        self._answer(
            RemoteStopAck(
                pile_no=self.raw_pile_no,
                gun_no=order.gun_no,
                result=OneIsSuccess.FAIL if failure else OneIsSuccess.SUCCESS,
                fail_reason=failure,
            ),
            order,
        )
        if gun and not failure:
            self._end(gun, StopReason.APP_STOP, now)

    def _on_record_ack(self, ack: TransactionRecordAck, now: datetime) -> None:
        """The platform has it (00), or calls it illegal (01): either way it is not asked for again."""
        if self.faults.lost_confirmations > 0:
            self.faults.lost_confirmations -= 1
        elif self.records.pop(ack.transaction_no, None):
            self.sent["confirmed"] += 1
            self.changes += 1

    _HANDLERS: ClassVar[dict[type[Message], Callable[["SimulatedPile", Any, datetime], None]]] = {
        LoginAck: _on_login_ack,
        HeartbeatAck: _on_heartbeat_ack,
        BillingVerifyAck: _on_billing_verify_ack,
        BillingRequestAck: _on_billing_request_ack,
        BillingSet: _on_billing_set,
        BillingSetFivePrices: _on_five_prices,
        TimeSync: _on_time_sync,
        ReadRealtime: _on_read_realtime,
        RemoteStart: _on_remote_start,
        ParallelRemoteStart: _on_parallel_start,
        RemoteStop: _on_remote_stop,
        TransactionRecordAck: _on_record_ack,
    }
