"""Whose a station is, and was; which contracts end."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db.models import Exists, Max, OuterRef, Q, QuerySet, Subquery

from apps.accounts.enums import Scope
from apps.common.time import business_day, now
from apps.franchisees.enums import FranchiseeState
from apps.franchisees.models import Franchisee, FranchiseeAccount, FranchiseeContract, FranchiseeStation

ENDING_DAYS = 30
"""So many days before its last one a contract asks for a person."""


def held_on(day: Any) -> Q:
    """Return the condition that a franchisee has a station on a day (a date, or an expression of one)."""
    return Q(starts_on__lte=day) & (Q(ends_on=None) | Q(ends_on__gte=day))


def owner(station: str = "station_id", day: str = "day") -> Subquery:
    """Return whose a station was on a day, as an expression over a query's columns: the franchisee's id, or null."""
    rows = FranchiseeStation.objects.filter(held_on(OuterRef(day)), station=OuterRef(station))
    return Subquery(rows.order_by().values("franchisee_id")[:1])


def owned_by(franchisee_id: int, station: str = "station_id", day: str = "day") -> Exists:
    """Return whether the station of a row was a franchisee's on the row's day, as a condition of a query."""
    rows = FranchiseeStation.objects.filter(
        held_on(OuterRef(day)), station=OuterRef(station), franchisee=franchisee_id
    )
    return Exists(rows.order_by())


def stations_today(franchisee_id: int) -> dict[int, date]:
    """Return the stations that a franchisee has today, with the day since which they are its own."""
    rows = FranchiseeStation.objects.filter(held_on(business_day(now())), franchisee=franchisee_id)
    return dict(rows.order_by().values_list("station_id", "starts_on"))


def franchisee_of(user: Any) -> int | None:
    """Return whose account it is: the franchisee's id, None for our own people, 0 for an account of nobody."""
    if getattr(user, "scope", None) != Scope.FRANCHISEE or user.is_superuser:
        return None
    found = FranchiseeAccount.objects.filter(user_id=user.pk).values_list("franchisee_id", flat=True).first()
    return found or 0


def holdings_of(user: Any) -> dict[int, date]:
    """Return what an account of a franchisee sees: its stations of today and since when. One query a request."""
    if not hasattr(user, "franchisee_holdings"):
        rows = FranchiseeStation.objects.filter(
            held_on(business_day(now())),
            franchisee__accounts__user_id=user.pk,
            franchisee__state=FranchiseeState.ACTIVE,
        )
        user.franchisee_holdings = dict(rows.order_by().values_list("station_id", "starts_on"))
    return user.franchisee_holdings


def months_of_change(first: date, last: date) -> set[date]:
    """Return the months (their first day) between two days in whose midst some station came or went."""
    rows = FranchiseeStation.objects.filter(starts_on__lte=last).filter(
        Q(ends_on=None) | Q(ends_on__gte=first)
    )
    found = set()
    for starts_on, ends_on in rows.order_by().values_list("starts_on", "ends_on"):
        if starts_on.day != 1:
            found.add(starts_on.replace(day=1))
        if ends_on is not None and ends_on.day != calendar.monthrange(ends_on.year, ends_on.month)[1]:
            found.add(ends_on.replace(day=1))
    return found


def held_through(first: date, last: date) -> dict[int, frozenset[int] | None]:
    """Return for each franchisee the stations that it had on every one of these days; None where one came or went."""
    rows = FranchiseeStation.objects.filter(starts_on__lte=last).filter(
        Q(ends_on=None) | Q(ends_on__gte=first)
    )
    found: dict[int, frozenset[int] | None] = {}
    spans: dict[tuple[int, int], list[tuple[date, date]]] = {}
    for franchisee, station, starts_on, ends_on in rows.order_by("starts_on").values_list(
        "franchisee_id", "station_id", "starts_on", "ends_on"
    ):
        spans.setdefault((franchisee, station), []).append(
            (max(starts_on, first), min(ends_on or last, last))
        )
    for (franchisee, station), days in spans.items():
        so_far = found.get(franchisee, frozenset())
        whole = _is_whole(days, first, last)
        found[franchisee] = so_far | {station} if whole and so_far is not None else None
    return found


def _is_whole(spans: Iterable[tuple[date, date]], first: date, last: date) -> bool:
    """Whether spans, the earliest first, leave no day out."""
    upto = first
    for begin, end in spans:
        if begin > upto:
            return False
        upto = end + timedelta(days=1)
    return upto > last


def with_last_day(rows: QuerySet[Franchisee]) -> QuerySet[Any]:
    """Say of each franchisee until when its contracts run."""
    return rows.annotate(contract_until=Max("contracts__ends_on"))


def ending(rows: QuerySet[Franchisee], *, today: date | None = None) -> QuerySet[Franchisee]:
    """Return those we work with whose last contract ends within ENDING_DAYS, or is over."""
    day = today or business_day(now())
    return with_last_day(rows).filter(
        state=FranchiseeState.ACTIVE, contract_until__lte=day + timedelta(days=ENDING_DAYS)
    )


def last_contract_tone(franchisee: Franchisee, last: date) -> str:
    """Return how the last day of the contracts looks: over, near, or far."""
    today = business_day(now())
    if franchisee.state == FranchiseeState.ENDED:
        return "neutral"
    if last < today:
        return "danger"
    return "warning" if last <= today + timedelta(days=ENDING_DAYS) else "success"


def contract_on(franchisee_id: int, day: date) -> FranchiseeContract | None:
    """Return the contract of a franchisee that is in force on a day."""
    return FranchiseeContract.objects.filter(
        franchisee=franchisee_id, starts_on__lte=day, ends_on__gte=day
    ).first()
