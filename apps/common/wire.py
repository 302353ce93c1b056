"""HTTP to the services of others, without surprises: what every client of a provider stands on. Knows no provider."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Self

import requests
import structlog
from requests.structures import CaseInsensitiveDict

log = structlog.get_logger(__name__)

ANSWER_LIMIT = 1 << 20
USER_AGENT = "chargeplat"

Signer = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class NoAnswer(Exception):
    """Nothing is known of what became of a call. `cause` is for logs: timeout, connection, too_long."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(cause)


class PrivateAddress(Exception):
    """A host that somebody typed leads into our own network."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read whole. Header names are looked up without regard to case."""

    status: int
    headers: CaseInsensitiveDict[str]
    body: bytes


class Wire:
    """HTTP to one provider. Never follows redirects, keeps no cookies, logs each call without its secrets."""

    event = "outgoing_call"

    def __init__(self, channel: str, timeout: tuple[float, float]) -> None:
        self._channel = channel
        self._timeout = timeout
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # identity: a signature covers the bytes that are read
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Give up the connections that are kept open for the next call."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        operation: str,
        number: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        sign: Signer | None = None,
        limit: int = ANSWER_LIMIT,
    ) -> Answer:
        """Send once and return the answer, whatever its status. `operation` and `number` are for the log.

        `sign` sees the request as it will be sent. Raises NoAnswer: timeout, connection, too_long.
        """
        started = time.monotonic()
        outcome: str | int = "connection"
        try:
            with self._session.request(
                method,
                url,
                data=body or None,
                headers=headers,
                # always given: requests would otherwise look for credentials in the user's ~/.netrc
                auth=sign or _unsigned,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                content = bytearray()
                for piece in response.iter_content(1 << 16):
                    content += piece
                    if len(content) > limit:
                        outcome = "too_long"
                        raise NoAnswer(outcome)
                outcome = response.status_code
                return Answer(response.status_code, response.headers, bytes(content))
        except requests.Timeout as error:
            outcome = "timeout"
            raise NoAnswer(outcome) from error
        except requests.RequestException as error:
            # A connection that breaks while the answer is read surfaces here too: the provider may have acted.
            raise NoAnswer("connection") from error
        finally:
            log.info(
                self.event,
                channel=self._channel,
                operation=operation,
                number=number,
                outcome=outcome,
                elapsed_ms=round((time.monotonic() - started) * 1000),
            )


def _unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def refuse_private(host: str, port: int, *, allowed: Collection[str]) -> None:
    """See that a host that a tenant typed is not one of our own network; hosts in `allowed` may be.

    Raises PrivateAddress, and NoAnswer for a name that nobody knows.
    """
    if host in allowed:
        return
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise NoAnswer("connection") from error
    if not all(ipaddress.ip_address(str(address).partition("%")[0]).is_global for address in found):
        raise PrivateAddress(host)
