"""Where drivers are signed in. A refresh token works once; one that comes again ends its whole family."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from apps.common.prepared import Prepared
from apps.common.time import now
from apps.customers.errors import CustomerBlocked, SessionOver, SessionUnknown
from apps.customers.models import Customer, CustomerState, DriverSession, DriverSessionEnd, SignInMethod

log = structlog.get_logger(__name__)

MOST = 10
"""Devices of one driver at the same time; the one that was not used for the longest time makes room."""
KEPT = timedelta(days=183)
"""How long one can look up where somebody was signed in (Cybersecurity Law: six months)."""
SEEN_EVERY = timedelta(minutes=10)


def lifetime() -> timedelta:
    """Return how long a session lives without being used."""
    return timedelta(days=settings.DRIVER_SESSION_DAYS)


def open_session(
    *, customer: Customer, method: str = SignInMethod.SMS, agent: str = "", address: str = ""
) -> DriverSession:
    """Begin a session of a driver who has proved who they are. `address` "unknown" is none."""
    moment = now()
    with transaction.atomic():
        made = DriverSession.objects.create(
            customer=customer,
            method=method,
            agent=agent[:200],
            address=None if address in {"", "unknown"} else address,
            started_at=moment,
            seen_at=moment,
            expires_at=moment + lifetime(),
        )
        kept = of_customer(customer).order_by("-seen_at", "-id").values_list("pk", flat=True)[:MOST]
        _end(of_customer(customer).exclude(pk__in=list(kept)), DriverSessionEnd.TOO_MANY)
    return made


def of_customer(customer: Customer) -> QuerySet[DriverSession]:
    """Return a driver's sessions that live."""
    return DriverSession.objects.filter(customer=customer, ended_at=None, expires_at__gt=now())


# Every request of a driver begins with this: built by the ORM it takes three times as long as PostgreSQL needs for it.
_SESSION, _CUSTOMER = (
    [one.column for one in model._meta.concrete_fields] for model in (DriverSession, Customer)
)
_BY_NUMBER = Prepared(
    "driver_session",
    ["uuid"],
    f"""
    SELECT {", ".join([f"session.{name}" for name in _SESSION] + [f"customer.{name}" for name in _CUSTOMER])}
      FROM customers_driversession session
      JOIN customers_customer customer ON customer.id = session.customer_id
     WHERE session.number = $1
    """,  # noqa: S608 - names of our own columns
)


def _session_of(row: Sequence[Any]) -> DriverSession:
    """Make a session and its customer of a row, whose columns need no conversion."""
    found = DriverSession.from_db(connection.alias, _SESSION, row[: len(_SESSION)])
    found.customer = Customer.from_db(connection.alias, _CUSTOMER, row[len(_SESSION) :])
    return found


def of_number(number: uuid.UUID) -> DriverSession:
    """Return a living session with its customer; that it is used is written down every ten minutes at most.

    Raises SessionOver, CustomerBlocked.
    """
    rows = _BY_NUMBER.rows(number)
    found = _session_of(rows[0]) if rows else None
    moment = now()
    if found is None or not _lives(found):
        raise SessionOver
    check_state(found.customer)
    if found.seen_at < moment - SEEN_EVERY:
        DriverSession.objects.filter(pk=found.pk).update(seen_at=moment)
    return found


def of_numbers(numbers: Collection[uuid.UUID]) -> dict[uuid.UUID, DriverSession]:
    """Return {number: session} as `of_number` does, in one query; what it raises for is left out."""
    moment, living = now(), {}
    for found in DriverSession.objects.select_related("customer").filter(number__in=numbers):
        with suppress(SessionOver, CustomerBlocked):
            check_state(found.customer)
            if _lives(found):
                living[found.number] = found
    unseen = [found.pk for found in living.values() if found.seen_at < moment - SEEN_EVERY]
    if unseen:
        DriverSession.objects.filter(pk__in=unseen).update(seen_at=moment)
    return living


def refresh(*, number: uuid.UUID, generation: int, request_key: str) -> DriverSession:
    """Make the next refresh token of a session the newest, and lengthen its life; returns the session.

    The same request again (by its key) is answered again. Any other token that is not the newest was stolen, or
    its owner's was: the session ends, for both. Raises SessionOver, CustomerBlocked.
    """
    with transaction.atomic():
        found = (
            DriverSession.objects.select_for_update(of=("self",))
            .select_related("customer")
            .filter(number=number)
            .first()
        )
        if found is None or not _lives(found):
            raise SessionOver
        check_state(found.customer)
        if generation == found.generation:
            moment = now()
            found.generation += 1
            found.rotation_key = request_key
            found.seen_at = moment
            found.expires_at = moment + lifetime()
            found.save(update_fields=["generation", "rotation_key", "seen_at", "expires_at"])
            return found
        if generation == found.generation - 1 and request_key == found.rotation_key:
            return found
        _end(DriverSession.objects.filter(pk=found.pk), DriverSessionEnd.REUSED)
    log.warning("refresh_token_reused", customer_id=found.customer_id, session=str(number))
    raise SessionOver


def end(session: DriverSession) -> None:
    """Sign out where one is signed in."""
    _end(DriverSession.objects.filter(pk=session.pk), DriverSessionEnd.SIGNED_OUT)


def end_device(*, customer: Customer, number: uuid.UUID) -> None:
    """Sign a driver's device out from another one; done twice it is still done. Raises SessionUnknown."""
    found = DriverSession.objects.filter(customer=customer, number=number)
    if not found.exists():
        raise SessionUnknown
    _end(found, DriverSessionEnd.FROM_ELSEWHERE)


def end_others(
    *, customer: Customer, but: DriverSession | None, because: str = DriverSessionEnd.FROM_ELSEWHERE
) -> int:
    """Sign a driver out everywhere, `but` for one session; returns how many ended."""
    others = DriverSession.objects.filter(customer=customer)
    return _end(others.exclude(pk=but.pk) if but else others, because)


def purge() -> int:
    """Forget sessions that ended or ran out KEPT ago; returns how many."""
    limit = now() - KEPT
    gone, _each = DriverSession.objects.filter(Q(ended_at__lt=limit) | Q(expires_at__lt=limit)).delete()
    return gone


def check_state(customer: Customer) -> None:
    """Raise CustomerBlocked, or SessionOver for an account that was deleted."""
    if customer.state == CustomerState.BLOCKED:
        raise CustomerBlocked
    if customer.state == CustomerState.DELETED:
        raise SessionOver


def _lives(session: DriverSession) -> bool:
    return session.ended_at is None and session.expires_at > now()


def _end(rows: QuerySet[DriverSession], because: str) -> int:
    return rows.filter(ended_at=None).update(ended_at=now(), ended_because=because)
