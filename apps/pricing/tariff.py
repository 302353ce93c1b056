"""A tariff: the price of each rate class and the class of each half hour. Pure: no tables, no clock.

A pile knows rate classes over 48 half-hours from 00:00 in Chinese time and counts energy per class (YKC V1.6, billing
model, frames 0x0A and 0x58; the fifth class is the field's extension 0x85). So a tariff holds an electricity and a
service price for each class, in 0.00001 yuan/kWh, and 48 classes. What is frozen into an order is `Tariff.to_json`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from typing import Any

from apps.common.money import CENT, AmountError, floor_fen, parse_decimal
from apps.common.time import SHANGHAI

SLOTS_PER_DAY = 48
PRICE_PLACES = 5
PRICE_UNIT = Decimal("0.00001")
PRICE_LIMIT = Decimal("42949.67295")
"""The largest price that the wire's four bytes can hold, yuan/kWh."""
LARGEST_BALANCE = Decimal("999999.99")
"""Yuan; enough for any charge, and the wire's four bytes can hold it."""


class TariffError(ValueError):
    """A tariff that breaks a rule; the message says which price or slot."""


class RateClass(StrEnum):
    """尖, 峰, 平, 谷, 深谷: the classes in the order of their wire codes 0 to 4."""

    SHARP = "sharp"
    PEAK = "peak"
    FLAT = "flat"
    VALLEY = "valley"
    DEEP_VALLEY = "deep_valley"

    @property
    def code(self) -> int:
        """The class in a slot of the billing model on the wire: 0 sharp … 4 deep valley."""
        return _BY_CODE.index(self)

    @classmethod
    def from_code(cls, code: int) -> "RateClass":
        """The class of a wire code. Raises TariffError for a code that is not 0 to 4."""
        if not 0 <= code < len(_BY_CODE):
            raise TariffError(f"rate class code {code} is not one of 0 to {len(_BY_CODE) - 1}")
        return _BY_CODE[code]


_BY_CODE = tuple(RateClass)  # asked for 48 times by each tariff that is read


@dataclass(frozen=True)
class ClassPrice:
    """Electricity and service price of one rate class, yuan/kWh with five places, zero or more."""

    electricity: Decimal
    service: Decimal

    def __post_init__(self) -> None:
        object.__setattr__(self, "electricity", _checked_price("electricity", self.electricity))
        object.__setattr__(self, "service", _checked_price("service", self.service))

    @property
    def total(self) -> Decimal:
        """Electricity and service together, as a pile reports the price of a class."""
        return self.electricity + self.service


@dataclass(frozen=True)
class Period:
    """Neighbouring half-hours of one class; `start` and `end` as "HH:MM", the day's end as "24:00"."""

    start: str
    end: str
    rate_class: RateClass
    price: ClassPrice


@dataclass(frozen=True)
class Tariff:
    """Prices by class, and the class of each of 48 half-hours (or no slots, where only energies are billed).

    Prices are kept in the order of the classes and must not be changed afterwards. Raises TariffError when there are
    neither 0 nor 48 slots, or when a slot's class has no price.
    """

    prices: Mapping[RateClass, ClassPrice]
    slots: tuple[RateClass, ...] = ()

    def __post_init__(self) -> None:
        if len(self.slots) not in (0, SLOTS_PER_DAY):
            raise TariffError(f"a day has {SLOTS_PER_DAY} half-hour slots, not {len(self.slots)}")
        for index, rate_class in enumerate(self.slots):
            if rate_class not in self.prices:
                raise TariffError(f"{rate_class} is used at {_clock(index)} but has no price")
        ordered = {
            rate_class: self.prices[rate_class] for rate_class in RateClass if rate_class in self.prices
        }
        object.__setattr__(self, "prices", ordered)
        object.__setattr__(self, "slots", tuple(self.slots))

    def sold_at(self, prices: Mapping[RateClass, ClassPrice]) -> "Tariff":
        """The same half-hours at other prices; a class that these leave out keeps its own."""
        return Tariff({name: prices.get(name, price) for name, price in self.prices.items()}, self.slots)

    @property
    def uses_five_classes(self) -> bool:
        """Whether some half hour is deep valley, which not every pile can count."""
        return RateClass.DEEP_VALLEY in self.slots

    @classmethod
    def from_json(cls, data: Any) -> "Tariff":
        """Read `{"prices": {"peak": {"electricity": "1.20000", "service": "0.40000"}, …}, "slots": "0011…"}`.

        `slots` is 48 wire codes, or "" or absent for a tariff without times. Raises TariffError.
        """
        if not isinstance(data, Mapping) or not isinstance(data.get("prices"), Mapping):
            raise TariffError("a tariff is an object with prices by rate class")
        slots = data.get("slots", "")
        if not isinstance(slots, str) or not set(slots) <= set("01234"):
            raise TariffError("slots is a text of wire codes 0 to 4, one for each half hour")
        return _read(slots, json.dumps(data["prices"], default=repr))

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads; prices as decimal strings with five places."""
        return {
            "prices": prices_to_json(self.prices),
            "slots": "".join(str(rate_class.code) for rate_class in self.slots),
        }

    def class_at(self, time: datetime) -> RateClass:
        """The class of the half hour in Chinese time that an aware time falls in.

        Raises TariffError for a naive time or a tariff without slots.
        """
        if time.tzinfo is None:
            raise TariffError("a time without a zone has no half hour")
        if not self.slots:
            raise TariffError("this tariff has no half-hour slots")
        local = time.astimezone(SHANGHAI)
        return self.slots[local.hour * 2 + local.minute // 30]

    def price_at(self, time: datetime) -> ClassPrice:
        """The price at an aware time; errors as `class_at`."""
        return self.prices[self.class_at(time)]

    def next_price_at(self, time: datetime) -> datetime | None:
        """When the first half hour after an aware time begins that costs something else; None if none ever does."""
        start = time.astimezone(SHANGHAI)
        price = self.price_at(start)
        moment = start.replace(minute=start.minute // 30 * 30, second=0, microsecond=0)
        later = (moment + timedelta(minutes=30 * slot) for slot in range(1, SLOTS_PER_DAY))
        return next((half_hour for half_hour in later if self.price_at(half_hour) != price), None)

    def periods(self) -> list[Period]:
        """The day from 00:00 to 24:00 with neighbouring slots of one class merged; empty without slots."""
        periods: list[Period] = []
        start = 0
        for rate_class, run in groupby(self.slots):
            end = start + len(list(run))
            periods.append(Period(_clock(start), _clock(end), rate_class, self.prices[rate_class]))
            start = end
        return periods


@lru_cache(maxsize=256)
def _read(slots: str, prices: str) -> Tariff:
    """Make a tariff, once for all orders that froze the same one: settlements read little else as often."""
    return Tariff(
        prices_from_json(json.loads(prices)), tuple(RateClass.from_code(int(code)) for code in slots)
    )


def prices_from_json(data: Any) -> dict[RateClass, ClassPrice]:
    """Read prices by class, as `Tariff.to_json` writes them. Raises TariffError."""
    if not isinstance(data, Mapping):
        raise TariffError("prices are an object by rate class")
    return {_rate_class(name): _price_from_json(name, price) for name, price in data.items()}


def prices_to_json(prices: Mapping[RateClass, ClassPrice]) -> dict[str, dict[str, str]]:
    """The form that `prices_from_json` reads, in the order of the classes."""
    return {
        name.value: {"electricity": str(prices[name].electricity), "service": str(prices[name].service)}
        for name in RateClass
        if name in prices
    }


def pile_balance(hold: Decimal, infrastructure: Tariff, retail: Tariff) -> Decimal:
    """What a pile is told as balance, yuan, so that it stops where a hold at retail prices ends, or before.

    The pile counts at infrastructure prices. The ratio of both differs by class, and nobody knows how much will be
    charged in which, so it is the smallest of the classes in use: with it no charge is dearer than the hold. A class
    that is free for drivers never uses the hold up, and one that is free at the pile it cannot count: both are left
    out, and the watch on what the pile reports stops the latter. Rounded down; at most LARGEST_BALANCE.
    """
    used = set(retail.slots) or set(retail.prices)
    ratios = [
        (infrastructure.prices[name].total, retail.prices[name].total)
        for name in RateClass
        if name in used and infrastructure.prices[name].total and retail.prices[name].total
    ]
    if not hold or not ratios or all(pile == sold for pile, sold in ratios):
        return hold
    safe = min(floor_fen(hold * pile / sold) for pile, sold in ratios)
    return min(LARGEST_BALANCE, max(safe, CENT))


def _checked_price(name: str, price: Decimal) -> Decimal:
    if not isinstance(price, Decimal) or not price.is_finite():
        raise TariffError(f"{name} price {price!r} is not a decimal number")
    if not 0 <= price <= PRICE_LIMIT:
        raise TariffError(f"{name} price {price} is not between 0 and {PRICE_LIMIT} yuan/kWh")
    exact = price.quantize(PRICE_UNIT)
    if exact != price:
        raise TariffError(f"{name} price {price} has more than {PRICE_PLACES} decimal places")
    return exact


def _rate_class(name: object) -> RateClass:
    try:
        return RateClass(name)  # type: ignore[arg-type]
    except ValueError:
        raise TariffError(f"{name!r} is not a rate class ({', '.join(RateClass)})") from None


def _price_from_json(name: object, data: Any) -> ClassPrice:
    if not isinstance(data, Mapping) or set(data) != {"electricity", "service"}:
        raise TariffError(f"the price of {name} needs exactly electricity and service")
    try:
        return ClassPrice(
            parse_decimal(data["electricity"], PRICE_PLACES), parse_decimal(data["service"], PRICE_PLACES)
        )
    except (AmountError, TariffError) as error:
        raise TariffError(f"price of {name}: {error}") from None


def _clock(slot: int) -> str:
    return f"{slot // 2:02d}:{slot % 2 * 30:02d}"
