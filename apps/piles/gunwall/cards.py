"""What the wall knows of each gun, and how a card looks to somebody.

One query reads a station's guns, whoever watches. Apps of higher layers add links to cards (`add_links`): orders know
what to stop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.piles.alarms.words import faults
from apps.piles.enums import ConnectorState, PileKind, PileState
from apps.piles.models import Connector

WORST_FIRST = [
    ConnectorState.FAULT,
    ConnectorState.CHARGING,
    ConnectorState.PLUGGED,
    ConnectorState.IDLE,
    ConnectorState.OFFLINE,
]
REBOOT = "piles.reboot_pile"


@dataclass(frozen=True)
class Link:
    """A button of a card: it opens a dialog at `address` for those who have `permission` (app.codename)."""

    title: Any
    icon: str
    address: str
    permission: str


Links = Callable[[Sequence["Card"]], dict[int, Link]]
_links: list[Links] = []
_permissions = {REBOOT}


def add_links(function: Links, permission: str) -> None:
    """Have `function` asked for {connector id: link} of the guns of a wall that are charging.

    All of its links need `permission`.
    """
    _links.append(function)
    _permissions.add(permission)


@dataclass(frozen=True)
class Card:
    """A gun, as everybody sees it. Equal cards look alike, so nothing is sent for them."""

    pk: int
    code: str
    name: str
    state: str
    pile_pk: int
    is_online: bool
    kind: str
    rated_kw: str
    power_kw: str
    energy_kwh: str
    soc_percent: int
    minutes: int
    remaining_minutes: int
    fault_bits: int
    is_locked_out: bool
    transaction_no: str
    links: tuple[Link, ...] = field(default=(), hash=False)

    @property
    def rank(self) -> int:
        """Place of its state: what needs a person first."""
        return WORST_FIRST.index(ConnectorState(self.state))

    @property
    def label(self) -> str:
        """Its state as a word."""
        return str(ConnectorState(self.state).label)

    @property
    def kind_label(self) -> str:
        """AC or DC."""
        return str(PileKind(self.kind).label)

    @property
    def faults(self) -> str:
        """What its fault bits mean."""
        return "、".join(faults(self.fault_bits))


def cards_of(station_id: int) -> list[Card]:
    """Return the cards of a station's guns, worst first, then by code. One query, and those of the links."""
    guns = (
        Connector.objects.filter(pile__station_id=station_id)
        .exclude(pile__state=PileState.RETIRED)
        .select_related("pile", "status")
    )
    cards = [_card(gun) for gun in guns]
    charging = [card for card in cards if card.state == ConnectorState.CHARGING]
    if charging and _links:
        found: dict[int, tuple[Link, ...]] = {}
        for function in _links:
            for pk, link in function(charging).items():
                found[pk] = (*found.get(pk, ()), link)
        cards = [
            Card(**{**vars(card), "links": found[card.pk]}) if card.pk in found else card for card in cards
        ]
    return sorted(cards, key=lambda card: (card.rank, card.code))


def _card(gun: Connector) -> Card:
    status, pile = gun.status, gun.pile
    charges = status.state == ConnectorState.CHARGING
    return Card(
        pk=gun.pk,
        code=f"{pile.pile_code}-{gun.connector_no}",
        name=pile.name,
        state=status.state,
        pile_pk=pile.pk,
        is_online=pile.is_online,
        kind=pile.kind,
        rated_kw=f"{gun.power_kw:.0f}",
        power_kw=f"{status.power_kw:.1f}" if charges else "",
        energy_kwh=f"{status.energy_kwh:.2f}" if charges else "",
        soc_percent=status.soc_percent if charges else 0,
        minutes=status.charge_minutes if charges else 0,
        remaining_minutes=status.remaining_minutes if charges else 0,
        fault_bits=status.fault_bits,
        is_locked_out=pile.state == PileState.DISABLED,
        transaction_no=status.transaction_no if charges else "",
    )


def counts_of(cards: Sequence[Card]) -> dict[str, int]:
    """Return how many guns are in each state, and all."""
    counted = Counter(card.state for card in cards)
    return {"all": len(cards), **{state.value: counted[state.value] for state in WORST_FIRST}}


def html_of(card: Card, permissions: Collection[str]) -> str:
    """Return a card as it looks to somebody with these permissions, in the language that is active."""
    links = [link for link in card.links if link.permission in permissions]
    if card.is_online and REBOOT in permissions:
        address = reverse("admin:piles_pile_reboot", args=[card.pile_pk])
        links.append(Link(_("Reboot"), "restart_alt", address, REBOOT))
    return render_to_string("backoffice/gun_card.html", {"gun": card, "links": links})


def buttons(user: Any) -> frozenset[str]:
    """Return which permissions of the wall's buttons a person has."""
    return frozenset(one for one in _permissions if user.has_perm(one))
