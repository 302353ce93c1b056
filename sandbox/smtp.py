"""A mail server that takes mail for anybody and keeps it: enough of SMTP (RFC 5321) for clients to be tested on.

With `accounts` nobody sends without AUTH (PLAIN or LOGIN). Faults by address: a recipient whose name begins with
`refused` is answered with 550, `later` with 451; `greeting` sets another first line, such as "421 too busy".
"""

from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage

LONGEST_LINE = 1 << 16
LONGEST_MAIL = 20 << 20


@dataclass(frozen=True)
class Mail:
    """One mail as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    user: str
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """Read as a mail."""
        found = message_from_bytes(self.raw, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        """The readable body."""
        body = self.message.get_body(("plain",))
        return body.get_content().replace("\r\n", "\n") if body is not None else ""


class MailServer:
    """On a port of this machine, in a thread with a loop of its own; port 0 takes a free one."""

    def __init__(
        self, *, accounts: dict[str, str] | None = None, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.accounts = accounts or {}
        self.host, self.port = host, port
        self.mails: list[Mail] = []
        self.greeting = "220 sandbox ESMTP"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, self.host, self.port, limit=LONGEST_LINE), self._loop
        )
        self._server = started.result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            self._server.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _Session(self, reader, writer).run()
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            asyncio.CancelledError,
        ):
            pass  # a client that has gone, or a test that is over
        finally:
            writer.close()


class _Session:
    """One connection."""

    def __init__(
        self, server: MailServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server, self._reader, self._writer = server, reader, writer
        self._user = ""
        self._clear()

    def _clear(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []

    async def run(self) -> None:
        await self._say(self._server.greeting)
        while not self._server.greeting.startswith("4"):
            line = (await self._reader.readuntil(b"\r\n")).decode(errors="replace").strip()
            verb, _space, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                await self._say("221 bye")
                return
            await self._answer(verb.upper(), rest)

    async def _answer(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO":
                extensions = ["250-sandbox", f"250-SIZE {LONGEST_MAIL}", "250-8BITMIME"]
                await self._say("\r\n".join([*extensions, "250 AUTH PLAIN LOGIN"]))
            case "HELO":
                await self._say("250 sandbox")
            case "AUTH":
                await self._authenticate(rest)
            case "MAIL":
                if self._server.accounts and not self._user:
                    await self._say("530 5.7.0 Authentication required")
                else:
                    self._clear()
                    self._sender = _address(rest)
                    await self._say("250 ok")
            case "RCPT":
                await self._recipient(_address(rest))
            case "DATA":
                await self._data()
            case "RSET" | "NOOP":
                self._clear()
                await self._say("250 ok")
            case _:
                await self._say("502 5.5.1 not implemented")

    async def _authenticate(self, rest: str) -> None:
        kind, _space, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            if not first:
                first = await self._ask("334 ")
            _zone, user, password = base64.b64decode(first).decode().split("\0")
        else:
            user = base64.b64decode(first or await self._ask("334 VXNlcm5hbWU6")).decode()
            password = base64.b64decode(await self._ask("334 UGFzc3dvcmQ6")).decode()
        if self._server.accounts.get(user) == password:
            self._user = user
            await self._say("235 2.7.0 accepted")
        else:
            await self._say("535 5.7.8 authentication failed")

    async def _recipient(self, address: str) -> None:
        if self._sender is None:
            await self._say("503 5.5.1 MAIL first")
        elif address.startswith("refused"):
            await self._say("550 5.1.1 no such user")
        elif address.startswith("later"):
            await self._say("451 4.3.0 try again later")
        else:
            self._recipients.append(address)
            await self._say("250 ok")

    async def _data(self) -> None:
        if not self._recipients:
            await self._say("503 5.5.1 RCPT first")
            return
        await self._say("354 go ahead")
        lines = []
        while (line := await self._reader.readuntil(b"\r\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        assert self._sender is not None
        self._server.mails.append(Mail(self._sender, tuple(self._recipients), self._user, b"".join(lines)))
        self._clear()
        await self._say("250 2.0.0 taken")

    async def _ask(self, line: str) -> str:
        await self._say(line)
        return (await self._reader.readuntil(b"\r\n")).decode().strip()

    async def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())
        await self._writer.drain()


def _address(words: str) -> str:
    return words.partition("<")[2].partition(">")[0]
