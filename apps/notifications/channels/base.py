"""What every way out has in common: how a message may fail."""

from __future__ import annotations

import json
from typing import Any

from apps.common.wire import Answer, NoAnswer, Wire


class SendError(Exception):
    """A message was not sent, or nobody knows whether it was. `code` is for logs and the message's page."""

    again = False
    """Whether the same message may go through later."""

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code[:64]
        self.message = message[:300]
        super().__init__(f"{code}: {message}" if message else code)


class NotConfigured(SendError):
    """There is no account for it, or one that cannot work; `code` names the field."""


class Refused(SendError):
    """The provider definitely did not take it, and will not. `code` is the provider's own word."""


class Busy(SendError):
    """The provider did not take it now: too many at once, or it says that it is busy."""

    again = True


class Unknown(SendError):
    """It may have been sent or not: timeout, connection, http_502. Sent again, since a message that comes twice does
    less harm than an alarm that comes to nobody."""

    again = True


def call(
    wire: Wire, method: str, url: str, *, operation: str, body: bytes, headers: dict[str, str]
) -> dict[str, Any]:
    """Send and return the JSON object of the answer, whatever its status below 500 (providers refuse with a body).

    The wire is closed behind it. Raises Busy for 429, Unknown for no answer, a server's error or a body that is no
    JSON object.
    """
    try:
        with wire:
            answer = wire.send(method, url, operation=operation, body=body, headers=headers)
    except NoAnswer as error:
        raise Unknown(error.cause) from error
    if answer.status == 429:
        raise Busy("http_429")
    if answer.status >= 500:
        raise Unknown(f"http_{answer.status}")
    return _object(answer)


def _object(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Unknown("no_json") from error
    if not isinstance(found, dict):
        raise Unknown("no_json")
    return found


def national(phone: str) -> str:
    """Return an E.164 number as Chinese providers write it: 11 digits at home, country code and number abroad."""
    return phone.removeprefix("+86") if phone.startswith("+86") else phone.removeprefix("+")
