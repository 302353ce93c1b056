"""docker-compose.yml without a container engine: each service's command runs as a process against real servers.

Service names become ports of this machine, images become programs of the host (PostgreSQL, Redis, HAProxy); commands,
environments, order and health checks are read from the file as they stand.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from chargeplat import embedded
from chargeplat.embedded import socket_accepts, tail, unprivileged, wait_until
from tests.ykc_server.harness import login

pytestmark = [pytest.mark.slow, pytest.mark.live, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
GIVEN = {
    "POSTGRES_PASSWORD": "for-the-test",
    "SECRET_KEY": "a-key-for-the-test-of-the-compose-file-0123456789",
}
BINARIES = Path(sys.executable).parent


def newest_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


class Composition:
    """The file, and the processes that stand for its services."""

    def __init__(self, place: Path) -> None:
        self.services: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())[
            "services"
        ]
        self.place = place
        self.ports = {
            name: free_port() for name in ("postgres", "valkey", "web", "gateway1", "gateway2", "balancer")
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @staticmethod
    def _variable(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        return GIVEN[name] if kind == "?" else rest.removeprefix("-")

    def here(self, service: str, value: str) -> str:
        """What a command or variable of the file means on this machine."""
        value = re.sub(r"\$\{(\w+):(.)(.*?)\}", self._variable, value)
        for name, inside in (("postgres", 5432), ("valkey", 6379), ("gateway1", 9988), ("gateway2", 9988)):
            value = value.replace(f"{name}:{inside}", f"127.0.0.1:{self.ports[name]}")
        value = value.replace("*:9988", f"127.0.0.1:{self.ports['balancer']}")
        # Before any path of this machine comes in: the working copy may itself be below /tmp.
        value = value.replace("/tmp/", f"{self.place}/")
        for volume in self.services[service].get("volumes", ()):
            outside, inside_path, *_ = volume.split(":")
            if outside.startswith("."):
                value = value.replace(inside_path, str(ROOT / outside))
        return value

    def environment(self, service: str) -> dict[str, str]:
        wanted = {
            k: self.here(service, str(v)) for k, v in self.services[service].get("environment", {}).items()
        }
        if "YKC_PORT" in wanted:
            wanted["YKC_PORT"] = str(self.ports.get(service, 0))
            wanted["PORT"] = str(self.ports["web"])
        kept = {k: os.environ[k] for k in ("PATH", "HOME", "LANG") if k in os.environ}
        return kept | {"CHARGEPLAT_STATE": str(self.place / "state")} | wanted

    def command(self, service: str) -> list[str]:
        program, *arguments = (self.here(service, str(part)) for part in self.services[service]["command"])
        if service == "web":
            arguments = [str(self.ports["web"]) if part == "8000" else part for part in arguments]
        own = BINARIES / program
        return [str(own) if own.exists() else program, *arguments]

    def start(self, service: str, command: list[str] | None = None, **options: Any) -> None:
        """Start it when all it depends on is as the file asks."""
        for other, wanted in self.services[service].get("depends_on", {}).items():
            if wanted["condition"] == "service_completed_successfully":
                assert self.processes[other].wait(120) == 0, self.said(other)
            else:
                self.await_healthy(other)
        with open(self.place / f"{service}.log", "ab") as log:
            self.processes[service] = subprocess.Popen(
                command or self.command(service), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=embedded.die_with_parent(signal.SIGKILL),
                **{"cwd": ROOT, "env": self.environment(service)} | options,
            )  # fmt: skip

    def await_healthy(self, service: str) -> None:
        assert wait_until(lambda: self.healthy(service), 90, 0.3), (
            f"{service} is not healthy\n{self.said(service)}"
        )

    def healthy(self, service: str) -> bool:
        if self.processes[service].poll() is not None:
            pytest.fail(f"{service} ended\n{self.said(service)}")
        if service in ("postgres", "valkey"):  # their check comes with their image
            return socket_accepts(("127.0.0.1", self.ports[service]))
        kind, program, *arguments = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD"
        check = [str(BINARIES / program), *arguments]
        return (
            subprocess.run(check, env=self.environment(service), capture_output=True, check=False).returncode
            == 0
        )

    def said(self, service: str) -> str:
        return tail(self.place / f"{service}.log", 30)

    def stop(self) -> None:
        for service, process in self.processes.items():
            # SIGTERM asks PostgreSQL to wait for its clients.
            process.send_signal(signal.SIGINT if service == "postgres" else signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def composition() -> Iterator[Composition]:
    binaries = newest_postgres()
    missing = [
        name
        for name in ("redis-server", "haproxy")
        if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    ]
    if missing or not binaries:
        pytest.skip(
            "needs Debian's postgresql, redis-server and haproxy (as root `make test-all` installs them)"
        )
    user = unprivileged()
    # Not pytest's tmp_path: another user has to come through.
    place = Path(tempfile.mkdtemp(prefix="chargeplat-compose-"))
    place.chmod(0o711)
    made = Composition(place)
    try:
        data = place / "postgres"
        data.mkdir(mode=0o700)
        if user:
            os.chown(data, user["user"], user["group"])
        initdb = [
            binaries / "initdb",
            "-D",
            data,
            "-U",
            "chargeplat",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "-N",
        ]
        subprocess.run([str(part) for part in initdb], cwd="/", check=True, capture_output=True, **user)
        _, *flags = made.command("postgres")
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", f"port={made.ports['postgres']}", "-k", str(data)]
        made.start(
            "postgres", [str(binaries / "postgres"), "-D", str(data), *flags, *listen], cwd="/", **user
        )
        _, *flags = made.command("valkey")
        made.start(
            "valkey", ["redis-server", "--port", str(made.ports["valkey"]), "--bind", "127.0.0.1", *flags]
        )
        made.await_healthy("postgres")
        createdb = [
            binaries / "createdb",
            "-h",
            "127.0.0.1",
            "-p",
            made.ports["postgres"],
            "-U",
            "chargeplat",
            "chargeplat",
        ]
        wait_until(
            lambda: (
                subprocess.run([str(p) for p in createdb], capture_output=True, check=False).returncode == 0
            ),
            20,
        )
        yield made
    finally:
        made.stop()
        shutil.rmtree(place, ignore_errors=True)


def test_every_service_starts_and_serves(composition: Composition) -> None:
    assert set(composition.services) == {
        "postgres", "valkey", "migrate", "web", "gateway1", "gateway2", "worker", "exporter", "beat", "balancer",
    }  # fmt: skip
    for service in ("migrate", "web", "gateway1", "gateway2", "worker", "exporter", "beat", "balancer"):
        composition.start(service)
    for service in ("web", "gateway1", "gateway2"):
        composition.await_healthy(service)
    ping = [str(BINARIES / "celery"), "-A", "chargeplat", "inspect", "ping", "--timeout", "3"]
    assert wait_until(
        lambda: subprocess.run(
            ping, cwd=ROOT, env=composition.environment("worker"), capture_output=True, check=False
        ).returncode == 0,
        60,
    ), composition.said("worker")  # fmt: skip
    assert composition.processes["beat"].poll() is None

    # Through the balancer to either gateway: an unknown pile is answered, by a refusal.
    for service in ("gateway1", "gateway2", "balancer"):
        answered = wait_until(partial(answers_login, composition.ports[service]), 60, 0.5)
        assert answered, f"{service}\n{composition.said(service)}"

    # One gateway is replaced: piles that dial again reach the other one.
    composition.processes["gateway1"].send_signal(signal.SIGTERM)
    assert composition.processes["gateway1"].wait(10) == 0
    assert wait_until(partial(answers_login, composition.ports["balancer"]), 20, 0.2)


def answers_login(port: int) -> bool:
    """Whether a login frame (0x01) is answered by 0x02 on a fresh connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as pile:
            pile.sendall(login().encode())
            answer = pile.recv(6)
    except OSError:
        return False
    return answer[:1] == b"\x68" and answer[5:6] == b"\x02"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
