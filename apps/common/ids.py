"""Numbers that leave the house are strings, made here."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from apps.common.time import SHANGHAI, now


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: staff, customer, pile or system; kept as text so that no layer needs another's table."""

    kind: str
    id: str = ""
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.kind}:{self.id}".rstrip(":")


SYSTEM = Actor("system", name="system")
MOST_DIGITS = 18
"""Digits that fit a bigint whatever they are."""


def whole_number(text: object) -> int | None:
    """Return the number that a part of an address, a form or a header names (of a row, a length); None for what is none
    of up to MOST_DIGITS digits.

    Not by `str.isdigit`: "²" is a digit to it, and none to `int`; and `int` refuses texts of thousands of digits.
    """
    words = str(text)
    fits = words.isascii() and words.isdigit() and len(words) <= MOST_DIGITS
    return int(words) if fits else None


def dated_number(prefix: str, *, at: datetime | None = None) -> str:
    """Return a unique readable number: prefix, yyMMddHHmmss in Shanghai time, 6 random digits."""
    moment = (at or now()).astimezone(SHANGHAI)
    return f"{prefix}{moment:%y%m%d%H%M%S}{secrets.randbelow(10**6):06d}"


def transaction_number(pile_code: str, connector_no: str, *, at: datetime | None = None) -> str:
    """Return a transaction number of 32 digits: pile 14, connector 2, yyMMddHHmmss, counter 4 (YKC V1.6, 3.5).

    The counter is random, so uniqueness is the database's to enforce; callers retry on a clash.
    """
    moment = (at or now()).astimezone(SHANGHAI)
    return f"{pile_code}{connector_no}{moment:%y%m%d%H%M%S}{secrets.randbelow(10**4):04d}"
