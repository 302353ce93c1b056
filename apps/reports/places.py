"""The tree of stations (region → station → pile → gun), and the place in it that somebody looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.template.defaultfilters import urlencode
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from apps.backoffice import scope
from apps.backoffice.todo import EVERYWHERE, Place
from apps.common.ids import whole_number
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Connector, ConnectorStatus, Pile
from apps.sites.models import Station

LEVELS = ("province", "city", "district")
FOUND_AT_MOST = 30
"""Stations, and piles, that a search in the tree shows."""

States = dict[ConnectorState, int]


class NoSuchPlace(Exception):
    """What was asked for is not there, or not for this person."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A place with the key that addresses ask for it by ("station:3"), its name, and the station it is in."""

    key: str = ""
    title: str = ""
    place: Place = EVERYWHERE
    station: int | None = None


@dataclass(slots=True)
class Node:
    """A region or station of the tree, with its guns by state."""

    key: str
    title: str
    states: States
    station: int | None = None
    children: list[Node] = field(default_factory=list)
    is_chosen: bool = False
    is_open: bool = False

    @property
    def guns(self) -> int:
        """How many there are in service."""
        return sum(self.states.values())

    @property
    def charging(self) -> int:
        """How many of them charge."""
        return self.states.get(ConnectorState.CHARGING, 0)

    @property
    def tone(self) -> str:
        """The colour of the worst."""
        return tone_of(self.states)

    @property
    def is_folded(self) -> bool:
        """Whether it is a station of which nothing but its line shows: nearly all are."""
        return self.station is not None and not self.is_open

    @property
    def line(self) -> SafeString:
        """The node's own line. Not by a template: of hundreds of stations that took half the time of the overview."""
        station = "" if self.station is None else str(self.station)
        return format_html(
            '<div class="bo-node"><button type="button" class="bo-twist" aria-expanded="{}" aria-label="{}"{}></button>'
            ' <a href="?at={}"{}>{}</a> <span class="bo-node-guns"{} title="{}"><i class="bo-dot bo-{}"></i>'
            "<span>{}/{}</span></span></div>",
            "true" if self.is_open else "false",
            _("Open or close %(title)s") % {"title": self.title},
            format_html(' data-station="{}"', station) if station else "",
            urlencode(self.key),
            mark_safe(' aria-current="true"') if self.is_chosen else "",
            self.title,
            format_html(' data-guns="{}"', station) if station else "",
            _("charging / guns"),
            self.tone,
            self.charging,
            self.guns,
        )


@dataclass(frozen=True, slots=True)
class Gun:
    """A gun of the tree."""

    pk: int
    number: str
    code: str
    state: str
    tone: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A pile of the tree with its guns."""

    pile: Pile
    guns: list[Gun]


def tone_of(states: Mapping[ConnectorState, int]) -> str:
    """Return the tone of the worst state: a fault, then charging, then something free, then nothing online."""
    if states.get(ConnectorState.FAULT):
        return "danger"
    if states.get(ConnectorState.CHARGING):
        return "info"
    online = sum(count for state, count in states.items() if state != ConnectorState.OFFLINE)
    return "success" if online else "neutral"


def choose(key: str, user: Any) -> Chosen:
    """Return the place of a key: "" (everywhere), "region:…|…|…", "station:3", "pile:5" or "gun:7".

    Raises NoSuchPlace for what is not there or what the person does not see. At most one query.
    """
    kind, _colon, value = key.partition(":")
    if not key:
        return Chosen()
    if kind == "region":
        return _region(key, value, user)
    number = whole_number(value)
    if number is None:
        raise NoSuchPlace
    if kind == "station":
        station = scope.narrow(Station.objects.filter(pk=number), user).first()
        if station is None:
            raise NoSuchPlace
        return Chosen(key, station.name, Place(frozenset({number})), number)
    if kind == "pile":
        pile = scope.narrow(_piles().filter(pk=number), user).first()
        if pile is None:
            raise NoSuchPlace
        place = Place(frozenset({pile.station_id}), pile.pk, pile.pile_code)
        return Chosen(key, str(pile), place, pile.station_id)
    if kind == "gun":
        guns = Connector.objects.filter(pk=number).exclude(pile__state=PileState.RETIRED)
        gun = scope.narrow(guns.select_related("pile"), user).first()
        if gun is None:
            raise NoSuchPlace
        pile = gun.pile
        place = Place(frozenset({pile.station_id}), pile.pk, pile.pile_code, gun.pk, gun.connector_no)
        return Chosen(key, gun.code, place, pile.station_id)
    raise NoSuchPlace


def _region(key: str, value: str, user: Any) -> Chosen:
    parts = value.split("|")
    if len(parts) > len(LEVELS):
        raise NoSuchPlace
    stations = Station.objects.filter(**dict(zip(LEVELS, parts, strict=False)))
    ids = frozenset(scope.narrow(stations, user).values_list("pk", flat=True))
    if not ids:
        raise NoSuchPlace
    return Chosen(key, next(filter(None, reversed(parts)), _("without a region")), Place(ids))


def stations_seen(user: Any) -> list[Station]:
    """Return the stations of a person, as the tree lists them."""
    return list(
        scope.narrow(Station.objects.only("name", "station_no", *LEVELS), user).order_by("station_no")
    )


def guns_by_station(stations: Iterable[int] | None = None) -> dict[int, States]:
    """Return how many guns of piles in service are in each state, by station, in one query; None for all stations."""
    guns = ConnectorStatus.objects.filter(connector__pile__state=PileState.IN_SERVICE)
    if stations is not None:
        guns = guns.filter(connector__pile__station__in=list(stations))
    found: dict[int, States] = {}
    rows = guns.order_by().values_list("connector__pile__station_id", "state").annotate(Count("pk"))
    for station, state, count in rows:
        found.setdefault(station, {})[ConnectorState(state)] = count
    return found


def tree(stations: Iterable[Station], states: Mapping[int, States], chosen: Chosen) -> list[Node]:
    """Return the regions with their stations, the way to the chosen place open."""
    top: list[Node] = []
    regions: dict[str, Node] = {}
    for station in sorted(stations, key=lambda one: [getattr(one, level) for level in LEVELS]):
        mine = states.get(station.pk, {})
        inside, above = top, []
        for key, title in _regions(station):
            node = regions.get(key)
            if node is None:
                node = regions[key] = Node(key, title, {}, is_chosen=chosen.key == key)
                inside.append(node)
            for state, count in mine.items():
                node.states[state] = node.states.get(state, 0) + count
            above.append(node)
            inside = node.children
        key = f"station:{station.pk}"
        leaf = Node(key, station.name, mine, station.pk, is_chosen=chosen.key == key)
        leaf.is_open = chosen.station == station.pk
        inside.append(leaf)
        if leaf.is_open:
            for node in above:
                node.is_open = True
    for node in regions.values():
        node.is_open = node.is_open or len(regions) <= FOUND_AT_MOST or node.is_chosen
    return top


def _regions(station: Station) -> list[tuple[str, str]]:
    """Key and name of each level above a station; a municipality is one level, not province and city."""
    values = [getattr(station, level) for level in LEVELS]
    found: list[tuple[str, str]] = []
    for number, value in enumerate(values, 1):
        if value and (not found or found[-1][1] != value):
            found.append(("region:" + "|".join(values[:number]), value))
    return found or [("region:||", _("without a region"))]


def _piles() -> QuerySet[Pile]:
    return Pile.objects.exclude(state=PileState.RETIRED)


def piles_of(station: int, user: Any) -> list[Machine]:
    """Return the piles of a station with their guns' states, of those that the person sees. Three queries."""
    return _machines(scope.narrow(_piles().filter(station=station), user))


def _machines(piles: QuerySet[Pile], limit: int | None = None) -> list[Machine]:
    rows = piles.prefetch_related("connectors__status").order_by("pile_code")[:limit]
    return [Machine(pile, [_gun(gun) for gun in pile.connectors.all()]) for pile in rows]


def _gun(gun: Connector) -> Gun:
    state = ConnectorState(gun.status.state)
    tone = "warning" if state == ConnectorState.PLUGGED else tone_of({state: 1})
    return Gun(gun.pk, gun.connector_no, gun.code, str(state.label), tone)


def search(words: str, user: Any) -> tuple[list[Station], list[Machine]]:
    """Return the first stations and piles (each with its station) that a person sees under these words.

    A station is found by name, number, region or address; a pile by name, the start of its code, or a gun's whole code.
    """
    stations = scope.narrow(Station.objects.only("name", "station_no", *LEVELS), user)
    places = Q(name__icontains=words) | Q(station_no__icontains=words) | Q(address__icontains=words)
    for level in LEVELS:
        places |= Q(**{f"{level}__icontains": words})
    machines = Q(name__icontains=words)
    if words.isdecimal():
        machines |= Q(pile_code__startswith=words) | Q(pile_code=words[:14])
    piles = scope.narrow(_piles().filter(machines), user).select_related("station")
    return (
        list(stations.filter(places).order_by("station_no")[:FOUND_AT_MOST]),
        _machines(piles, FOUND_AT_MOST),
    )
