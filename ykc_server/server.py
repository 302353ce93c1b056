"""The interface server: TCP connections of piles → an ASGI application with scope type "ykc".

The application (PileConsumer behind the ProtocolTypeRouter) attaches itself to the connection in its first step and
is fed from `data_received`. Limits live here: connections per address and in all, slow readers. Time-outs are one
scan over all connections (gateway.scan), never a timer per connection.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

WRITE_LIMIT = 65_536
"""Bytes that may wait for a pile that does not read; then nothing more is read from it until it does."""
BACKLOG = 4_096
HANDSHAKE_TIMEOUT_S = 10.0
"""A connection whose TLS handshake is not finished by then ends; the limits of connections count it only after that."""


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the server side of TLS 1.2 or later from PEM files. Raises OSError or ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key or None)
    return context


class PileProtocol(asyncio.Protocol):
    """One connection of a pile."""

    __slots__ = ("address", "consumer", "server", "transport")

    def __init__(self, server: YkcServer) -> None:
        self.server = server
        self.consumer: PileConsumer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if peer else ""
        if not self.server.admit(self.address):
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_LIMIT)
        scope = {
            "type": "ykc",
            "client": peer,
            "server": transport.get_extra_info("sockname"),
            "gateway": self.server.gateway,
            "attach": self.attach,
        }
        try:
            self.server.application(scope, None, None).send(None)
        except StopIteration:
            pass  # attached: an application that waits here is not ours
        except Exception:
            log.exception("application_failed", peer=self.address)
        finally:
            del scope["attach"]
        if self.consumer is None:
            transport.abort()

    def attach(self, consumer: PileConsumer) -> asyncio.Transport:
        """Give the connection to its consumer; what it gets back is for writing and closing."""
        self.consumer = consumer
        return self.transport

    def data_received(self, data: bytes) -> None:
        consumer = self.consumer
        if consumer is not None and not consumer.closed:
            try:
                consumer.feed(data)
            except Exception:
                log.exception("connection_failed", peer=self.address)
                consumer.abort()

    def pause_writing(self) -> None:
        # What it does not read it caused by what it sends: stop reading. A pile that stays like this falls silent,
        # and is closed like any silent one.
        self.server.gateway.count("slow_readers")
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if self.consumer is not None:
            self.server.release(self.address)
            self.consumer.lost()
            self.consumer = None  # which holds the transport, which holds this


class YkcServer:
    """Listens on one address and admits connections."""

    def __init__(self, application: Any, gateway: Gateway, *, per_address: int, in_all: int) -> None:
        self.application = application
        self.gateway = gateway
        self._per_address = per_address
        self._in_all = in_all
        self._connections: Counter[str] = Counter()
        self._total = 0
        self._listeners: list[asyncio.Server] = []

    async def listen(
        self, host: str, port: int, *, reuse_port: bool = False, tls: ssl.SSLContext | None = None
    ) -> int:
        """Begin to listen, also on a further port; returns the port (asked for with 0). Raises OSError."""
        handshake = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S} if tls else {}
        listener = await asyncio.get_running_loop().create_server(
            lambda: PileProtocol(self),
            host,
            port,
            reuse_port=reuse_port,
            reuse_address=True,
            backlog=BACKLOG,
            ssl=tls,
            **handshake,
        )
        self._listeners.append(listener)
        bound: socket.socket = listener.sockets[0]
        return int(bound.getsockname()[1])

    def close(self) -> None:
        """Stop listening; connections stay."""
        for listener in self._listeners:
            listener.close()

    async def closed(self) -> None:
        """Wait until the last connection has ended."""
        for listener in self._listeners:
            await listener.wait_closed()

    def admit(self, address: str) -> bool:
        """Whether one more connection of an address is welcome; counts it if so."""
        if self._total >= self._in_all or self._connections[address] >= self._per_address:
            self.gateway.count("connections_refused")
            self.gateway.sampled("connection_refused", address=address, connections=self._total)
            return False
        self._total += 1
        self._connections[address] += 1
        return True

    def release(self, address: str) -> None:
        """Count a connection's end."""
        self._total -= 1
        self._connections[address] -= 1
        if not self._connections[address]:
            del self._connections[address]
