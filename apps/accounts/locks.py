"""Failures of staff, counted in Redis (apps.common.limits): they lock a name, an address or a second factor.

A name is counted whether anybody has it or not, so a lock tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.http import HttpRequest

from apps.accounts import policy
from apps.accounts.errors import Locked
from apps.accounts.models import User
from apps.backoffice.people import client_address
from apps.common import limits
from apps.common.limits import Window
from apps.common.time import now

HOUR = 3600


def by_name(name: str) -> Window:
    """Failures of a user name or phone."""
    return Window("staff-name", name.strip().lower()[:150], HOUR, policy.current().failures)


def by_address(request: HttpRequest) -> Window:
    """Failures from an IP address."""
    return Window("staff-address", client_address(request) or "-", HOUR, policy.current().failures)


def second_factor(user: User) -> Window:
    """Wrong second factors of a person."""
    return Window("staff-second", str(user.pk), HOUR, policy.current().failures)


@contextmanager
def trying(*guards: Window) -> Iterator[None]:
    """Let one try begin, which counts until it is over as if it failed. Raises Locked.

    Of guesses at the same instant no more are looked at than may fail.
    """
    with limits.trying(guards, at=now()) as wait:
        if wait:
            raise Locked(minutes=minutes(wait))
        yield


def wait_s(*guards: Window) -> int:
    """Return for how many seconds more any of these is locked, 0 if none is."""
    at = now()
    return max(limits.locked_for_s(guard, at=at) for guard in guards)


def are_many(*guards: Window) -> bool:
    """Return whether any of these has failed so often that a person has to show that it is one."""
    most, at = policy.current().puzzle_failures, now()
    return most > 0 and any(limits.count(guard, at=at) >= most for guard in guards)


def is_new(*guards: Window) -> bool:
    """Return whether somebody at these locked doors was not noted within the last minute: no flood fills the log."""
    notes = [Window(f"{guard.name}-noted", guard.subject, 60, 1) for guard in guards]
    return limits.take(notes, at=now()) is None


def failed(*guards: Window) -> None:
    """Count one failure; the one that fills the window locks."""
    at, lock_s = now(), policy.current().lock_minutes * 60
    for guard in guards:
        limits.fail(guard, at=at, lock_s=lock_s)


def clear(*guards: Window) -> None:
    """Forget failures and locks."""
    for guard in guards:
        limits.clear(guard)


def of(user: User) -> list[Window]:
    """Return what can be locked of a person."""
    names = [user.username, user.phone] if user.phone else [user.username]
    return [*map(by_name, names), second_factor(user)]


def minutes(seconds: int) -> int:
    """Return a wait in minutes, rounded up."""
    return -(-seconds // 60)
