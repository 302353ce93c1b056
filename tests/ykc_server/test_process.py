"""The gateway as a process: it says when it is ready, shares its port, and ends when asked to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

from apps.orders.models import TransactionRecord
from chargeplat.embedded import BASE_DIR, wait_until
from tests.ykc_server.harness import CODE, OTHER_CODE, heartbeat, login, make_pile, record
from ykc_server.protocol import FrameBuffer


@contextmanager
def process(port: int):
    command = [sys.executable, "manage.py", "run_ykc_server", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"YKC_DATABASE_THREADS": "2"}
    with subprocess.Popen(command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True) as child:
        try:
            line = child.stdout.readline()
            assert line.startswith("ykc gateway ready on 127.0.0.1:"), line
            yield child, int(line.rsplit(":", 1)[1])
        finally:
            child.kill()


class Pile:
    """A blocking pile."""

    def __init__(self, port: int, code: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
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
