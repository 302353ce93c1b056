"""Every write to stations that is more than their master data."""

from __future__ import annotations

from apps.sites.models import Station, StationState


def set_state(*, station: Station, state: StationState) -> str:
    """Open or close a station, or put it under maintenance. Returns the state before.

    Running charges go on; whether a new one may start is asked at its start.
    """
    before = station.state
    station.state = state
    station.save(update_fields=["state", "updated_at"])
    return before
