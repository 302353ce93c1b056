"""Piles, the gun wall, alarms, new devices and offline cards; and what a station's pages show of its guns."""

from apps.piles.admin import alarms, cards, devices, importing, offered, pile_pages, piles, stations, wall

__all__ = ["alarms", "cards", "devices", "importing", "offered", "pile_pages", "piles", "stations", "wall"]
