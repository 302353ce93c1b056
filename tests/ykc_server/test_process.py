"""The gateway as a process: it says when it is ready, shares its port, and ends when asked to."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from apps.orders.models import TransactionRecord
from chargeplat.embedded import BASE_DIR, wait_until
from tests.ykc_server.certificates import make_certificate
from tests.ykc_server.harness import CODE, OTHER_CODE, heartbeat, login, make_pile, record
from ykc_server.protocol import FrameBuffer


@contextmanager
def process(port: int, **environment: str):
    command = [sys.executable, "manage.py", "run_ykc_server", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"YKC_DATABASE_THREADS": "2"} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=BASE_DIR, env=environment, text=True, **pipes) as child:
        try:
            yield child, int(said(child, "ykc gateway ready on 127.0.0.1:").rsplit(":", 1)[1])
        finally:
            child.kill()


def said(child, begin: str) -> str:
    """The next line of the process that begins so."""
    for line in child.stdout:
        if line.startswith(begin):
            return line
    raise AssertionError(f"it ended without saying {begin!r}")


class Pile:
    """A blocking pile."""

    def __init__(self, line: int | socket.socket, code: str) -> None:
        at_port = isinstance(line, int)
        self.socket = socket.create_connection(("127.0.0.1", line), timeout=10) if at_port else line
        self.code = code
        self.buffer = FrameBuffer()
        self.kinds: list[int] = []

    def exchange(self, *messages, answers: int) -> list[int]:
        self.socket.sendall(b"".join(m.encode() for m in messages))
        while len(self.kinds) < answers:
            data = self.socket.recv(4_096)
            assert data, "the gateway closed the connection"
            self.kinds += [frame[5] for frame in self.buffer.feed(data)]
        kinds, self.kinds = self.kinds[:answers], self.kinds[answers:]
        return kinds


def test_a_gateway_process_serves_and_ends_cleanly(committed):
    make_pile()
    with process(0) as (child, port):
        pile = Pile(port, CODE)
        assert pile.exchange(login(), answers=2) == [0x02, 0x56]
        assert pile.exchange(heartbeat(), record(), answers=2) == [0x04, 0x40]
        child.send_signal(signal.SIGTERM)
        assert wait_until(lambda: child.poll() is not None, 10)
        assert child.returncode == 0
        assert pile.socket.recv(1) == b""
        pile.socket.close()
    assert TransactionRecord.objects.count() == 1


def test_two_processes_share_a_port_and_one_may_be_killed(committed):
    make_pile()
    make_pile(OTHER_CODE)
    with process(0) as (first, port), process(port) as (second, same):
        assert same == port
        piles = []
        for index in range(40):  # the kernel spreads connections over both
            code = (CODE, OTHER_CODE)[index % 2]
            piles.append(Pile(port, code))
        for pile in piles[:2]:
            assert pile.exchange(login(pile.code), answers=2) == [0x02, 0x56]
        first.kill()
        first.wait()
        survivor = Pile(port, CODE)
        assert survivor.exchange(login(), answers=2) == [0x02, 0x56]
        assert survivor.exchange(heartbeat(), answers=1) == [0x04]
        assert second.poll() is None
        for pile in (*piles, survivor):
            pile.socket.close()


def served_by(port: int) -> str:
    """The certificate that a TLS connection of this moment is shown, as PEM."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=10)


def test_a_new_certificate_is_taken_without_a_restart(committed, tmp_path):
    make_pile()
    certificate, key = make_certificate(tmp_path, "first.test")
    first = Path(certificate).read_text()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        tls_port = free.getsockname()[1]
    tls = {"YKC_TLS_PORT": str(tls_port), "YKC_TLS_CERTIFICATE": certificate, "YKC_TLS_KEY": key}
    with process(0, **tls) as (child, _port):
        assert served_by(tls_port) == first
        trusting = ssl.create_default_context(cadata=first)
        old = trusting.wrap_socket(
            socket.create_connection(("127.0.0.1", tls_port), timeout=10), server_hostname="127.0.0.1"
        )
        # A certificate whose key is not there yet, as between two writes of a renewal: the old one stays.
        (tmp_path / "new").mkdir()
        new_certificate, new_key = (Path(name) for name in make_certificate(tmp_path / "new", "second.test"))
        Path(certificate).write_bytes(new_certificate.read_bytes())
        child.send_signal(signal.SIGHUP)
        said(child, "certificate not read: ")
        assert served_by(tls_port) == first
        Path(key).write_bytes(new_key.read_bytes())
        child.send_signal(signal.SIGHUP)
        said(child, "certificate read anew")
        assert served_by(tls_port) == new_certificate.read_text()
        pile = Pile(old, CODE)  # what was open goes on
        assert pile.exchange(login(), answers=2) == [0x02, 0x56]
        old.close()
