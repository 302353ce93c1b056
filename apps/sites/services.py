"""Every write to stations that is more than their master data."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import Permission
from django.db import transaction
from guardian.models import UserObjectPermission

from apps.accounts.models import User
from apps.sites.enums import StationState
from apps.sites.models import Station
from apps.sites.scopes import GRANT, grants
from apps.tenancy import features


def check_room() -> None:
    """Raise LimitReached when the tenant's package allows no further station. Inside the transaction that adds one."""
    features.check_room("stations", used=Station.objects.count)


def set_state(*, station: Station, state: StationState) -> str:
    """Open or close a station, or put it under maintenance. Returns the state before.

    Running charges go on; whether a new one may start is asked at its start.
    """
    before = station.state
    station.state = state
    station.save(update_fields=["state", "updated_at"])
    return before


@transaction.atomic
def give_stations(*, user: User, stations: Iterable[Station]) -> None:
    """Make these the given stations of a person; what was given before and is not named is taken back."""
    User.objects.select_for_update().get(pk=user.pk)
    wanted = {str(station.pk) for station in stations}
    held = grants().filter(user=user)
    held.exclude(object_pk__in=wanted).delete()
    there = set(grants().filter(user=user).values_list("object_pk", flat=True))
    permission = Permission.objects.get(
        codename=GRANT, content_type__app_label="sites", content_type__model="station"
    )
    UserObjectPermission.objects.bulk_create(
        UserObjectPermission(
            user=user, permission=permission, content_type_id=permission.content_type_id, object_pk=key
        )
        for key in sorted(wanted - there)
    )
