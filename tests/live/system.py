"""A system in processes of its own: what `make run` starts, for the tests that drive it from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from chargeplat import embedded
from tests.e2e.site import BASE_DIR, Site, Wrong, wait_for

READY_S = 600
FLEET = 2


@dataclass(frozen=True)
class LiveSystem:
    """What `make run` starts, with a state directory and ports of its own."""

    site: Site
    supervisor: subprocess.Popen[bytes]
    log: Path

    def process_of(self, name: str) -> int:
        """The process id of a child of the supervisor, 0 while it has none."""
        try:
            found = json.loads((self.site.state / "children.json").read_text())
        except ValueError:
            return 0
        return int(found.get(name, [0])[0])

    def kill(self, name: str) -> int:
        """kill -9 a child; returns its process id."""
        process = self.process_of(name)
        os.kill(process, signal.SIGKILL)
        return process

    def wait_for_another(self, name: str, than: int) -> None:
        """Wait until the supervisor has started a child again."""
        wait_for(f"new {name}", lambda: self.process_of(name) not in {0, than}, 30)

    def empty_redis(self) -> None:
        """FLUSHALL."""
        with redis.Redis(unix_socket_path=str(embedded.services(self.site.state).valkey_socket)) as client:
            client.flushall()


@pytest.fixture(scope="session")
def live_system() -> Iterator[LiveSystem]:
    """A running system with its small demo business and a fleet of two piles."""
    with running_system(FLEET) as system:
        yield system


@contextmanager
def running_system(fleet: int) -> Iterator[LiveSystem]:
    """A running system with its small demo business and so many simulated piles."""
    state = Path(tempfile.mkdtemp(prefix="chargeplat-live-"))
    log = state / "console.log"
    port, ykc_port = free_ports(2)
    given = {
        key: value
        for key, value in os.environ.items()
        if key not in {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"}
    }
    environment = {
        **given,
        "CHARGEPLAT_STATE": str(state),
        "PORT": str(port),
        "YKC_PORT": str(ykc_port),
        "FLEET": str(fleet),
        "BUILD_PAGES": "0",
        "DEMO_DAYS": "8",  # enough for every page; more would take their time from the tests
    }
    with pytest.MonkeyPatch.context() as patch, log.open("wb") as console:
        for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
            patch.delenv(name, raising=False)
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "chargeplat.supervisor"],
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            preexec_fn=embedded.die_with_parent(signal.SIGTERM),
        )
        try:
            wait_until_ready(supervisor, log)
            yield LiveSystem(Site(port, ykc_port, state), supervisor, log)
        finally:
            supervisor.terminate()
            try:
                supervisor.wait(15)
            except subprocess.TimeoutExpired:
                supervisor.kill()
                supervisor.wait()
            embedded.services(state).remove()
            shutil.rmtree(state, ignore_errors=True)


def wait_until_ready(supervisor: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the line; raises Wrong with the console's text if the supervisor ends or takes too long."""
    deadline = time.monotonic() + READY_S
    while "\nchargeplat ready\n" not in log.read_text(errors="replace"):
        if supervisor.poll() is not None or time.monotonic() > deadline:
            raise Wrong(f"the system does not come up:\n{log.read_text(errors='replace')}")
        time.sleep(0.2)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
