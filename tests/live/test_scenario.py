"""A fleet with every fault on a running system: what was sent is stored and decided, the books agree, nothing grows.

300 piles for 90 s by default; `make scenario` asks for 2,000 and ten minutes (SCENARIO_PILES, SCENARIO_SECONDS).
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from chargeplat import embedded
from tests.e2e.drive import a_station
from tests.e2e.site import BASE_DIR, App, wait_for
from tests.live.system import LiveSystem, running_system

PILES = int(os.environ.get("SCENARIO_PILES") or 300)
SECONDS = float(os.environ.get("SCENARIO_SECONDS") or 90)
SETTLE_S = 120
FIRST_PILE = 97_000_000_000_000
AC_SHARE = 4
GROWTH = 1.05
SPREAD_KIB = 4_096 if SECONDS < 300 else 0
"""A short run has to forgive what is touched for the first time within it."""
DECIDED = ("settled", "held", "waiting", "quarantined", "rejected")
PROCESSES = ("web", "gateway", "worker", "beat")

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.timeout(SECONDS + 900)]


class Watch:
    """Samples the memory of every process of the system once a second."""

    def __init__(self, system: LiveSystem) -> None:
        self._system = system
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self.began = time.monotonic()
        self.samples: dict[str, list[tuple[float, list[int]]]] = {name: [] for name in PROCESSES}

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(1):
            for name in PROCESSES:
                kib = [pss_kib(pid) for pid in family(self._system.process_of(name))]
                self.samples[name].append((time.monotonic() - self.began, kib))

    def median_kib(self, name: str, begin: float, end: float) -> float:
        """Median proportional set size between two moments, given as shares of the run."""
        return statistics.median(sum(kib) for kib in self._between(name, begin, end))

    def of_each_kib(self, name: str) -> list[list[int]]:
        """The sizes of a process and its children at ten moments."""
        return [self._between(name, share / 10, 1)[0] for share in range(10)]

    def _between(self, name: str, begin: float, end: float) -> list[list[int]]:
        return [kib for moment, kib in self.samples[name] if begin * SECONDS <= moment <= end * SECONDS]


def family(pid: int) -> list[int]:
    """A process and all its descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def start(system: LiveSystem, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A command of ours beside the system; its output is in the system's logs."""
    environment = {
        k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    }
    environment |= {"CHARGEPLAT_STATE": str(system.site.state), "PYTHONUNBUFFERED": "1"}
    with (system.site.state / "logs" / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=embedded.die_with_parent(signal.SIGKILL),
        )


def register(system: LiveSystem) -> None:
    """Piles at a station that has a price: most of them DC with two guns, some AC with one."""
    station = a_station(App(system.site))["station_no"]
    ac = PILES // AC_SHARE
    for first, count, kind, guns, power in (
        (FIRST_PILE, PILES - ac, "dc", "2", "120"),
        (FIRST_PILE + PILES, ac, "ac", "1", "7"),
    ):
        where = ["--tenant", system.site.tenant, "--station", station, "--first", str(first)]
        what = ["--count", str(count), "--kind", kind, "--guns", guns, "--power", power]
        system.site.manage("create_piles", *where, *what)


def processes(system: LiveSystem) -> dict[str, list[int]]:
    return {name: family(system.process_of(name)) for name in PROCESSES}


def stored(system: LiveSystem, transactions: list[str]) -> dict[str, set[str]]:
    """The states of the stored records by transaction number."""
    found: dict[str, set[str]] = {}
    with psycopg.connect(**embedded.services(system.site.state).dsn()) as connection:
        rows = connection.execute(
            f"select transaction_no, state from t_{system.site.tenant}.orders_transactionrecord"
            " where transaction_no = any(%s)",
            [transactions],
        )
        for number, state in rows:
            found.setdefault(number, set()).add(state)
    return found


def run_scenario(system: LiveSystem) -> dict[str, Any]:
    """Play it with drivers, to its end; returns the summary."""
    tenant = ["--tenant", system.site.tenant]
    path = system.site.state / "summary.json"
    options = ["--port", str(system.site.ykc_port), "--count", str(10 * PILES), "--seconds", str(SECONDS)]
    scenario = ["--scenario", "scenarios/all-faults.toml", "--summary", str(path)]
    habits = ["--plug-after", "2", "--unplug-after", "3"]
    busy = ["--share", "0.5", "--pause", "1", "--arrivals", str(max(5, PILES // 30)), "--drivers", str(PILES)]
    drivers = start(system, "drivers", "simulate_drivers", *tenant, *busy, "--channel", "sandbox")
    fleet = start(system, "fleet", "simulate_piles", *tenant, *options, *scenario, *habits)
    try:
        code = fleet.wait(SECONDS + SETTLE_S + 120)
        told = (system.site.state / "logs" / "fleet.log").read_text()
        assert code == 0, told[-3_000:]
        assert drivers.poll() is None
    finally:
        for process in (drivers, fleet):
            process.terminate()
            process.wait(30)
    summary: dict[str, Any] = json.loads(path.read_text())
    return summary


def test_every_record_of_a_faulty_fleet_is_decided_and_nothing_grows():
    with running_system(0) as system:
        register(system)
        before = processes(system)
        with Watch(system) as watch:
            summary = run_scenario(system)
        # Every fault happened, and the fleet did business.
        assert len(summary["faults"]) == 15, summary["faults"]
        assert summary["records_sent"] >= PILES // 10
        assert summary["records_waiting"] == 0
        # Sent = stored = decided.
        transactions = summary["transactions"]

        def undecided() -> dict[str, set[str]]:
            states = stored(system, transactions)
            assert sorted(states) == transactions
            return {number: found for number, found in states.items() if not found <= set(DECIDED)}

        wait_for("the settling of every record", lambda: not undecided(), SETTLE_S)
        assert "ledger clean" in system.site.manage("check_ledger")
        # Nobody died, nobody stumbled, nobody grew.
        assert processes(system) == before
        for log in sorted((system.site.state / "logs").glob("*.log")):
            assert "Traceback (most recent call last)" not in log.read_text(errors="replace"), tell(log)
        memory = {
            name: (watch.median_kib(name, 0.3, 0.4), watch.median_kib(name, 0.9, 1.0)) for name in PROCESSES
        }
        sys.stdout.write(
            json.dumps(summary | {"transactions": len(transactions), "memory_kib": memory})
            + "\n"
            + json.dumps({"workers_kib": watch.of_each_kib("worker")})
            + "\n"
        )
        assert [name for name, (early, late) in memory.items() if late > GROWTH * early + SPREAD_KIB] == []


def tell(log: Path) -> str:
    text = log.read_text(errors="replace")
    place = text.index("Traceback (most recent call last)")
    return f"{log.name}: {text[max(0, place - 500) : place + 3_000]}"
