"""What any pile reports, whatever its protocol. Energy kWh, amounts yuan, times aware, numbers strings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from apps.piles.enums import ConnectorState, LockState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorReport:
    """A change of a connector's state (not every sample: the status writer keeps those)."""

    pile_code: str
    connector_no: str
    state: ConnectorState
    transaction_no: str
    energy_kwh: Decimal
    fault_bits: int
    reported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAnswer:
    """A pile's answer to a start, of one gun of several where `is_parallel`.

    `reason`: none, wrong_pile, already_charging, fault, offline, not_plugged, other.
    """

    pile_code: str
    connector_no: str
    transaction_no: str
    accepted: bool
    reason: str = "none"
    is_parallel: bool = False
    frame: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PileStartRequest:
    """Somebody wants to charge who stands at the pile with a card, at its keys with an account, or in a known car.

    `kind`: card, account, vin, other. `numbers`: what the pile may mean by the card or VIN, likelier first; of an
    account its digits. `password`: how the protocol hides what was typed (`customers.cards.pin_digest`), "" for
    nothing. Requests of one charge over several guns carry the pile's `parallel_seq`, one of them is the main gun's.
    """

    pile_code: str
    connector_no: str
    kind: str
    numbers: tuple[str, ...]
    wants_password: bool = False
    password: str = ""
    parallel_seq: str = ""
    is_main: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PileStartAnswer:
    """What the pile is told: go ahead with `balance` yuan, or why not. The number is valid in both cases.

    `reason`: none, no_account, frozen, balance_low, card_unsettled, pile_disabled, not_allowed, wrong_password,
    capacity, vin_unknown, pile_unsettled, no_cards.
    """

    pile_code: str
    connector_no: str
    transaction_no: str
    accepted: bool
    reason: str = "none"
    balance: Decimal = Decimal("0.00")
    logical_card_no: str = "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnswer:
    """A pile's answer to a stop. `reason`: none, wrong_pile, not_charging, other."""

    pile_code: str
    connector_no: str
    accepted: bool
    reason: str = "none"
    frame: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockReport:
    """What a ground lock says of itself. `fault` is "" or arm_stuck, arm_forced, or a code that nobody knows."""

    connector_id: int
    pile_code: str
    connector_no: str
    state: LockState
    is_occupied: bool
    battery_percent: int
    fault: str
    reported_at: datetime


class BatteryReportKind(StrEnum):
    """What a charger passes on of its talk with the car's battery; also the name of the order's event."""

    HANDSHAKE = "battery_handshake"
    CONFIG = "battery_config"
    END = "battery_end"
    TALK_ERROR = "talk_error"
    BATTERY_ABORT = "battery_abort"
    CHARGER_ABORT = "charger_abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatteryReport:
    """Something the battery said, or why it or the charger ended a charge.

    `facts`: numbers as strings, by name. `words`: (text, state) as gettext source strings; `is_fault` when they tell
    of a fault and not of an ordinary end.
    """

    pile_code: str
    connector_no: str
    transaction_no: str
    kind: BatteryReportKind
    vin: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    words: tuple[tuple[str, str], ...] = ()
    is_fault: bool = False
    reported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """One rate class of a transaction record."""

    price: Decimal
    energy_kwh: Decimal
    loss_energy_kwh: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionReport:
    """A transaction record (交易记录) in domain words; `periods` by rate class name.

    `card_numbers`: the chip numbers that the pile may mean by its card number, likelier first; none without a card.
    """

    transaction_no: str
    pile_code: str
    connector_no: str
    start_time: datetime | None
    end_time: datetime | None
    transaction_time: datetime | None
    periods: dict[str, PeriodReport] = field(default_factory=dict)
    meter_start: Decimal
    meter_end: Decimal
    total_energy_kwh: Decimal
    total_loss_energy_kwh: Decimal
    total_amount: Decimal
    vin: str
    start_mode: int
    stop_code: str
    physical_card_no: str
    card_numbers: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return JSON-safe values: decimals as strings, times in ISO 8601."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TransactionReport:
        """Rebuild the report that `to_json` wrote."""
        values = dict(data)
        for key in ("start_time", "end_time", "transaction_time"):
            values[key] = datetime.fromisoformat(values[key]) if values[key] else None
        for key in ("meter_start", "meter_end", "total_energy_kwh", "total_loss_energy_kwh", "total_amount"):
            values[key] = Decimal(values[key])
        values["periods"] = {
            name: PeriodReport(**{key: Decimal(number) for key, number in period.items()})
            for name, period in values["periods"].items()
        }
        return cls(**values)
