"""To which station piles, their guns, commands and alarms belong."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q

from apps.backoffice import scope
from apps.piles.models import (
    Alarm,
    AlarmRule,
    CommandBatch,
    Connector,
    NewDevice,
    NotificationRule,
    OfferedPile,
    OfflineCard,
    Pile,
    PileCommand,
    UpdateServer,
)


def of_pile_codes(stations: frozenset[int]) -> Q:
    """Return the condition that `pile_code` is of a pile at these stations."""
    return Q(pile_code__in=Pile.objects.filter(station__in=stations).values("pile_code"))


def _alarms(_person: Any, stations: frozenset[int]) -> Q:
    return of_pile_codes(stations)


def _batches(_person: Any, stations: frozenset[int]) -> Q:
    """A bulk command shows all its piles: it is seen by who sees each of them."""
    commands = PileCommand.objects.filter(batch=OuterRef("pk"))
    return Q(Exists(commands)) & ~Q(Exists(commands.exclude(pile__station__in=stations)))


def _rules(model: type[AlarmRule | NotificationRule]) -> scope.Rule:
    """Rules of stations that one sees, and of no others; those for all stations are of who sees all."""

    def rule(_person: Any, stations: frozenset[int]) -> Q:
        links = model.stations.through.objects.filter(**{f"{model._meta.model_name}_id": OuterRef("pk")})
        return Q(Exists(links)) & ~Q(Exists(links.exclude(station__in=stations)))

    return rule


def _new_devices(_person: Any, _stations: frozenset[int]) -> Q:
    """They have no station yet."""
    return scope.NOTHING


scope.by_station(Pile, "station")
scope.by_station(OfferedPile, "station")
scope.by_station(Connector, "pile__station")
scope.by_station(PileCommand, "pile__station")
scope.by_station(OfflineCard, "pile__station")
scope.by_rule(Alarm, _alarms)
scope.by_rule(AlarmRule, _rules(AlarmRule))
scope.by_rule(NotificationRule, _rules(NotificationRule))
scope.by_rule(CommandBatch, _batches)
scope.by_rule(NewDevice, _new_devices)
scope.by_permission(UpdateServer)
