"""Alarms in words: where, what, since when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.backoffice import shown
from apps.piles.alarms.models import Alarm
from apps.piles.enums import FAULT_BITS
from apps.piles.models import Pile

FACTS = {
    "fault_bits": gettext_lazy("faults"),
    "fault": gettext_lazy("fault"),
    "offset_s": gettext_lazy("clock offset (s)"),
    "degrees": gettext_lazy("battery temperature (°C)"),
    "threshold": gettext_lazy("threshold"),
    "minutes": gettext_lazy("minutes without a word"),
    "failures": gettext_lazy("failed starts in a row"),
    "address": gettext_lazy("address"),
    "sim_no": gettext_lazy("SIM card"),
    "energy_kwh": gettext_lazy("energy (kWh)"),
    "power_kw": gettext_lazy("power (kW)"),
    "order_no": gettext_lazy("order number"),
    "transaction_no": gettext_lazy("transaction number"),
    "reason": gettext_lazy("reason"),
}
"""Facts of alarms that have a name for people; others show under their own."""


@dataclass(frozen=True)
class Place:
    """Where an alarm is."""

    station_id: int | None
    station: str
    pile: str

    def words(self, alarm: Alarm) -> str:
        """As "东站 · 三号桩 · gun 01"."""
        gun = _("gun %(number)s") % {"number": alarm.connector_no} if alarm.connector_no else ""
        return " · ".join(part for part in (self.station, self.pile, gun) if part)


def places(alarms: Iterable[Alarm]) -> dict[str, Place]:
    """Return {pile code: place} of the alarms' piles, in one query; codes of no pile of ours stand for themselves."""
    codes = {alarm.pile_code for alarm in alarms}
    rows = Pile.objects.filter(pile_code__in=codes).values_list(
        "pile_code", "name", "station_id", "station__name"
    )
    found = {code: Place(station_id, station, name or code) for code, name, station_id, station in rows}
    return {code: found.get(code) or Place(None, "", code) for code in codes}


def faults(bits: int) -> list[str]:
    """Return what fault bits mean; unknown ones as a number."""
    known = [str(words) for bit, words in FAULT_BITS.items() if bits & bit]
    rest = bits & ~sum(FAULT_BITS)
    return [*known, *([f"0x{rest:04X}"] if rest else [])]


def facts(detail: dict[str, Any]) -> str:
    """Return an alarm's facts as a line."""
    parts = []
    for name, value in detail.items():
        words = value
        if name == "fault_bits" and str(value).startswith("0x"):
            words = "、".join(faults(int(str(value), 16))) or value
        parts.append(f"{FACTS.get(name, name)}: {words}")
    return " · ".join(parts)


def line(alarm: Alarm, place: Place) -> str:
    """Return an alarm as one line of a message."""
    what = " ".join(part for part in (str(alarm.get_kind_display()), alarm.subject) if part)
    parts = [place.words(alarm), shown.minute(alarm.created_at), facts(alarm.detail)]
    return f"[{alarm.get_level_display()}] {what} · " + " · ".join(part for part in parts if part)
