"""What is charged on a day of the demo: pure, and the same for a tenant and day however often it is asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from random import Random

from apps.common.time import SHANGHAI
from apps.piles.reports import PeriodReport, TransactionReport
from apps.pricing.tariff import RateClass, Tariff
from apps.sites import hours

DRIVERS = 30
FIRST_OLDER_DRIVER = DRIVERS + 1
PRESETS = (None, None, None, Decimal(30), Decimal(50), Decimal(100))
# How often charges begin in each hour: taxis at night and noon, commuters in the evening.
_BY_HOUR = (4, 3, 2, 2, 2, 3, 4, 5, 5, 5, 5, 6, 8, 7, 5, 5, 6, 7, 8, 8, 7, 7, 8, 6)
_WIRE = Decimal("0.0001")
_ROUNDING = Decimal("0.10")
"""Yuan: what rounding each line of a bill to the fen may add at most, with room."""
_STOP_BY_APP, _STOP_FULL = "40", "41"


@dataclass(frozen=True, slots=True)
class Gun:
    """A connector that may be charged at."""

    code: str
    power_kw: Decimal
    opening_hours: str = hours.ALL_DAY


@dataclass(frozen=True, slots=True)
class Charge:
    """One planned charge. `key` is its request key; `driver` numbers the customer from 1."""

    key: str
    driver: int
    gun: Gun
    starts_at: datetime
    ends_at: datetime
    average_kw: Decimal
    preset_amount: Decimal | None
    stopped_by_driver: bool


def charges_of(*, tenant: str, day: date, count: int, guns: Sequence[Gun], recent: bool) -> list[Charge]:
    """Return the charges that begin on `day`, in order of their start; no gun and no driver twice at a time.

    Recent days and older ones have drivers of their own, so that filling in older days later leaves the statements of
    the recent ones in order.
    """
    chance = Random(f"{tenant} {day.isoformat()}")
    count = round(count * chance.uniform(0.85, 1.15))
    begins = sorted(
        datetime.combine(
            day,
            time(chance.choices(range(24), _BY_HOUR)[0], chance.randrange(60), chance.randrange(60)),
            SHANGHAI,
        )
        for _ in range(count)
    )
    free_from: dict[object, datetime] = defaultdict(lambda: begins[0])
    first_driver = 1 if recent else FIRST_OLDER_DRIVER
    planned = []
    for number, begin in enumerate(begins):
        free_guns = [
            gun for gun in guns if free_from[gun.code] <= begin and hours.is_open(gun.opening_hours, begin)
        ]
        free_drivers = [who for who in range(first_driver, first_driver + DRIVERS) if free_from[who] <= begin]
        if not free_guns or not free_drivers:
            continue
        gun, driver = chance.choice(free_guns), chance.choice(free_drivers)
        minutes = chance.randint(90, 300) if gun.power_kw < 20 else chance.randint(15, 70)
        end = begin + timedelta(minutes=minutes, seconds=chance.randrange(60))
        use = Decimal(chance.randint(80, 97) if gun.power_kw < 20 else chance.randint(25, 65)) / 100
        planned.append(
            Charge(
                key=f"seed:{day.isoformat()}:{number}",
                driver=driver,
                gun=gun,
                starts_at=begin,
                ends_at=end,
                average_kw=min(gun.power_kw * use, Decimal(75)),
                preset_amount=chance.choice(PRESETS),
                stopped_by_driver=chance.random() < 0.3,
            )
        )
        free_from[gun.code] = free_from[driver] = end + timedelta(minutes=5)
    return planned


def energies(
    *, begin: datetime, end: datetime, average_kw: Decimal, tariff: Tariff
) -> dict[RateClass, Decimal]:
    """Return kWh by class, to four places, of a charge with constant power, half hour by half hour."""
    seconds: dict[RateClass, int] = defaultdict(int)
    at = begin
    while at < end:
        local = at.astimezone(SHANGHAI)
        slot_end = local.replace(minute=local.minute // 30 * 30, second=0, microsecond=0) + timedelta(
            minutes=30
        )
        until = min(end, slot_end)
        seconds[tariff.class_at(at)] += int((until - at).total_seconds())
        at = until
    return {
        rate_class: (average_kw * length / 3600).quantize(_WIRE, ROUND_HALF_UP)
        for rate_class, length in seconds.items()
    }


def record_of(
    *,
    transaction_no: str,
    gun: Gun,
    begin: datetime,
    end: datetime,
    average_kw: Decimal,
    tariff: Tariff,
    stopped_by_driver: bool = False,
    limit: Decimal | None = None,
) -> TransactionReport:
    """Return what a pile would report at the end. With `limit` (yuan) it gives so little that it costs no more."""
    used = energies(begin=begin, end=end, average_kw=average_kw, tariff=tariff)
    cost = sum((energy * tariff.prices[name].total for name, energy in used.items()), Decimal(0))
    if limit is not None and cost > limit - _ROUNDING:
        less = average_kw * (limit - _ROUNDING) / cost
        used = energies(begin=begin, end=end, average_kw=less, tariff=tariff)
    total = sum(used.values(), Decimal(0))
    meter = Decimal("0.0000")  # begins anew with each charge, as that of many piles
    periods = {}
    for rate_class in RateClass:
        if rate_class in tariff.prices:
            energy, price = used.get(rate_class, Decimal("0.0000")), tariff.prices[rate_class].total
            amount = (energy * price).quantize(_WIRE, ROUND_HALF_UP)
            periods[rate_class.value] = PeriodReport(
                price=price, energy_kwh=energy, loss_energy_kwh=energy, amount=amount
            )
    return TransactionReport(
        transaction_no=transaction_no,
        pile_code=gun.code[:14],
        connector_no=gun.code[14:],
        start_time=begin,
        end_time=end,
        transaction_time=end,
        periods=periods,
        meter_start=meter,
        meter_end=meter + total,
        total_energy_kwh=total,
        total_loss_energy_kwh=total,
        total_amount=sum((period.amount for period in periods.values()), Decimal(0)),
        vin="",
        start_mode=1,
        stop_code=_STOP_BY_APP if stopped_by_driver else _STOP_FULL,
        physical_card_no="0" * 16,
    )
