"""What waits for a person at piles."""

from __future__ import annotations

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from apps.backoffice import todo
from apps.backoffice.todo import Place, Todo
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Alarm, Connector, NewDevice


def _guns(place: Place) -> Q:
    return Q(pk=place.gun) if place.gun else Q(pile=place.pile)


def _alarms(place: Place) -> Q:
    found = Q(pile_code=place.pile_code)
    return found & Q(connector_no__in=["", place.connector_no]) if place.gun else found


todo.add(
    Todo(
        _("Faulty guns"),
        "piles.view_connector",
        "admin:piles_connector_changelist",
        lambda _request: Connector.objects.filter(
            status__state=ConnectorState.FAULT, pile__state=PileState.IN_SERVICE
        ),
        "status__state__exact=fault",
        of_station="pile__station",
        at=_guns,
    ),
    Todo(
        _("Open alarms"),
        "piles.view_alarm",
        "admin:piles_alarm_changelist",
        lambda _request: Alarm.objects.filter(closed_at=None, is_muted=False),
        "open=1",
        at=_alarms,
    ),
    Todo(
        _("New devices to approve"),
        "piles.view_newdevice",
        "admin:piles_newdevice_changelist",
        lambda _request: NewDevice.objects.all(),
    ),
)
