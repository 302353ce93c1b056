"""Simulated piles that speak real YKC, for demonstrations, tests and load.

`pile.SimulatedPile` is a state machine without socket or clock, `client.PileClient` runs one over TCP, `fleet.Fleet`
many of them. Whatever goes over the wire is made and read by `ykc_server.protocol`.
"""

from ykc_server.simulator.car import Car
from ykc_server.simulator.client import PileClient
from ykc_server.simulator.fleet import Fleet
from ykc_server.simulator.parts import Faults, Habits
from ykc_server.simulator.pile import SimulatedPile

__all__ = ["Car", "Faults", "Fleet", "Habits", "PileClient", "SimulatedPile"]
