"""What staff do with alarms: acknowledge, assign, note, close."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.backoffice import scope
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles.alarms.models import Alarm, AlarmEvent
from apps.piles.enums import AlarmDeed
from apps.piles.errors import AlarmClosed, NotOfThisStation
from apps.piles.models import Pile


def acknowledge(*, alarms: Iterable[Alarm], actor: Actor, note: str = "") -> list[Alarm]:
    """Say that somebody looks at them. Those that are acknowledged or closed stay as they are. Returns the others."""
    with transaction.atomic():
        ids = sorted(alarm.pk for alarm in alarms)
        found = list(
            Alarm.objects.select_for_update()
            .filter(pk__in=ids, acknowledged_at=None, closed_at=None)
            .order_by("pk")
        )
        Alarm.objects.filter(pk__in=[alarm.pk for alarm in found]).update(acknowledged_at=now())
        AlarmEvent.objects.bulk_create(
            _event(alarm, AlarmDeed.ACKNOWLEDGED, actor, note=note) for alarm in found
        )
    return found


def assign(*, alarm: Alarm, person: User, actor: Actor, note: str = "") -> None:
    """Give an alarm to somebody, who thereby need not acknowledge it. Raises AlarmClosed, NotOfThisStation."""
    with transaction.atomic():
        found = _locked(alarm)
        station = Pile.objects.filter(pile_code=found.pile_code).values_list("station_id", flat=True).first()
        if not scope.sees_station(person, station):
            raise NotOfThisStation(person=str(person))
        found.assigned_to = person
        found.acknowledged_at = found.acknowledged_at or now()
        found.save(update_fields=["assigned_to", "acknowledged_at"])
        _event(found, AlarmDeed.ASSIGNED, actor, person=str(person)[:100], note=note).save()


def add_note(*, alarm: Alarm, actor: Actor, note: str) -> None:
    """Write something down, also about a closed alarm."""
    _event(alarm, AlarmDeed.NOTED, actor, note=note).save()


def close(*, alarm: Alarm, actor: Actor, note: str) -> None:
    """Close an alarm by hand. If its cause is still there it is raised again. Raises AlarmClosed."""
    with transaction.atomic():
        found = _locked(alarm)
        found.closed_at, found.closed_by = now(), str(actor)[:100]
        found.save(update_fields=["closed_at", "closed_by"])
        _event(found, AlarmDeed.CLOSED, actor, note=note).save()


def _locked(alarm: Alarm) -> Alarm:
    found = Alarm.objects.select_for_update().filter(pk=alarm.pk, closed_at=None).first()
    if found is None:
        raise AlarmClosed
    return found


def _event(alarm: Alarm, deed: AlarmDeed, actor: Actor, **words: Any) -> AlarmEvent:
    words["note"] = words.get("note", "")[:500]
    return AlarmEvent(
        alarm=alarm,
        at=now(),
        deed=deed,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=str(actor)[:100],
        **words,
    )
