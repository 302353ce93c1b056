"""A simulated pile on its line: what it does with what the platform says, and when it is due to do more."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from ykc_server.protocol import Connection, Message, ProtocolError, decode
from ykc_server.protocol.codes import (
    BillingVerdict,
    MobileOperator,
    NetworkType,
    OneIsSuccess,
    PileType,
    ProtocolVersion,
    StartFailure,
    StopFailure,
    StopReason,
    ZeroIsSuccess,
)
from ykc_server.protocol.messages import (
    BillingRequest,
    BillingRequestAck,
    BillingSet,
    BillingSetAck,
    BillingSetFivePrices,
    BillingVerify,
    BillingVerifyAck,
    HeartbeatAck,
    Login,
    LoginAck,
    ParallelRemoteStart,
    ReadRealtime,
    RemoteStart,
    RemoteStop,
    RemoteStopAck,
    TimeSync,
    TimeSyncAck,
    TransactionRecordAck,
)
from ykc_server.simulator import reports
from ykc_server.simulator.pile.charging import RECORD_AFTER, Charging
from ykc_server.simulator.session import Phase
from ykc_server.simulator.starts import DECISIONS
from ykc_server.simulator.upkeep import ANSWERS

LOGIN_TIMEOUT = timedelta(seconds=30)
ASK_PRICES_EVERY = timedelta(seconds=10)
# While a gun charges the state is worked out this often, so that a full battery or an empty balance shows at once.
CHARGING_TICK = timedelta(seconds=1)
PARALLEL_TIMEOUT = timedelta(seconds=10)


class SimulatedPile(Charging):
    """One pile. `guns` says what each gun can give, in W; `time_scale` simulated seconds of charging pass per second.

    With a `time_scale` above 1 the record's start is dated back, so that energy and duration fit each other.
    """

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

    def hurry(self, now: datetime) -> None:
        """Send what waits for its confirmation once more, now."""
        for stored in self.records.values():
            stored.tries, stored.next_try = 0, now

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
