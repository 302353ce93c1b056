"""One charge: energy by rate class, what it costs by the pile's own prices, and why it ended.

Everything is counted in integers: energy in watt milliseconds, money in the units of the wire.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from ykc_server.protocol.codes import StartMode, StopReason
from ykc_server.protocol.fields import CHINA
from ykc_server.protocol.messages import BillingModel, RemoteStart
from ykc_server.simulator.car import Car

CLASSES = ("sharp", "peak", "flat", "valley", "deep_valley")
FLAT = CLASSES.index("flat")
WATT_MS_PER_UNIT = 360_000
"""Watt milliseconds in 0.0001 kWh."""
HALF_HOUR = timedelta(minutes=30)
MS = timedelta(milliseconds=1)
# Power follows the battery; this many simulated milliseconds it is taken as constant.
STEP_MS = 10_000


@dataclass(frozen=True)
class Prices:
    """The four or five prices (electricity + service, 0.00001 yuan/kWh) and the class of each half hour."""

    prices: tuple[int, ...]
    slots: bytes
    loss_ratio: int

    @classmethod
    def of(cls, model: BillingModel) -> "Prices":
        prices = tuple(
            getattr(model, f"{name}_electricity_price") + getattr(model, f"{name}_service_price")
            for name in CLASSES
            if f"{name}_service_price" in model.spec.fields
        )
        # A code that the pile does not know is billed as flat.
        slots = bytes(code if code < len(prices) else FLAT for code in model.slot_rate_codes)
        return cls(prices, slots, model.loss_ratio)

    def rate_class(self, local: datetime) -> int:
        """Return the index into `CLASSES` in force at a local time."""
        return self.slots[local.hour * 2 + local.minute // 30]


class Phase(Enum):
    WAITING_PLUG = "waiting for the plug"
    STARTING = "handshake"
    CHARGING = "charging"


@dataclass
class Session:
    """A start that the pile took on, from 34 to the record. Times are true times, whatever the pile's clock says."""

    request: RemoteStart
    prices: Prices
    phase: Phase
    deadline: datetime
    """When the plug is too late, or the handshake is over."""
    car: Car
    limit_w: int
    meter_start: int
    began: datetime
    charged_until: datetime
    start_mode: StartMode = StartMode.APP
    watt_ms: list[int] = field(init=False)
    simulated_ms: int = 0
    power_w: int = 0
    is_own: bool = False
    """The pile asked for it, or allowed it by its own list."""

    def __post_init__(self) -> None:
        self.watt_ms = [0] * len(self.prices.prices)

    @property
    def units(self) -> list[int]:
        """Energy by class in 0.0001 kWh."""
        return [amount // WATT_MS_PER_UNIT for amount in self.watt_ms]

    @property
    def loss_units(self) -> list[int]:
        return [unit * (100 + self.prices.loss_ratio) // 100 for unit in self.units]

    @property
    def amounts(self) -> list[int]:
        """Money by class in 0.0001 yuan, rounded half up."""
        return [
            (units * price + 50_000) // 100_000
            for units, price in zip(self.loss_units, self.prices.prices, strict=True)
        ]

    @property
    def energy_wh(self) -> int:
        return sum(self.watt_ms) // 3_600_000

    @property
    def remaining_minutes(self) -> int:
        missing = max(0, self.car.capacity_wh - self.car.start_wh - self.energy_wh)
        return missing * 60 // self.power_w if self.power_w else 0

    def charge(self, until: datetime, *, time_scale: float, clock_offset: timedelta) -> StopReason | None:
        """Charge up to `until`; return why it ended, or None while it goes on.

        `time_scale` simulated seconds pass per second; the class of the energy is that of the pile's clock.
        """
        step = max(MS, timedelta(milliseconds=int(STEP_MS / time_scale)))
        while until - self.charged_until >= MS:
            local = (self.charged_until + clock_offset).astimezone(CHINA)
            slot_end = local.replace(minute=local.minute // 30 * 30, second=0, microsecond=0) + HALF_HOUR
            passed = min(until - self.charged_until, slot_end - local, step)
            passed_ms = max(1, passed // MS)
            simulated_ms = int(passed_ms * time_scale)
            self.charged_until += passed_ms * MS
            self.simulated_ms += simulated_ms
            self.power_w = self.car.power_w(self.limit_w, self.energy_wh)
            reason = self._take(self.prices.rate_class(local), self.power_w * simulated_ms)
            if reason:
                return reason
        return None

    def _take(self, rate_class: int, watt_ms: int) -> StopReason | None:
        """Add energy, but not beyond what the balance pays or the battery holds."""
        reason = None
        room = (self.car.capacity_wh - self.car.start_wh) * 3_600_000 - sum(self.watt_ms)
        if watt_ms >= room:
            watt_ms, reason = max(0, room), StopReason.SOC_FULL
        price = self.prices.prices[rate_class]
        if price:
            # In 1e-9 yuan: the balance comes in fen, energy x price in 0.0001 x 0.00001.
            spent = sum(units * each for units, each in zip(self.loss_units, self.prices.prices, strict=True))
            left = max(0, self.request.account_balance * 10_000_000 - spent)
            payable = self.loss_units[rate_class] + left // price
            full = payable * 100 // (100 + self.prices.loss_ratio) * WATT_MS_PER_UNIT
            if self.watt_ms[rate_class] + watt_ms >= full:
                watt_ms, reason = max(0, full - self.watt_ms[rate_class]), StopReason.AMOUNT_LIMIT
        self.watt_ms[rate_class] += watt_ms
        return reason
