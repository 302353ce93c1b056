"""Piles, the gun wall, alarms, new devices and offline cards; and what a station's pages show of its guns."""

from apps.piles.admin import (
    alarm_rules,
    alarms,
    cards,
    devices,
    importing,
    offered,
    pile_pages,
    piles,
    stations,
    wall,
)
from apps.piles.gunwall import page as gun_wall_page

__all__ = [
    "alarm_rules",
    "alarms",
    "cards",
    "devices",
    "gun_wall_page",
    "importing",
    "offered",
    "pile_pages",
    "piles",
    "stations",
    "wall",
]
