"""`make run` when things go wrong around it: killed, started twice, a child that dies, a port that is taken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chargeplat import embedded
from chargeplat.embedded import ProcessMark, socket_accepts, wait_until

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """`python -m chargeplat.supervisor` with a state directory and ports of its own."""

    def __init__(self, state: Path, fleet: int = 2) -> None:
        self.state = state
        self.log = state / "console.log"
        self.port, self.ykc_port = free_port(), free_port()
        unset = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
        self.environment = {key: value for key, value in os.environ.items() if key not in unset} | {
            "CHARGEPLAT_STATE": str(state),
            "PORT": str(self.port),
            "YKC_PORT": str(self.ykc_port),
            "FLEET": str(fleet),
            "BUILD_PAGES": "0",
        }

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.log, "wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "chargeplat.supervisor"], cwd=ROOT, env=self.environment, stdout=log,
                stderr=log, start_new_session=True, preexec_fn=embedded.die_with_parent(signal.SIGTERM),
            )  # fmt: skip

    def await_line(self, text: str, process: subprocess.Popen[bytes], timeout_s: float = 240) -> None:
        wait_until(lambda: text in self.log.read_text() or process.poll() is not None, timeout_s, 0.2)
        assert text in self.log.read_text()

    def children(self) -> dict[str, ProcessMark]:
        found = json.loads((self.state / "children.json").read_text())
        return {name: ProcessMark(*mark) for name, mark in found.items()}

    def everything(self) -> list[ProcessMark]:
        servers = json.loads((embedded.services(self.state).dir / "services.json").read_text())
        return [*self.children().values(), *(ProcessMark(*server["server"]) for server in servers.values())]


@pytest.fixture
def state() -> Iterator[Path]:
    place = embedded.ensure_state_dir(embedded.state_dir() / "run")
    yield place
    embedded.services(place).remove()


@pytest.mark.slow
@pytest.mark.live
@pytest.mark.timeout(900)
def test_it_survives_what_may_happen_to_it(state: Path) -> None:
    run = Run(state)
    process = run.start()
    try:
        run.await_line("chargeplat ready", process)
        assert set(run.children()) >= {"web", "gateway", "worker", "beat", "fleet", "sandbox"}
        orders = run_manage(run, "check_ledger")

        # A second one is refused, and the first goes on.
        second = subprocess.run(
            [sys.executable, "-m", "chargeplat.supervisor"], cwd=ROOT, env=run.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert second.returncode == 1
        assert f"runs already (process {process.pid})" in second.stderr
        assert process.poll() is None

        # A child that is killed comes back; so does PostgreSQL.
        gateway = run.children()["gateway"]
        os.kill(gateway.pid, signal.SIGKILL)
        run.await_line("gateway ended with code -9", process)
        assert wait_until(lambda: socket_accepts(("127.0.0.1", run.ykc_port)), 60)
        assert run.children()["gateway"] != gateway
        postgres = embedded.services(state)._mark(embedded.POSTGRES, "server")
        assert postgres is not None
        os.kill(postgres.pid, signal.SIGKILL)
        run.await_line("postgres ended by itself", process)
        assert wait_until(lambda: embedded.services(state)._mark(embedded.POSTGRES, "server") != postgres, 60)

        # Killed itself, it leaves nothing that disturbs the next start, which keeps the data.
        left = run.everything()
        process.kill()
        process.wait()
        process = run.start()
        run.await_line("chargeplat ready", process)
        assert [mark for mark in left if mark.alive] == []
        assert run_manage(run, "check_ledger").split()[:1] == orders.split()[:1]

        # Asked to stop, it leaves no process.
        left = run.everything()
        process.terminate()
        assert process.wait(30) == 0
        assert [mark for mark in left if mark.alive] == []
        assert run.children() == {}
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def test_a_taken_port_is_named_before_anything_starts(state: Path) -> None:
    run = Run(state)
    with socket.socket() as other:
        other.bind(("127.0.0.1", run.ykc_port))
        other.listen()
        process = run.start()
        assert process.wait(60) == 1
    console = run.log.read_text()
    assert f"port {run.ykc_port} is in use; choose another: make run YKC_PORT={run.ykc_port + 1}" in console
    assert not (embedded.services(state).dir / "pgdata").exists()


def run_manage(run: Run, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=ROOT, env=run.environment | {"LOG_LEVEL": "ERROR"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
