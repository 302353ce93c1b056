"""Whether a station's papers are complete: what T/CEC 102 and the supervision platforms of provinces require."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from apps.sites.enums import Construction
from apps.sites.models import Station

TEXTS = (
    "province",
    "city",
    "area_code",
    "township_code",
    "address",
    "service_phone",
    "grid_account_no",
)
"""Fields that are needed and may be empty texts (StationInfo: Y; ElectricityAccountID, AreaCodeCountryside)."""

NUMBERS = ("capacity_kva", "rated_power_kw", "electricity_kind", "orientation", "opened_on")


def missing(station: Station) -> list[str]:
    """Return the names of what governments require and the station does not say."""
    names = [name for name in TEXTS if not getattr(station, name)]
    names += [name for name in NUMBERS if getattr(station, name) is None]
    if station.construction == Construction.OTHER:
        names.append("construction")
    if not station.parking_spaces:
        names.append("parking_spaces")
    return [_title(name) for name in names]


def incomplete() -> Q:
    """Return the condition under which `missing` names something."""
    found = Q(construction=Construction.OTHER) | Q(parking_spaces=0)
    for name in TEXTS:
        found |= Q(**{name: ""})
    for name in NUMBERS:
        found |= Q(**{f"{name}__isnull": True})
    return found


def _title(name: str) -> str:
    field: Any = Station._meta.get_field(name)
    return str(field.verbose_name)
