"""Offline cards: the list in a pile's own memory by which it lets people charge while it is offline.

A row says what is wanted and what is known; frames carry the difference, one at a time per pile: the answer to a list
that was written does not say which one it means (YKC V1.6, 7.7). What got lost is found by `sync_all`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.customers.models import Card, CardState
from apps.piles import gateway
from apps.piles.commands import ClearCards, Command, QueryCards, SyncCards
from apps.piles.enums import CardOnPile, CommandKind, CommandState
from apps.piles.models import OfflineCard, Pile, PileCommand
from apps.piles.services import command_answered

SYNC_CHUNK, CLEAR_CHUNK, QUERY_CHUNK = 15, 24, 26
"""Cards in one frame (YKC V1.6, 0x44, 0x46, 0x48)."""
BATCH = 1_000
OPEN = (CommandState.PENDING, CommandState.SENT)
WRITES = (CommandKind.SYNC_CARDS, CommandKind.CLEAR_CARDS)


def match_cards(*, piles: Iterable[Pile], actor: Actor) -> tuple[int, int]:
    """Bring the piles' lists in line with the cards that may charge at piles that are offline.

    Frozen cards, and those that lost the right, go. Returns how many rows are to be written, and to be deleted.
    """
    allowed = list(Card.objects.filter(works_offline=True, state=CardState.ACTIVE).order_by("pk"))
    with transaction.atomic():
        found = _in_order(piles)
        numbers = {card.physical_no for card in allowed}
        listed = OfflineCard.objects.filter(pile__in=found).values_list("physical_no", flat=True).distinct()
        gone = set(listed) - numbers
        unwanted = unwant_cards(piles=found, physical_nos=gone, actor=actor) if gone else 0
        return want_cards(piles=found, cards=allowed, actor=actor), unwanted


def want_cards(*, piles: Iterable[Pile], cards: Iterable[Card], actor: Actor) -> int:
    """Have cards in the lists of piles; those that failed or were to go are written anew.

    Returns how many rows are to be written. Piles that are online are sent their first frame after commit.
    """
    wanted = {card.physical_no: card for card in cards}
    with transaction.atomic():
        chosen = _in_order(piles)
        rows = [
            OfflineCard(pile=pile, logical_no=card.logical_no.zfill(16), physical_no=number)
            for pile in chosen
            for number, card in wanted.items()
        ]
        OfflineCard.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)
        here = OfflineCard.objects.filter(pile__in=chosen, physical_no__in=wanted)
        _lock(here)
        here.exclude(state=CardOnPile.STORED).update(state=CardOnPile.WANTED, updated_at=now())
        waiting = here.filter(state=CardOnPile.WANTED).count()
        for pile in chosen:
            sync_pile(pile=pile, actor=actor)
    return waiting


def unwant_cards(*, piles: Iterable[Pile], actor: Actor, physical_nos: Collection[str] | None = None) -> int:
    """Have cards deleted from the lists of piles, or all of them. Returns how many rows are to be deleted."""
    with transaction.atomic():
        chosen = _in_order(piles)
        here = OfflineCard.objects.filter(pile__in=chosen)
        if physical_nos is not None:
            here = here.filter(physical_no__in=physical_nos)
        _lock(here)
        unwanted = here.update(state=CardOnPile.UNWANTED, updated_at=now())
        for pile in chosen:
            sync_pile(pile=pile, actor=actor)
    return unwanted


def _lock(rows: QuerySet[OfflineCard]) -> None:
    """Two requests for the same cards would deadlock if each updated them in an order of its own."""
    list(rows.select_for_update().order_by("pk").values_list("pk"))


def _in_order(piles: Iterable[Pile]) -> list[Pile]:
    """Everybody locks piles in the same order."""
    return sorted(piles, key=lambda pile: pile.pk)


def questions(*, pile: Pile) -> list[QueryCards]:
    """Return the commands that ask a pile which of the cards that we know of it really has."""
    numbers = list(pile.offline_cards.order_by("pk").values_list("physical_no", flat=True))
    return [
        QueryCards(physical_nos=numbers[start : start + QUERY_CHUNK])
        for start in range(0, len(numbers), QUERY_CHUNK)
    ]


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
    """Go on at every online pile that has cards to write or to delete. Returns how many piles were sent a frame.

    Frozen cards are to be deleted everywhere: piles let people charge by their lists without asking.
    """
    _unwant_frozen()
    waiting = OfflineCard.objects.filter(
        pile=OuterRef("pk"), state__in=[CardOnPile.WANTED, CardOnPile.UNWANTED]
    )
    owing = PileCommand.objects.filter(pile=OuterRef("pk"), kind__in=WRITES, state__in=OPEN)
    piles = Pile.objects.filter(Exists(waiting), ~Exists(owing), is_online=True)
    return sum(sync_pile(pile=pile, actor=SYSTEM) for pile in piles.order_by("pk"))


def _unwant_frozen() -> None:
    frozen = Card.objects.exclude(state=CardState.ACTIVE).values("physical_no")
    rows = OfflineCard.objects.filter(
        physical_no__in=frozen, state__in=[CardOnPile.WANTED, CardOnPile.STORED]
    )
    with transaction.atomic():
        _lock(rows)
        rows.update(state=CardOnPile.UNWANTED, updated_at=now())


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
        ).update(state=CardOnPile.STORED if accepted else CardOnPile.FAILED, updated_at=now())
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
        unwanted.filter(physical_no__in=kept).update(state=CardOnPile.FAILED, updated_at=now())
        sync_pile(pile=row.pile, actor=SYSTEM)


def cards_queried(*, pile_code: str, present: dict[str, bool], answer: bytes = b"") -> None:
    """Follow a pile's word on which cards it has (0x47): what is missing is written again, what is gone forgotten."""
    with transaction.atomic():
        row = command_answered(
            pile_code=pile_code,
            kind=CommandKind.QUERY_CARDS,
            connector_no=None,  # of several questions the oldest is answered first
            accepted=True,
            result={"present": sum(present.values()), "absent": len(present) - sum(present.values())},
            answer=answer,
        )
        if row is None:
            return
        rows = OfflineCard.objects.filter(pile=row.pile_id)
        here = rows.filter(physical_no__in=[number for number, found in present.items() if found])
        absent = rows.filter(physical_no__in=[number for number, found in present.items() if not found])
        here.filter(state__in=[CardOnPile.WANTED, CardOnPile.FAILED]).update(
            state=CardOnPile.STORED, updated_at=now()
        )
        absent.filter(state=CardOnPile.UNWANTED).delete()
        absent.filter(state=CardOnPile.STORED).update(state=CardOnPile.WANTED, updated_at=now())
        sync_pile(pile=row.pile, actor=SYSTEM)
