"""The car at the other end of the cable: how much it takes, and when it has had enough."""

from dataclasses import dataclass
from random import Random

TAPER_FROM = 80
"""Per cent of charge where constant current ends and constant voltage begins."""

_VIN_LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789"


@dataclass(frozen=True)
class Car:
    """`capacity_wh` and `start_wh` in the battery's Wh, `max_power_w` what it takes at most; `vin` may be empty."""

    capacity_wh: int = 60_000
    start_wh: int = 18_000
    max_power_w: int = 90_000
    vin: str = ""

    @classmethod
    def any(cls, random: Random) -> "Car":
        """Return a car as they come along: 35-90 kWh, 10-70 % charged."""
        capacity_wh = random.randrange(35_000, 90_001, 500)
        return cls(
            capacity_wh=capacity_wh,
            start_wh=capacity_wh * random.randint(10, 70) // 100,
            max_power_w=random.randrange(50_000, 150_001, 1_000),
            vin="L" + "".join(random.choice(_VIN_LETTERS) for _ in range(16)),
        )

    def soc(self, energy_wh: int) -> int:
        """Return the state of charge in whole per cent after `energy_wh` came in."""
        return min(100, (self.start_wh + energy_wh) * 100 // self.capacity_wh)

    def power_w(self, limit_w: int, energy_wh: int) -> int:
        """Return the power it draws now from a pile that offers `limit_w`: flat, then falling to a tenth when full."""
        power = min(limit_w, self.max_power_w)
        beyond = (self.start_wh + energy_wh) * 100 - TAPER_FROM * self.capacity_wh
        if beyond <= 0:
            return power
        span = (100 - TAPER_FROM) * self.capacity_wh
        return max(power * (span - beyond) // span, power // 10)
