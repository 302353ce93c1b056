"""Servers under measurement: started on a core of their own, their CPU time and memory read from /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from chargeplat.embedded import BASE_DIR, die_with_parent

READY_TIMEOUT_S = 60


class NotReady(RuntimeError):
    """A server under measurement did not start."""


class Measured:
    """A running server process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def cpu_s(self) -> float:
        """CPU seconds so far, of all its threads, also of those that have ended; steps of 10 ms."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss_kib(self) -> int:
        """Memory that is its own, plus its share of what it shares (Pss), KiB."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
        raise NotReady("no Pss in smaps_rollup")

    async def quiet(self, limit_s: float = 60.0, *, below_s: float = 0.02) -> None:
        """Wait until it has nothing to do: uses less than `below_s` CPU seconds in a second."""
        for _ in range(int(limit_s)):
            before = self.cpu_s()
            await asyncio.sleep(1.0)
            if self.cpu_s() - before < below_s:
                return


@contextmanager
def server(
    command: list[str],
    port: int,
    *,
    core: int | None,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Measured]:
    """Run a server until it listens on `port`, pinned to `core`; `environment` is added to ours. Raises NotReady."""
    die = die_with_parent(signal.SIGKILL)

    def in_child() -> None:
        die()
        if core is not None:
            os.sched_setaffinity(0, {core})

    with open(log, "ab") as out:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=BASE_DIR, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env={**os.environ, **(environment or {})},
            preexec_fn=in_child,  # noqa: PLW1509 - nothing else runs in this process yet
        )  # fmt: skip
    try:
        _await_port(process, port, log)
        yield Measured(process, port)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port that nobody uses now, below those that the kernel gives to connections: there may be thousands."""
    for _ in range(100):
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotReady("no free port between 15000 and 32000")


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    from chargeplat.embedded import socket_accepts, tail, wait_until

    wait_until(lambda: process.poll() is not None or socket_accepts(("127.0.0.1", port)), READY_TIMEOUT_S)
    if process.poll() is not None or not socket_accepts(("127.0.0.1", port)):
        raise NotReady(f"{process.args!r} did not start:\n{tail(log)}")
