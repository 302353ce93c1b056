"""How a simulated pile charges: plugs, starts, ends, and what it keeps over a power cut."""

from datetime import datetime, timedelta
from typing import Any

from ykc_server.protocol import decode
from ykc_server.protocol.codes import (
    GunRole,
    OneIsSuccess,
    StartFailure,
    StartMode,
    StopReason,
)
from ykc_server.protocol.fields import CHINA
from ykc_server.protocol.messages import (
    BillingModel,
    ParallelRemoteStart,
    ParallelRemoteStartAck,
    RemoteStart,
    RemoteStartAck,
    TransactionRecord,
)
from ykc_server.simulator import reports
from ykc_server.simulator.car import Car
from ykc_server.simulator.parts import Gun, StoredRecord
from ykc_server.simulator.pile.line import Line
from ykc_server.simulator.session import Phase, Prices, Session

PLUG_TIMEOUT = timedelta(seconds=60)
HANDSHAKE = timedelta(seconds=4)
RECORD_AFTER = timedelta(seconds=2)


class Charging(Line):
    """What people do at a pile, and its charges from start to record."""

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

    # A start.

    def start_own(self, order: RemoteStart, mode: StartMode, now: datetime) -> None:
        """Take on a start that the pile asked for itself, or allowed by its own list: nobody waits for an answer."""
        gun = self.guns[order.gun_no.hex()]
        gun.session = self._new_session(gun, order, now)
        gun.session.is_own, gun.session.start_mode = True, mode
        if gun.plugged:
            self._begin(gun, gun.session, now)

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
