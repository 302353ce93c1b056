"""How many guns were online: noted every ten minutes for a day, so that the overview can compare.

Kept in the cache only: if it is emptied, the comparison is missing until the next day, and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.core.cache import cache

from apps.common.time import SHANGHAI, now
from apps.piles.enums import ConnectorState
from apps.reports.places import guns_by_station

EVERY_MINUTES = 10
_KEPT_S = 25 * 3600


def _key(moment: datetime) -> str:
    local = moment.astimezone(SHANGHAI)
    return f"online:{local:%Y%m%d%H}{local.minute // EVERY_MINUTES}"


def sample_online(*, at: datetime | None = None) -> None:
    """Note the guns online and in all of each station."""
    counts = {
        station: (sum(states.values()) - states.get(ConnectorState.OFFLINE, 0), sum(states.values()))
        for station, states in guns_by_station().items()
    }
    cache.set(_key(at or now()), counts, _KEPT_S)


def online_at(moment: datetime, stations: Collection[int] | None) -> tuple[int, int] | None:
    """Return (guns online, guns) of these stations as noted for a moment, None where nothing was."""
    counts: dict[int, tuple[int, int]] | None = cache.get(_key(moment))
    if counts is None:
        return None
    found = [count for station, count in counts.items() if stations is None or station in stations]
    total = sum(guns for _online, guns in found)
    return (sum(online for online, _guns in found), total) if total else None


def online_a_day_ago(moment: datetime, stations: Collection[int] | None) -> tuple[int, int] | None:
    """Return `online_at` for the day before at the same time."""
    return online_at(moment - timedelta(days=1), stations)
