"""Which stations a member of staff sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from guardian.models import UserObjectPermission

from apps.accounts.departments import below
from apps.accounts.enums import Scope
from apps.backoffice import scope
from apps.common.schema import in_public
from apps.sites.models import Station

GRANT = "view_station"
"""The permission on single stations (django-guardian) that makes them a person's given stations."""


def grants() -> Any:
    """Return the grants of single stations, of everybody.

    Content types are found by name: their ids differ between tenants, and Django's memory of them knows no tenants.
    """
    return UserObjectPermission.objects.filter(
        permission__codename=GRANT,
        content_type__app_label="sites",
        content_type__model="station",
        permission__content_type__app_label="sites",
    )


Reach = Callable[[Any], frozenset[int]]
_reaches: dict[str, Reach] = {}


def reach_by(scope_value: Scope, function: Reach) -> None:
    """Set who knows which stations people with this scope see: an app of a higher layer, for scopes of its own."""
    _reaches[scope_value] = function


def stations_of(user: Any) -> frozenset[int] | None:
    """Return the ids of the stations that a person sees, None for all."""
    reach = getattr(user, "scope", None)
    if reach == Scope.ALL or in_public():
        return None
    if reach == Scope.STATIONS:
        return frozenset(
            int(key) for key in grants().filter(user_id=user.pk).values_list("object_pk", flat=True)
        )
    if reach in _reaches:
        return _reaches[reach](user)
    stations = Station.objects.order_by()
    if reach == Scope.DEPARTMENT:
        stations = stations.filter(below(user.department_id, "department"))
    elif reach == Scope.SELF:
        stations = stations.filter(keeper_id=user.pk)
    else:  # nobody that we know
        stations = stations.none()
    return frozenset(stations.values_list("pk", flat=True))


scope.stations_by(stations_of)
scope.by_station(Station, "pk")
