"""What a simulated pile consists of, and what may be wrong with it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ykc_server.protocol.codes import GunStatus, StartMode
from ykc_server.protocol.messages import StartRequest, StartRequestAck, TransactionRecord
from ykc_server.simulator.car import Car
from ykc_server.simulator.session import Phase, Session


@dataclass
class Faults:
    """What may be wrong with a pile. Counters go down as the fault happens, flags stay.

    cut_before_record_ack   so many records are sent and the connection is cut at once, before 40 can come
    duplicate_records       so many records are sent twice in one write
    crc_swapped             every frame has its CRC high byte first
    garbage                 bytes put in front of every write
    split_writes            the client writes pieces of so many bytes; 0 for whole writes
    clock_offset            how far the pile's clock is ahead
    ignores_time_sync       56 is answered but does not set the clock
    unanswered              frame types (0x34, 0x36 …) that are received and never answered or obeyed
    hold_writes_s           what it says is kept so long and leaves in one write
    late_records            so many records are first sent `late_by` after their charge
    lost_confirmations      so many 40 do not arrive
    """

    cut_before_record_ack: int = 0
    duplicate_records: int = 0
    crc_swapped: bool = False
    garbage: bytes = b""
    split_writes: int = 0
    clock_offset: timedelta = timedelta(0)
    ignores_time_sync: bool = False
    unanswered: frozenset[int] = frozenset()
    hold_writes_s: float = 0
    late_records: int = 0
    late_by: timedelta = timedelta(0)
    lost_confirmations: int = 0


@dataclass(frozen=True)
class Habits:
    """What drivers do without being told: how long after a start in vain the plug comes, after an end it goes."""

    plug_after: timedelta | None = None
    unplug_after: timedelta | None = None


@dataclass
class Asked:
    """A start that the pile asked for, and for a charge over several guns what this gun was told."""

    request: StartRequest
    mode: StartMode
    told: StartRequestAck | None = None


@dataclass
class Gun:
    """What a gun is doing. `meter` in 0.0001 kWh."""

    gun_no: str
    power_w: int
    meter: int = 0
    plugged: bool = False
    car: Car | None = None
    fault_bits: int = 0
    session: Session | None = None
    last_transaction_no: bytes = bytes(16)
    next_heartbeat: datetime | None = None
    heartbeats_unanswered: int = 0
    next_realtime: datetime | None = None
    plug_at: datetime | None = None
    unplug_at: datetime | None = None
    refused: int | None = None
    """Why the platform refused the last start that was asked for at this gun (`codes.AuthFailure`)."""

    @property
    def status(self) -> GunStatus:
        if self.fault_bits:
            return GunStatus.FAULT
        if self.session and self.session.phase is Phase.CHARGING:
            return GunStatus.CHARGING
        return GunStatus.IDLE


@dataclass
class StoredRecord:
    """A record the platform has not confirmed. `next_try` None: given up until the next login."""

    record: TransactionRecord
    next_try: datetime | None
    tries: int = 0
