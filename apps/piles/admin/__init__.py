"""Piles, the gun wall, alarms and new devices; and what a station's pages show of its guns."""

from apps.piles.admin import alarms, devices, piles, stations, wall

__all__ = ["alarms", "devices", "piles", "stations", "wall"]
