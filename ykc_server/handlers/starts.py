"""Starts at the pile, charges over several guns, balances while charging, and offline cards."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from apps.orders import pile_starts
from apps.orders import services as orders
from apps.piles import cards
from apps.piles import services as piles
from apps.piles.enums import CommandKind
from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.protocol.codes import BalanceResult, CardPresence, OneIsSuccess
from ykc_server.protocol.messages import (
    BalanceUpdateAck,
    OfflineCardClearAck,
    OfflineCardQueryAck,
    OfflineCardSyncAck,
    ParallelRemoteStartAck,
    ParallelStartRequest,
    StartRequest,
)
from ykc_server.session import Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

QUIET_S = 0.3
"""Requests of one parallel charge come in one breath: none for so long, and they are all there …"""
LONE_S = 3.0
"""… but for a request that is still alone, which waits so long for the other gun's."""

MOST_AT_ONCE = 4
"""Parallel charges that one pile may ask for at a time: each is a task and a call of the database."""


@dataclass(eq=False)
class _Asked:
    """What one connection asks: requests that wait for those of the other guns, by parallel number and gun."""

    groups: dict[bytes, dict[bytes, ParallelStartRequest]] = field(default_factory=dict)
    undecided: int = 0


_asked: WeakKeyDictionary[PileConsumer, _Asked] = WeakKeyDictionary()


@on(0x31)
async def start_requested(pile: PileConsumer, m: StartRequest) -> None:
    """Decide on a start by card, account or VIN, and answer 0x32."""
    session: Session = pile.session  # type: ignore[assignment]
    answer = await pile.gateway.pool.run_surely(
        session.schema, pile_starts.start_by_pile, translate.start_request(m)
    )
    pile.write(translate.start_request_ack(answer, m).encode(m.sequence))


@on(0xA1)
async def parallel_start_requested(pile: PileConsumer, m: ParallelStartRequest) -> None:
    """Keep the request until those of the other guns are there; then all are answered alike (YKC V1.6, 7.8)."""
    asked = _asked.setdefault(pile, _Asked())
    group = asked.groups.get(m.parallel_seq)
    if group is not None:
        group[m.gun_no] = m
    elif asked.undecided >= MOST_AT_ONCE:
        pile.pass_over(m.encode(m.sequence), "too_many_starts")
    else:
        asked.groups[m.parallel_seq] = {m.gun_no: m}
        asked.undecided += 1
        pile.gateway.spawn(_answer_group(pile, asked, m.parallel_seq))


async def _answer_group(pile: PileConsumer, asked: _Asked, parallel_seq: bytes) -> None:
    session: Session = pile.session  # type: ignore[assignment]
    group = asked.groups[parallel_seq]
    try:
        waited_s, known = 0.0, 0
        while len(group) != known or (len(group) == 1 and waited_s < LONE_S):
            known = len(group)
            await asyncio.sleep(QUIET_S)
            waited_s += QUIET_S
        del asked.groups[parallel_seq]
        requests = list(group.values())
        answers = await pile.gateway.pool.run_surely(
            session.schema,
            pile_starts.start_parallel_by_pile,
            [translate.start_request(request) for request in requests],
        )
    finally:
        asked.undecided -= 1
    for request, answer in zip(requests, answers, strict=True):
        pile.write(translate.start_request_ack(answer, request).encode(request.sequence))


@on(0xA3)
async def parallel_start_answered(pile: PileConsumer, m: ParallelRemoteStartAck) -> None:
    """Hand a gun's answer to a start over several guns to the order."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema, orders.start_answered, translate.parallel_start_answer(m)
    )


@on(0x41)
async def balance_updated(pile: PileConsumer, m: BalanceUpdateAck) -> None:
    """Close the command of a new balance; the answer does not say of which gun."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema,
        piles.command_answered,
        pile_code=session.pile_code,
        kind=CommandKind.SET_BALANCE,
        connector_no=None,
        accepted=m.result == BalanceResult.OK,
        result={"code": m.result},
        answer=m.encode(),
    )


@on(0x43)
async def cards_synced(pile: PileConsumer, m: OfflineCardSyncAck) -> None:
    """Note whether the pile has stored the cards that it was sent."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema,
        cards.cards_synced,
        pile_code=session.pile_code,
        accepted=m.result == OneIsSuccess.SUCCESS,
        result={"code": m.fail_reason},
        answer=m.encode(),
    )


@on(0x45)
async def cards_cleared(pile: PileConsumer, m: OfflineCardClearAck) -> None:
    """Note which cards the pile has deleted."""
    session: Session = pile.session  # type: ignore[assignment]
    cleared = {
        item["physical_card_no"]: item["result"] == OneIsSuccess.SUCCESS for item in m.value("results")
    }
    await pile.gateway.pool.run_surely(
        session.schema, cards.cards_cleared, pile_code=session.pile_code, cleared=cleared, answer=m.encode()
    )


@on(0x47)
async def cards_queried(pile: PileConsumer, m: OfflineCardQueryAck) -> None:
    """Note which cards the pile has."""
    session: Session = pile.session  # type: ignore[assignment]
    present = {
        item["physical_card_no"]: item["result"] == CardPresence.PRESENT for item in m.value("results")
    }
    await pile.gateway.pool.run_surely(
        session.schema, cards.cards_queried, pile_code=session.pile_code, present=present, answer=m.encode()
    )
