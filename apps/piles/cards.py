"""Offline cards: the list in a pile's own memory by which it lets people charge while it is offline.

A row says what is wanted and what is known; frames carry the difference, one at a time per pile: the answer to a list
that was written does not say which one it means (YKC V1.6, 7.7). What got lost is found by `sync_all`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef

from apps.common.ids import SYSTEM, Actor
from apps.customers.models import Card
from apps.piles import gateway
from apps.piles.commands import ClearCards, Command, QueryCards, SyncCards
from apps.piles.enums import CardOnPile, CommandKind, CommandState, PileState
from apps.piles.models import OfflineCard, Pile, PileCommand
from apps.piles.services import command_answered
from apps.sites.models import Station

SYNC_CHUNK, CLEAR_CHUNK, QUERY_CHUNK = 15, 24, 26
"""Cards in one frame (YKC V1.6, 0x44, 0x46, 0x48)."""
BATCH = 1_000
OPEN = (CommandState.PENDING, CommandState.SENT)
WRITES = (CommandKind.SYNC_CARDS, CommandKind.CLEAR_CARDS)


def want_cards(*, station: Station, cards: Iterable[Card], actor: Actor) -> int:
    """Have cards in the lists of a station's piles; those that failed or were to go are written anew.

    Returns how many rows are to be written. Piles that are online are sent their first frame after commit.
    """
    wanted = {card.physical_no: card for card in cards}
    with transaction.atomic():
        piles = list(station.piles.exclude(state=PileState.RETIRED).order_by("pk"))
        rows = [
            OfflineCard(pile=pile, logical_no=card.logical_no.zfill(16), physical_no=number)
            for pile in piles
            for number, card in wanted.items()
        ]
        OfflineCard.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        here = OfflineCard.objects.filter(pile__in=piles, physical_no__in=wanted)
        here.exclude(state=CardOnPile.STORED).update(state=CardOnPile.WANTED)
        waiting = here.filter(state=CardOnPile.WANTED).count()
        for pile in piles:
            sync_pile(pile=pile, actor=actor)
    return waiting


def unwant_cards(*, station: Station, physical_nos: Iterable[str], actor: Actor) -> int:
    """Have cards deleted from the lists of a station's piles. Returns how many rows are to be deleted."""
    with transaction.atomic():
        piles = list(station.piles.order_by("pk"))
        here = OfflineCard.objects.filter(pile__in=piles, physical_no__in=list(physical_nos))
        unwanted = here.update(state=CardOnPile.UNWANTED)
        for pile in piles:
            sync_pile(pile=pile, actor=actor)
    return unwanted


def query_cards(*, pile: Pile, actor: Actor) -> int:
    """Ask a pile which of the cards that we know of it really has. Returns how many are asked for."""
    numbers = list(pile.offline_cards.values_list("physical_no", flat=True))
    with transaction.atomic():
        for start in range(0, len(numbers), QUERY_CHUNK):
            command = QueryCards(physical_nos=numbers[start : start + QUERY_CHUNK])
            gateway.send(pile=pile, command=command, actor=actor)
    return len(numbers)


def sync_pile(*, pile: Pile, actor: Actor) -> bool:
    """Send an online pile the next cards to write, or else to delete; not while it owes an answer to such a frame."""
    with transaction.atomic():
        locked = Pile.objects.select_for_update(no_key=True).get(pk=pile.pk)
        if not locked.is_online or locked.commands.filter(kind__in=WRITES, state__in=OPEN).exists():
            return False
        command = _next_command(locked)
        if command is None:
            return False
        gateway.send(pile=locked, command=command, actor=actor)
    return True


def _next_command(pile: Pile) -> Command | None:
    rows = pile.offline_cards.order_by("pk")
    wanted = list(rows.filter(state=CardOnPile.WANTED)[:SYNC_CHUNK])
    if wanted:
        return SyncCards(cards=[[row.logical_no.zfill(16), row.physical_no] for row in wanted])
    unwanted = list(rows.filter(state=CardOnPile.UNWANTED)[:CLEAR_CHUNK])
    if unwanted:
        return ClearCards(physical_nos=[row.physical_no for row in unwanted])
    return None


def sync_all() -> int:
    """Go on at every online pile that has cards to write or to delete. Returns how many piles were sent a frame."""
    waiting = OfflineCard.objects.filter(
        pile=OuterRef("pk"), state__in=[CardOnPile.WANTED, CardOnPile.UNWANTED]
    )
    owing = PileCommand.objects.filter(pile=OuterRef("pk"), kind__in=WRITES, state__in=OPEN)
    piles = Pile.objects.filter(Exists(waiting), ~Exists(owing), is_online=True)
    return sum(sync_pile(pile=pile, actor=SYSTEM) for pile in piles.order_by("pk"))


# --- What piles answer ------------------------------------------------------------------------------------


def cards_synced(*, pile_code: str, accepted: bool, result: dict[str, Any], answer: bytes = b"") -> None:
    """Follow a pile's answer to cards that it was to store (0x43): all of the frame, or none."""
    with transaction.atomic():
        row = command_answered(
            pile_code=pile_code, kind=CommandKind.SYNC_CARDS, accepted=accepted, result=result, answer=answer
        )
        if row is None:
            return
        OfflineCard.objects.filter(
            pile=row.pile_id,
            physical_no__in=[physical for _, physical in row.payload["cards"]],
            state=CardOnPile.WANTED,
        ).update(state=CardOnPile.STORED if accepted else CardOnPile.FAILED)
        sync_pile(pile=row.pile, actor=SYSTEM)


def cards_cleared(*, pile_code: str, cleared: dict[str, bool], answer: bytes = b"") -> None:
    """Follow a pile's answer to cards that it was to delete (0x45): {chip number: deleted}."""
    with transaction.atomic():
        row = command_answered(
            pile_code=pile_code,
            kind=CommandKind.CLEAR_CARDS,
            accepted=all(cleared.values()),
            result={"cleared": sum(cleared.values()), "failed": len(cleared) - sum(cleared.values())},
            answer=answer,
        )
        if row is None:
            return
        gone = [number for number in row.payload["physical_nos"] if cleared.get(number)]
        kept = [number for number in row.payload["physical_nos"] if not cleared.get(number)]
        unwanted = OfflineCard.objects.filter(pile=row.pile_id, state=CardOnPile.UNWANTED)
        unwanted.filter(physical_no__in=gone).delete()
        unwanted.filter(physical_no__in=kept).update(state=CardOnPile.FAILED)
        sync_pile(pile=row.pile, actor=SYSTEM)


def cards_queried(*, pile_code: str, present: dict[str, bool], answer: bytes = b"") -> None:
    """Follow a pile's word on which cards it has (0x47): what is missing is written again, what is gone forgotten."""
    with transaction.atomic():
        row = command_answered(
            pile_code=pile_code,
            kind=CommandKind.QUERY_CARDS,
            accepted=True,
            result={"present": sum(present.values()), "absent": len(present) - sum(present.values())},
            answer=answer,
        )
        if row is None:
            return
        rows = OfflineCard.objects.filter(pile=row.pile_id)
        here = rows.filter(physical_no__in=[number for number, found in present.items() if found])
        absent = rows.filter(physical_no__in=[number for number, found in present.items() if not found])
        here.filter(state__in=[CardOnPile.WANTED, CardOnPile.FAILED]).update(state=CardOnPile.STORED)
        absent.filter(state=CardOnPile.UNWANTED).delete()
        absent.filter(state=CardOnPile.STORED).update(state=CardOnPile.WANTED)
        sync_pile(pile=row.pile, actor=SYSTEM)
