"""Many simulated piles in one process, with a memory that outlives it."""

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ykc_server.simulator.client import Hook, PileClient, utc_now
from ykc_server.simulator.pile import SimulatedPile

SAVE_EVERY_S = 1.0
FULL_SAVE_EVERY = 5
# Logins per second while the fleet comes up.
RAMP_PER_S = 500


class Fleet:
    """Runs piles against one platform.

    `state_path` names a JSON file that keeps meters, prices and unconfirmed records: written within a second of a
    change and every 5 s while guns charge, so that a fleet that was killed sends the records of its charges
    when it comes back, as piles do after a power cut. `hook_for` gives a pile its autonomous behaviour.
    """

    def __init__(
        self,
        piles: Sequence[SimulatedPile],
        host: str,
        port: int,
        *,
        state_path: Path | None = None,
        hook_for: Callable[[SimulatedPile], Hook | None] | None = None,
    ) -> None:
        self.piles = list(piles)
        self.clients = [
            PileClient(pile, host, port, hook=hook_for(pile) if hook_for else None) for pile in self.piles
        ]
        self.state_path = state_path

    @property
    def online(self) -> int:
        """Piles that are logged in."""
        return sum(pile.is_online for pile in self.piles)

    @property
    def charging(self) -> int:
        """Guns that took on a start."""
        return sum(gun.session is not None for pile in self.piles for gun in pile.guns.values())

    async def run(self) -> None:
        """Load the state, run all piles until cancelled, save the state."""
        self._load()
        saving = asyncio.create_task(self._keep_saving()) if self.state_path else None
        try:
            for number, client in enumerate(self.clients):
                client.start()
                if number % RAMP_PER_S == RAMP_PER_S - 1:
                    await asyncio.sleep(1)
            if saving:
                await saving
            await asyncio.get_running_loop().create_future()
        finally:
            if saving:
                saving.cancel()
            for client in self.clients:
                client.stop()
            self._save()

    async def _keep_saving(self) -> None:
        saved, seconds = -1, 0
        while True:
            changes = sum(pile.changes for pile in self.piles)
            if changes != saved or (self.charging and seconds % FULL_SAVE_EVERY == 0):
                self._save()
                saved = changes
            seconds += 1
            await asyncio.sleep(SAVE_EVERY_S)

    def _load(self) -> None:
        if self.state_path is None or not self.state_path.exists():
            return
        states = json.loads(self.state_path.read_text())
        for pile in self.piles:
            if pile.pile_no in states:
                pile.load_state(states[pile.pile_no])

    def _save(self) -> None:
        """Write the file whole or not at all: a kill in the middle leaves the one before."""
        if self.state_path is None:
            return
        now = utc_now()
        states = {pile.pile_no: pile.to_state(now) for pile in self.piles}
        unfinished = self.state_path.with_suffix(".new")
        unfinished.write_text(json.dumps(states))
        os.replace(unfinished, self.state_path)
