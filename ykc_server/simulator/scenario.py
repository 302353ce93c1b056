"""A scenario: which piles, what goes wrong with them and when, and what came of it.

Read from TOML (`scenarios/all-faults.toml` has every fault). Chance comes from the seed, so that two runs choose the
same piles; what happens then depends on the platform.
"""

from __future__ import annotations

import asyncio
import resource
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from ykc_server.protocol.messages import Heartbeat, Login
from ykc_server.simulator.client import PileClient, utc_now
from ykc_server.simulator.fleet import Fleet
from ykc_server.simulator.profiles import PROFILES

STEP_S = 1.0
CHARGE_OFFLINE_S = 0.5
TWIN_STAYS_S = 2.0
REMOTE_START = 0x34


class BadScenario(ValueError):
    """The file says something that no scenario can be; the text says where."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with a `share` of the piles, chosen once.

    Either every so many seconds for each of them (`every_s`, by chance, between `from_s` and `until_s`), or for all
    of them at set moments (`at_s`). `seconds` is how long it lasts, `amount` how much it is: bytes of a piece, seconds
    that a clock is off. A share of 0 switches it off.
    """

    kind: str
    share: float = 1.0
    every_s: float = 0
    at_s: tuple[float, ...] = ()
    from_s: float = 0
    until_s: float = float("inf")
    seconds: float = 5
    amount: float = 0


@dataclass(frozen=True)
class Scenario:
    """`seconds` with faults, then at most `settle_s` in which charges end and what is unconfirmed is sent again."""

    seconds: float = 60
    settle_s: float = 60
    interval_s: float = 5
    speed: float = 60
    seed: int = 1
    piles: int | None = None
    profiles: dict[str, float] = field(default_factory=lambda: {"dc_v16": 1.0, "ac_v16": 1.0})
    faults: tuple[Fault, ...] = ()


def load(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        BadScenario: it is no TOML, or names a setting, profile or fault that does not exist.
    """
    try:
        told = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadScenario(f"{path}: {error}") from None
    profiles = told.pop("profiles", {})
    faults = told.pop("fault", [])
    for name in profiles:
        if name not in PROFILES:
            raise BadScenario(f"{path}: no profile {name!r}; there are {', '.join(sorted(PROFILES))}")
    scenario = _made(Scenario, told, str(path))
    made = []
    for number, one in enumerate(faults, 1):
        fault = _made(Fault, one | {"at_s": tuple(one.get("at_s", ()))}, f"{path}: fault {number}")
        if fault.kind not in KINDS:
            raise BadScenario(f"{path}: no fault {fault.kind!r}; there are {', '.join(sorted(KINDS))}")
        if bool(fault.every_s) == bool(fault.at_s):
            raise BadScenario(f"{path}: fault {number} needs either every_s or at_s")
        made.append(fault)
    settings = {"faults": tuple(made)} | ({"profiles": profiles} if profiles else {})
    return Scenario(**{one.name: getattr(scenario, one.name) for one in fields(scenario)} | settings)


def _made(kind: Any, values: dict[str, Any], where: str) -> Any:
    known = {one.name for one in fields(kind)}
    if unknown := sorted(values.keys() - known):
        raise BadScenario(f"{where}: no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    try:
        return kind(**values)
    except TypeError as error:
        raise BadScenario(f"{where}: {error}") from None


class Run:
    """One run of a scenario over a fleet. `say` gets a line of figures for every interval."""

    def __init__(self, scenario: Scenario, fleet: Fleet, say: Callable[[str], None]) -> None:
        self.scenario = scenario
        self.fleet = fleet
        self.say = say
        self.random = Random(scenario.seed)
        self.injected: Counter[str] = Counter()
        self.lasting: list[tuple[float, Callable[[], None]]] = []
        self.began = 0.0
        self._ends = scenario.seconds
        self.cpu_before = _cpu_s()
        self._done: set[tuple[int, float]] = set()
        self._chosen = [
            self.random.sample(fleet.clients, round(fault.share * len(fleet.clients)))
            for fault in scenario.faults
        ]
        for pile in fleet.piles:
            pile.journal = []

    @property
    def elapsed_s(self) -> float:
        """Since the first pile dialled."""
        return time.monotonic() - self.began

    def end_now(self) -> None:
        """No more faults: go to the end. Asked again, give up what is unconfirmed."""
        settled = self._ends <= self.elapsed_s
        self._ends = -self.scenario.settle_s if settled else self.elapsed_s

    async def run(self) -> dict[str, Any]:
        """Run to the end; returns the summary."""
        self.began = time.monotonic()
        shown = 0.0
        work = asyncio.create_task(self.fleet.run())
        try:
            while not work.done() and self.elapsed_s < self._ends + self.scenario.settle_s:
                self._end_what_is_over(everything=self.elapsed_s >= self._ends)
                if self.elapsed_s < self._ends:
                    self._step()
                elif not self._settled():
                    self._settle()
                else:
                    break
                if self.elapsed_s - shown >= self.scenario.interval_s:
                    shown = self.elapsed_s
                    self.say(self.line())
                await asyncio.sleep(STEP_S)
        finally:
            summary = self.summary()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        if not work.cancelled() and (error := work.exception()):
            raise error
        return summary

    # -- what goes wrong

    def _step(self) -> None:
        now, elapsed = utc_now(), self.elapsed_s
        for number, fault in enumerate(self.scenario.faults):
            for moment in fault.at_s:
                if elapsed >= moment and (number, moment) not in self._done:
                    self._done.add((number, moment))
                    for client in self._chosen[number]:
                        self._inject(client, fault, now)
            if fault.every_s and fault.from_s <= elapsed < fault.until_s:
                for client in self._chosen[number]:
                    if self.random.random() < STEP_S / fault.every_s:
                        self._inject(client, fault, now)

    def _inject(self, client: PileClient, fault: Fault, now: datetime) -> None:
        if KINDS[fault.kind](self, client, fault, now):
            self.injected[fault.kind] += 1
            client.flush()

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo something after so many seconds, or at the end."""
        self.lasting.append((self.elapsed_s + seconds, undo))

    def _end_what_is_over(self, *, everything: bool) -> None:
        due = [undo for moment, undo in self.lasting if everything or moment <= self.elapsed_s]
        self.lasting = [one for one in self.lasting if not everything and one[0] > self.elapsed_s]
        for undo in due:
            undo()

    # -- the end

    def _settle(self) -> None:
        """Charges end and no other begins; records that wait are sent again now and then."""
        now = utc_now()
        for client in self.fleet.clients:
            pile = client.pile
            pile.faults.late_records = pile.faults.lost_confirmations = 0
            pile.faults.duplicate_records = pile.faults.cut_before_record_ack = 0
            pile.is_locked = True
            for gun in pile.guns.values():
                if gun.session:
                    pile.press_stop(gun.gun_no, now)
            waits = [stored for stored in pile.records.values() if stored.next_try is None or stored.tries]
            if pile.is_online and waits and round(self.elapsed_s) % 5 == 0:
                pile.hurry(now)
            client.flush()

    def _settled(self) -> bool:
        return not self.fleet.charging and not any(pile.records for pile in self.fleet.piles)

    # -- what came of it

    def counts(self) -> dict[str, int]:
        """Figures of the whole fleet; a record counts as sent once, however often it was repeated."""
        sent: Counter[str] = Counter()
        for pile in self.fleet.piles:
            sent.update(pile.sent)
        return {
            "piles": len(self.fleet.piles),
            "online": self.fleet.online,
            "charging": self.fleet.charging,
            "starts": sent["starts"],
            "records_sent": sum(len(pile.journal or ()) for pile in self.fleet.piles),
            "transmissions": sent["transmissions"],
            "records_confirmed": sent["confirmed"],
            "records_waiting": sum(len(pile.records) for pile in self.fleet.piles),
            "dials": sum(client.attempts for client in self.fleet.clients),
        }

    def line(self) -> str:
        """The figures in one line."""
        counts = self.counts()
        shown = {name: counts[name] for name in ("online", "charging", "records_sent", "records_confirmed")}
        told = " ".join(f"{name}={count}" for name, count in shown.items())
        faults = " ".join(f"{kind}={count}" for kind, count in sorted(self.injected.items()))
        return f"{self.elapsed_s:6.0f} s {told} faults: {faults or 'none'}"

    def summary(self) -> dict[str, Any]:
        """Everything, with the numbers of all records that were sent, and what the simulation itself cost."""
        cpu_s, piles = _cpu_s() - self.cpu_before, len(self.fleet.piles)
        return {
            "seconds": round(self.elapsed_s, 1),
            **self.counts(),
            "faults": dict(sorted(self.injected.items())),
            "profiles": dict(sorted(Counter(pile.profile.name for pile in self.fleet.piles).items())),
            "cpu_s": round(cpu_s, 2),
            "cpu_ms_per_pile_and_s": round(1000 * cpu_s / piles / max(1.0, self.elapsed_s), 4),
            "transactions": sorted(
                number.hex().upper() for pile in self.fleet.piles for number in pile.journal or ()
            ),
        }


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# --- Faults: each returns whether it happened -----------------------------------------------------------------


def _torn_segments(run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    faults = client.pile.faults
    faults.split_writes = int(fault.amount) or 7
    run.later(fault.seconds, lambda: setattr(faults, "split_writes", 0))
    return True


def _glued_frames(run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    faults = client.pile.faults
    faults.hold_writes_s = fault.amount or 0.5
    run.later(fault.seconds, lambda: setattr(faults, "hold_writes_s", 0))
    return True


def _bad_crc(_run: Run, client: PileClient, _fault: Fault, _now: datetime) -> bool:
    pile = client.pile
    good = Heartbeat(pile_no=pile.raw_pile_no, gun_no=b"\x01", gun_status=0).encode()
    pile.inject(good[:-1] + bytes((good[-1] ^ 0xFF,)))
    return pile.is_online


def _rubbish(run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    client.pile.inject(run.random.randbytes(int(fault.amount) or 16).replace(b"\x68", b"\x00"))
    return client.pile.is_online


def _duplicate_record(_run: Run, client: PileClient, _fault: Fault, _now: datetime) -> bool:
    client.pile.faults.duplicate_records += 1
    return True


def _late_record(_run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    client.pile.faults.late_records += 1
    client.pile.faults.late_by = timedelta(seconds=fault.seconds)
    return True


def _lost_confirmation(_run: Run, client: PileClient, _fault: Fault, _now: datetime) -> bool:
    client.pile.faults.lost_confirmations += 1
    return True


def _cut_before_confirmation(_run: Run, client: PileClient, _fault: Fault, _now: datetime) -> bool:
    client.pile.faults.cut_before_record_ack += 1
    return True


def _unanswered_starts(run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    faults = client.pile.faults
    faults.unanswered |= {REMOTE_START}
    run.later(fault.seconds, lambda: setattr(faults, "unanswered", faults.unanswered - {REMOTE_START}))
    return True


def _clock_drift(run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    client.pile.clock_offset += timedelta(seconds=run.random.choice((-1, 1)) * (fault.amount or 30))
    return True


def _line_cut(_run: Run, client: PileClient, fault: Fault, _now: datetime) -> bool:
    was_online = client.pile.is_online
    client.cut(fault.seconds)
    return was_online


def _power_cut(_run: Run, client: PileClient, fault: Fault, now: datetime) -> bool:
    if not any(gun.session for gun in client.pile.guns.values()):
        return False
    client.pile.cut_power(now)
    client.cut(fault.seconds)
    return True


def _offline_charge(run: Run, client: PileClient, fault: Fault, now: datetime) -> bool:
    pile = client.pile
    gun = next((gun for gun in pile.guns.values() if gun.session is None), None)
    if gun is None or not pile.is_online or pile.billing is None:
        return False
    client.cut(fault.seconds)
    loop = asyncio.get_running_loop()
    loop.call_later(CHARGE_OFFLINE_S, lambda: (pile.charge_offline(gun.gun_no, utc_now()), client.flush()))
    # It ends shortly before the line is back, so that its record waits for the login.
    loop.call_later(fault.seconds * 0.9, lambda: (pile.press_stop(gun.gun_no, utc_now()), client.flush()))
    return True


class _Twin(asyncio.Protocol):
    """Another device with the same code: logs in, stays a moment, goes."""

    def __init__(self, login: bytes) -> None:
        self._login = login

    def connection_made(self, transport: Any) -> None:
        transport.write(self._login)
        asyncio.get_running_loop().call_later(TWIN_STAYS_S, transport.abort)


def _second_login(run: Run, client: PileClient, _fault: Fault, _now: datetime) -> bool:
    pile = client.pile
    if not pile.is_online:
        return False
    login = Login.make(
        pile_no=pile.pile_no,
        pile_type=0,
        gun_count=1,
        protocol_version=0x10,
        software_version="TWIN",
        network_type=0,
        sim_no="89860000000000000002",
        operator=0,
    ).encode()
    task = asyncio.get_running_loop().create_task(_dial_twin(login, client.host, client.port))
    run.later(TWIN_STAYS_S, task.cancel)  # keeps it from being collected, too
    return True


async def _dial_twin(login: bytes, host: str, port: int) -> None:
    try:
        await asyncio.get_running_loop().create_connection(lambda: _Twin(login), host, port)
    except OSError:
        return


KINDS: dict[str, Callable[[Run, PileClient, Fault, datetime], bool]] = {
    "torn_segments": _torn_segments,
    "glued_frames": _glued_frames,
    "bad_crc": _bad_crc,
    "rubbish": _rubbish,
    "duplicate_record": _duplicate_record,
    "late_record": _late_record,
    "lost_confirmation": _lost_confirmation,
    "cut_before_confirmation": _cut_before_confirmation,
    "unanswered_starts": _unanswered_starts,
    "clock_drift": _clock_drift,
    "reconnect_storm": _line_cut,
    "line_cut": _line_cut,
    "power_cut": _power_cut,
    "offline_charge": _offline_charge,
    "second_login": _second_login,
}
