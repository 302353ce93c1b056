"""A charge as the pile reports it: state, answers to start and stop, the record."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from apps.orders import services as orders
from apps.piles.enums import CommandKind
from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.protocol import DECODE
from ykc_server.protocol.codes import GunStatus
from ykc_server.protocol.messages import Realtime, RemoteStartAck, RemoteStopAck, TransactionRecordFivePrices
from ykc_server.session import Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

FIVE_PRICES_LENGTH = TransactionRecordFivePrices.spec.body_size + 4
"""A record is told by its length to be of five rate classes, never by the version that the pile claims."""


@on(0x13)
def realtime(pile: PileConsumer, frame: bytes) -> bytes | None:
    """Keep the last word of a gun; the status writer stores it, a change goes to the piles service."""
    m: Realtime = DECODE[0x13](frame)  # type: ignore[assignment]
    session: Session = pile.session  # type: ignore[assignment]
    if m.pile_no != session.pile_no:
        pile.foreign(frame)
        return None
    gun = session.guns.get(m.gun_no)
    if gun is None:
        pile.pass_over(frame, "unknown_gun")
        return None
    last = gun.last
    gun.last = m
    gun.reported_at = time.time()
    pile.gateway.statuses.dirty.add(gun)
    if m.status == GunStatus.CHARGING:
        pile.gateway.telemetry.realtime(gun, m)
    if (
        last is None
        or m.status != last.status
        or m.gun_plugged != last.gun_plugged
        or m.transaction_no != last.transaction_no
        or m.hardware_fault != last.hardware_fault
    ):
        pile.gateway.changes.note(gun)
    if gun.asked:
        gun.asked = False
        answered = pile.gateway.answered(session, CommandKind.READ_REALTIME, gun.connector_no, frame)
        pile.gateway.spawn(answered)
    return None


@on(0x33)
async def start_answered(pile: PileConsumer, m: RemoteStartAck) -> None:
    """Hand the answer to a start to the order; a second one may say success once the plug is in (YKC V1.6, 7.3)."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(session.schema, orders.start_answered, translate.start_answer(m))


@on(0x35)
async def stop_answered(pile: PileConsumer, m: RemoteStopAck) -> None:
    """Hand the answer to a stop to the order."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(session.schema, orders.stop_answered, translate.stop_answer(m))


@on(0x3B)
@on(0x3D)
def transaction_record(pile: PileConsumer, frame: bytes) -> None:
    """Queue the record; the group commit answers 0x40 once it is stored (YKC V1.6, 7.5)."""
    if frame[4]:
        DECODE[frame[5]](frame)  # raises EncryptedFrame
    session: Session = pile.session  # type: ignore[assignment]
    if frame[1] == FIVE_PRICES_LENGTH and frame[5] == 0x3B and not session.dialect.five_prices:
        pile.gateway.learn(session, five_prices=True)
    pile.gateway.records.put(pile, frame)
