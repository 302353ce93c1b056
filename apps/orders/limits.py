"""What a driver wants to stop a charge beside its hold: limits that no pile knows (product.md rule 3). Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

LARGEST_ENERGY_KWH = Decimal(1000)
LARGEST_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Energy in kWh, minutes of charging, state of charge in percent; None is no limit. The first reached counts."""

    energy_kwh: Decimal | None = None
    minutes: int | None = None
    soc_percent: int | None = None

    def reached(
        self, *, energy_kwh: Decimal, soon_kwh: Decimal, since: datetime, soc_percent: int, at: datetime
    ) -> str:
        """Return which limit a charge has reached: "energy", "minutes", "soc", or "" for none.

        `energy_kwh` is what the last report said, `soon_kwh` what more the next one would say at present power: with a
        limit on energy the stop is sent that much early. A clock and a state of charge need no such foresight.
        """
        if self.energy_kwh is not None and energy_kwh + soon_kwh >= self.energy_kwh:
            return "energy"
        if self.minutes is not None and at - since >= timedelta(minutes=self.minutes):
            return "minutes"
        if self.soc_percent is not None and soc_percent >= self.soc_percent:
            return "soc"
        return ""


NO_LIMITS = Limits()
