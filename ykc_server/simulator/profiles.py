"""How real piles differ from the specification and from each other: versions, record layouts, vendors' habits.

A profile shapes what a simulated pile says as it leaves. Each habit was seen in captures of piles in the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from ykc_server.protocol import Message
from ykc_server.protocol.codes import ProtocolVersion
from ykc_server.protocol.messages import (
    BmsDemand,
    Heartbeat,
    Login,
    Realtime,
    TimeSyncAck,
    TransactionRecord,
    TransactionRecordFivePrices,
    TransactionRecordV17,
)

RATE_CLASSES = ("sharp", "peak", "flat", "valley", "deep_valley")
CENT = 100
"""In the units of amounts, 0.0001 yuan."""
METER_RESTART = 10
"""0.0010 kWh."""
BMS_ZERO_CURRENT = 4000
OTHER_FIELDS: dict[type[TransactionRecord], dict[str, Any]] = {
    TransactionRecord: {},
    TransactionRecordFivePrices: {
        f"deep_valley_{name}": 0 for name in ("price", "kwh", "loss_kwh", "amount")
    },
    TransactionRecordV17: {
        "meter_no": bytes(6),
        "meter_cipher": bytes(34),
        "meter_protocol_version": bytes(2),
        "meter_encryption": 0,
    },
}


@dataclass(frozen=True)
class Profile:
    """What is special about a make of pile. `is_ac` None: made as both.

    version            what its login says
    record             the layout of its transaction records; the five-price one also takes prices in frame 85
    crc_swapped        every frame has its CRC high byte first
    prices_low         prices in records are one unit below those it was given (a way through floats)
    no_loss            loss energy is 0 whatever was charged
    cut_amounts        amounts in records are cut to 0.01 yuan, so that their sum differs from the total
    no_periods         energies and amounts of the classes are all 0, only the totals are there
    meter_restarts     the meter begins at 0.0010 kWh for every charge
    weekday_bits       times carry the day of the week in their upper bits
    idle_zero_number   frame 13 of an idle gun has no transaction number; other piles repeat the last one
    reversed_sequence  answers carry the sequence with its bytes exchanged
    hex_sim            the card number has hex digits
    unsigned_current   the current in frame 23 goes up from the zero point, not down
    extra              bytes behind the declared body, by frame type
    """

    name: str
    is_ac: bool | None = None
    version: ProtocolVersion = ProtocolVersion.V1_6
    record: type[TransactionRecord] = TransactionRecord
    crc_swapped: bool = False
    prices_low: bool = False
    no_loss: bool = False
    cut_amounts: bool = False
    no_periods: bool = False
    meter_restarts: bool = False
    weekday_bits: bool = False
    idle_zero_number: bool = False
    reversed_sequence: bool = False
    hex_sim: bool = False
    unsigned_current: bool = False
    extra: Mapping[int, int] = field(default_factory=dict)

    @property
    def five_prices(self) -> bool:
        """Whether it knows a deep valley class."""
        return self.record is TransactionRecordFivePrices

    def meter_start(self, meter: int) -> int:
        """Return what the meter shows as a charge begins, 0.0001 kWh."""
        return METER_RESTART if self.meter_restarts else meter

    def shape(self, message: Message, *, idle: bool = False) -> Message:
        """Change a message that is about to leave. Records are shaped once, by `shape_record`."""
        if isinstance(message, Login):
            message.protocol_version = self.version
            if self.hex_sim:
                message.sim_no = b"\x89\x86\x04\xc0" + message.sim_no[4:]
        elif isinstance(message, Realtime):
            if self.no_loss:
                message.loss_energy_kwh = 0
            if idle and self.idle_zero_number:
                message.transaction_no = bytes(16)
        elif isinstance(message, TimeSyncAck):
            message.time = self._time(message.time)
        elif isinstance(message, BmsDemand) and self.unsigned_current:
            message.bms_current = 2 * BMS_ZERO_CURRENT - message.bms_current
        if size := self.extra.get(message.spec.kind):
            message.extra = bytes((0x5A,)) * size
        return message

    def shape_record(self, plain: TransactionRecord) -> TransactionRecord:
        """Return a record in this pile's layout and with its mistakes; repetitions send the same bytes."""
        given = {name: getattr(plain, name) for name in plain.spec.fields}
        record = self.record(**{**OTHER_FIELDS[self.record], **given})
        for name in RATE_CLASSES:
            if f"{name}_price" not in record.spec.fields:
                continue
            if self.prices_low:
                self._change(record, f"{name}_price", lambda price: max(0, price - 1))
            if self.no_loss:
                setattr(record, f"{name}_loss_kwh", 0)
            if self.cut_amounts:
                self._change(record, f"{name}_amount", lambda amount: amount // CENT * CENT)
            if self.no_periods:
                for what in ("kwh", "loss_kwh", "amount"):
                    setattr(record, f"{name}_{what}", 0)
        if self.no_loss:
            record.total_loss_kwh = 0
        for name in ("start_time", "end_time", "transaction_time"):
            setattr(record, name, self._time(getattr(record, name)))
        return record

    @staticmethod
    def _change(record: TransactionRecord, name: str, change: Any) -> None:
        setattr(record, name, change(getattr(record, name)))

    def _time(self, raw: bytes) -> bytes:
        if not self.weekday_bits:
            return raw
        value = TransactionRecord.spec.fields["start_time"].value(raw)
        return raw[:4] + bytes((raw[4] & 0x1F | value.isoweekday() << 5,)) + raw[5:] if value else raw


PLAIN = Profile("dc_v16")
PROFILES = {
    profile.name: profile
    for profile in (
        PLAIN,
        Profile("ac_v16", is_ac=True),
        Profile("dc_v15", version=ProtocolVersion.V1_5),
        Profile("ac_v15", is_ac=True, version=ProtocolVersion.V1_5, no_loss=True),
        Profile("v17", version=ProtocolVersion.V1_7, record=TransactionRecordV17),
        Profile("five_prices", record=TransactionRecordFivePrices),
        Profile("swapped_crc", crc_swapped=True, reversed_sequence=True),
        Profile("floats", prices_low=True, cut_amounts=True),
        Profile("no_loss", no_loss=True, meter_restarts=True),
        Profile("totals_only", no_periods=True),
        Profile("weekdays", weekday_bits=True, idle_zero_number=True, hex_sim=True),
        Profile("derived", extra={Heartbeat.spec.kind: 1, 0x25: 4, 0x13: 2}, unsigned_current=True),
    )
}


def choose(shares: Mapping[str, float], *, is_ac: bool, random: Random) -> Profile:
    """Return a profile for a pile of that kind, by shares; the plain one if none of them fits.

    Raises:
        KeyError: there is no profile of a name.
    """
    fitting = {name: share for name, share in shares.items() if PROFILES[name].is_ac in (None, is_ac)}
    if not any(fitting.values()):
        return PLAIN
    return PROFILES[random.choices(list(fitting), list(fitting.values()))[0]]
