"""Row scope: which rows a member of staff sees, beside what permissions let them do.

People see all stations or some. Each app says here how its rows belong to a station; `narrow` then leaves of a
queryset what the person may see. Rows of a model that nobody declared are seen by nobody with a scope: a new page
is closed until somebody has thought about it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

M = TypeVar("M", bound=Model)
Rule = Callable[[Any, frozenset[int]], Q]
"""Condition on a model's rows, from the person and the ids of the stations that they see."""

NOTHING = Q(pk__in=())
_rules: dict[type[Model], Rule | None] = {}
_stations_of: list[Callable[[Any], frozenset[int] | None]] = []


def stations_by(function: Callable[[Any], frozenset[int] | None]) -> None:
    """Set who knows which stations a person sees: their ids, or None for all."""
    _stations_of[:] = [function]


def by_station(model: type[Model], *paths: str) -> None:
    """Rows of `model` belong to the station at any of `paths`, such as "station" or "pile__station"."""

    def rule(_person: Any, stations: frozenset[int]) -> Q:
        return reduce(or_, (Q(**{f"{path}__in": stations}) for path in paths))

    _rules[model] = rule


def by_rule(model: type[Model], rule: Rule) -> None:
    """Rows of `model` are seen where `rule` says so."""
    _rules[model] = rule


def by_permission(*models: type[Model]) -> None:
    """Rows of these models belong to no station: who has the permission sees them all."""
    for model in models:
        _rules[model] = None


def is_declared(model: type[Model]) -> bool:
    """Return whether somebody said how the rows of `model` are seen."""
    return model in _rules


def stations_of(user: Any) -> frozenset[int] | None:
    """Return the ids of the stations that a person sees, None for all. One or two queries, once for each request."""
    if getattr(user, "is_superuser", False) or not _stations_of:
        return None
    if not hasattr(user, "scoped_stations"):
        user.scoped_stations = _stations_of[0](user)
    return user.scoped_stations  # type: ignore[no-any-return]


def is_limited(user: Any) -> bool:
    """Return whether a person sees less than all stations."""
    return stations_of(user) is not None


def is_outsider(user: Any) -> bool:
    """Return whether a person is of another company: drivers are masked for them, and our money is not shown."""
    return bool(getattr(user, "is_outsider", False))


def sees_station(user: Any, station_id: int | None) -> bool:
    """Return whether a person sees a station, and what belongs to it."""
    stations = stations_of(user)
    return stations is None or station_id in stations


def limited_models() -> list[type[Model]]:
    """Return the models of which a scope leaves rows out."""
    return [model for model, rule in _rules.items() if rule]


def is_of_stations(model: type[Model]) -> bool:
    """Return whether rows of `model` belong to stations (or people), so that a scope leaves some out."""
    return _rules.get(model) is not None


def at_stations(model: type[Model], user: Any, stations: Collection[int]) -> Q:
    """Return which rows of a model of limited ones are seen by a person who looks at these stations only."""
    rule = _rules[model]
    return rule(user, frozenset(stations)) if rule else Q()


def condition(model: type[Model], user: Any) -> Q | None:
    """Return the condition under which a person sees rows of `model`, None for always."""
    stations = stations_of(user)
    if stations is None:
        return None
    if model not in _rules:
        return NOTHING
    rule = _rules[model]
    return rule(user, stations) if rule else None


def narrow(rows: QuerySet[M], user: Any) -> QuerySet[M]:
    """Return those of `rows` that the person may see."""
    seen = condition(rows.model, user)
    return rows if seen is None else rows.filter(seen)
