"""Signing in, from the first factor to the open session.

Nobody is signed in before everything is done: a sign-in under way is a note in an otherwise anonymous session (who,
by what, since when), good for ten minutes. What is still missing is worked out anew at every step: a second factor,
setting one up, a new password. Only `finish` opens the session, under a new key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.contrib.auth import authenticate, login
from django.http import HttpRequest

from apps.accounts import factors, locks, passwords, policy, puzzle, sessions
from apps.accounts.enums import Method, Outcome, SecondFactorRule
from apps.accounts.errors import CodeWrong, Locked, PuzzleWrong, SignInExpired, WrongPassword
from apps.accounts.models import LoginIdentity, SignInRecord, User
from apps.backoffice.people import client_address
from apps.common.errors import DomainError
from apps.common.phones import normalize_phone
from apps.common.time import now
from apps.notifications import codes
from apps.notifications.errors import MessageNotSent

log = structlog.get_logger(__name__)

BACKEND = "django.contrib.auth.backends.ModelBackend"
PENDING = "sign_in"
PENDING_S = 600
SECOND_AT = "second_factor_at"
BY_PHONE = "staff-sign-in"


@dataclass(frozen=True)
class Pending:
    """A sign-in under way."""

    user: User
    method: str
    next: str
    second_done: bool


def note(
    request: HttpRequest | None, outcome: str, *, method: str, user: User | None = None, name: str = ""
) -> None:
    """Write a line of the sign-in log."""
    SignInRecord.objects.create(
        user=user,
        name=(name or (user.username if user else ""))[:150].replace("\0", ""),
        method=method,
        outcome=outcome,
        address=client_address(request),
        agent=sessions.agent_of(request),
    )


# --- The first factor ---


def asks_puzzle(request: HttpRequest, username: str) -> bool:
    """Return whether a picture has to be read before this name's password is looked at here."""
    return locks.are_many(locks.by_name(username), locks.by_address(request))


def check_password(
    request: HttpRequest, *, username: str, password: str, puzzle_token: str = "", answer: str = ""
) -> User:
    """Return whose name and password these are. Raises Locked, PuzzleWrong, WrongPassword.

    After some failures the answer to a puzzle is needed; without it nothing is looked at, and no failure counted: a
    program that cannot read locks nobody out.
    """
    guards = (locks.by_name(username), locks.by_address(request))
    with _trying(request, Method.PASSWORD, username, *guards):
        if locks.are_many(*guards) and not puzzle.is_solved(token=puzzle_token, answer=answer):
            raise PuzzleWrong
        user = authenticate(request, username=username, password=password)
        if isinstance(user, User) and user.is_staff:
            locks.clear(guards[0])
            return user
        locks.failed(*guards)
    known = User.objects.filter(username=username).first()
    outcome = Outcome.UNKNOWN_NAME
    if known is not None:
        works = known.is_active and known.is_staff
        outcome = Outcome.WRONG_PASSWORD if works else Outcome.DISABLED
    note(request, outcome, method=Method.PASSWORD, user=known, name=username)
    raise WrongPassword


def send_phone_code(request: HttpRequest, *, phone: str) -> str:
    """Send a sign-in code to a member of staff, and return the phone in its one form. For a number that nobody has
    nothing is sent, and the answer is the same. Raises PhoneInvalid, TooManyCodes."""
    number = normalize_phone(phone)
    try:
        codes.send(
            purpose=BY_PHONE,
            phone=number,
            address=client_address(request) or "-",
            really=_person_of(number) is not None,
        )
    except MessageNotSent:
        log.error("staff_code_not_sent", phone=number)  # to say so would tell that the number is known
    return number


def check_phone_code(request: HttpRequest, *, phone: str, code: str) -> User:
    """Return whose phone this is if the code is right. Raises PhoneInvalid, Locked, CodeWrong."""
    number = normalize_phone(phone)
    guards = (locks.by_name(number), locks.by_address(request))
    with _trying(request, Method.PHONE, number, *guards):
        right = codes.is_right(purpose=BY_PHONE, phone=number, code=code.strip())
        user = _person_of(number)
        if right and user is not None:
            locks.clear(guards[0])
            return user
        locks.failed(*guards)
    note(request, Outcome.WRONG_CODE, method=Method.PHONE, user=user, name=number)
    raise CodeWrong


def person_of_identity(request: HttpRequest, *, provider: str, app_id: str, subject: str) -> User | None:
    """Return whose account at a provider this is, None (noted in the log) for nobody who may sign in."""
    found = LoginIdentity.objects.select_related("user").filter(
        provider=provider, app_id=app_id, subject=subject
    )
    identity = found.first()
    if identity is None:
        note(request, Outcome.UNBOUND, method=provider)
        return None
    if not (identity.user.is_active and identity.user.is_staff):
        note(request, Outcome.DISABLED, method=provider, user=identity.user)
        return None
    return identity.user


def _person_of(phone: str) -> User | None:
    return User.objects.filter(phone=phone, is_active=True, is_staff=True).first()


@contextmanager
def _trying(request: HttpRequest, method: str, name: str, *guards: Any) -> Iterator[None]:
    """Let a try begin. Raises Locked, which is noted."""
    with ExitStack() as held:
        try:
            held.enter_context(locks.trying(*guards))
        except Locked:
            if locks.is_new(*guards):
                note(request, Outcome.LOCKED, method=method, name=name)
            raise
        yield


# --- What is still missing ---


def begin(request: HttpRequest, user: User, *, method: str, then: str) -> None:
    """Note that the first factor is given. The session gets a new key: who planted the old one has nothing."""
    request.session.cycle_key()
    request.session[PENDING] = {
        "user": user.pk,
        "hash": user.get_session_auth_hash(),
        "method": method,
        "next": then,
        "at": int(now().timestamp()),
        "second": False,
    }


def pending(request: HttpRequest) -> Pending:
    """Return the sign-in under way. Raises SignInExpired: none, too old, or the account changed meanwhile."""
    kept = request.session.get(PENDING)
    if not kept or int(now().timestamp()) - kept["at"] > PENDING_S:
        raise SignInExpired
    user = User.objects.filter(pk=kept["user"], is_active=True, is_staff=True).first()
    if user is None or user.get_session_auth_hash() != kept["hash"]:
        raise SignInExpired
    return Pending(user, kept["method"], kept["next"], kept["second"])


def next_step(request: HttpRequest) -> str:
    """Return what is missing: "second", "set-up", "password" or nothing (""). Raises SignInExpired."""
    found = pending(request)
    if not found.second_done and needs_second(found.user):
        return "second" if factors.ways(found.user, found.method) else "set-up"
    if found.user.has_usable_password() and (
        found.user.must_change_password or passwords.is_too_old(found.user)
    ):
        return "password"
    return ""


def needs_second(user: User) -> bool:
    """Return whether a person is asked for a second factor when signing in."""
    return factors.has_app(user) or policy.current().second_factor == SecondFactorRule.ALL


def give_second(request: HttpRequest, *, method: str, code: str) -> None:
    """Take the second factor of the sign-in under way. Raises NoSecondFactor, Locked, CodeWrong."""
    found = pending(request)
    _check_second(request, found.user, method, code, first=found.method)
    _mark_second(request)


def give_set_up(request: HttpRequest, *, secret: str, code: str) -> list[str]:
    """Set the second factor up during the sign-in; return the recovery codes. Raises Locked, CodeWrong."""
    found = pending(request)
    if factors.has_app(found.user):
        raise SignInExpired  # who has one gives it
    made = factors.set_up(found.user, secret=secret, code=code)
    _mark_second(request)
    return made


def give_password(request: HttpRequest, *, password: str) -> None:
    """Choose the new password that the sign-in waits for; it is valid already."""
    user = pending(request).user
    user.set_password(password)
    user.must_change_password = False
    user.save(update_fields=["password", "must_change_password"])
    kept = request.session[PENDING]
    request.session[PENDING] = {**kept, "hash": user.get_session_auth_hash()}


def finish(request: HttpRequest) -> Pending:
    """Open the session. Raises SignInExpired while something is missing."""
    found = pending(request)
    if next_step(request):
        raise SignInExpired
    del request.session[PENDING]
    request.sign_in_method = found.method  # type: ignore[attr-defined]
    login(request, found.user, backend=BACKEND)
    if found.second_done:
        confirmed(request)
    return found


def _mark_second(request: HttpRequest) -> None:
    request.session[PENDING] = {**request.session[PENDING], "second": True}


# --- Confirming it again, in an open session ---


def first_factor(request: HttpRequest) -> str:
    """Return by what this session was opened."""
    return str(request.session.get(sessions.FIRST, Method.OTHER))


def is_confirmed(request: HttpRequest) -> bool:
    """Return whether a second factor was given lately enough, by the policy."""
    at = int(request.session.get(SECOND_AT, 0))
    return at + policy.current().second_factor_minutes * 60 > now().timestamp()


def confirmed(request: HttpRequest) -> None:
    """Note that a second factor was given just now."""
    request.session[SECOND_AT] = int(now().timestamp())


def confirm(request: HttpRequest, *, method: str, code: str) -> None:
    """Take the second factor of an open session. Raises NoSecondFactor, Locked, CodeWrong."""
    user: Any = request.user
    _check_second(request, user, method, code, first=first_factor(request))
    confirmed(request)
    note(request, Outcome.CONFIRMED, method=method, user=user)


def _check_second(request: HttpRequest, user: User, method: str, code: str, *, first: str) -> None:
    try:
        factors.check(user, method=method, code=code, allowed=factors.ways(user, first))
    except DomainError as error:
        outcome = Outcome.LOCKED if isinstance(error, Locked) else Outcome.WRONG_CODE
        if outcome == Outcome.LOCKED and not locks.is_new(locks.second_factor(user)):
            raise
        note(request, outcome, method=method if method in Method.values else Method.OTHER, user=user)
        raise
