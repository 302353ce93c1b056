"""Answers to work parameters, reboot, update, ground lock and QR code; and the ground lock's own reports.

In 0x51, 0x63 and 0x91 a result of 01 is success, in 0x93 it is 00 (YKC V1.6, result bytes). Sources disagree on 0xF1,
so that its result is kept and not acted upon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apps.piles import services as piles
from apps.piles.enums import CommandKind
from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.protocol import DECODE, Message
from ykc_server.protocol.codes import OneIsSuccess, UpdateResult
from ykc_server.protocol.messages import (
    GroundLockControlAck,
    GroundLockStatus,
    QrPrefixSetAck,
    RebootAck,
    UpdateAck,
    WorkParamsAck,
)
from ykc_server.session import Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer


async def _answered(
    pile: PileConsumer,
    m: Message,
    kind: CommandKind,
    accepted: bool,
    *,
    connector_no: str = "",
    result: dict[str, Any] | None = None,
) -> None:
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema,
        piles.command_answered,
        pile_code=session.pile_code,
        kind=kind,
        connector_no=connector_no,
        accepted=accepted,
        result=result,
        answer=m.encode(),
    )


@on(0x51)
async def work_set(pile: PileConsumer, m: WorkParamsAck) -> None:
    """Note whether the pile took its work parameters."""
    await _answered(pile, m, CommandKind.SET_WORK, m.result == OneIsSuccess.SUCCESS)


@on(0x91)
async def reboot_answered(pile: PileConsumer, m: RebootAck) -> None:
    """Note whether the pile restarts; its next login says that it did."""
    await _answered(pile, m, CommandKind.REBOOT, m.result == OneIsSuccess.SUCCESS)


@on(0x93)
async def update_answered(pile: PileConsumer, m: UpdateAck) -> None:
    """Note how the update went."""
    told = m.value("result")
    word = told.name.lower() if isinstance(told, UpdateResult) else f"code_{m.result:02X}"
    await _answered(pile, m, CommandKind.UPDATE, m.result == UpdateResult.OK, result={"reason": word})


@on(0xF1)
async def qr_set(pile: PileConsumer, m: QrPrefixSetAck) -> None:
    """Note that the pile answered, and so that it takes QR codes; nobody knows which result means success."""
    session: Session = pile.session  # type: ignore[assignment]
    if not session.dialect.qr_prefix:
        pile.gateway.learn(session, qr_prefix=True)
    await _answered(pile, m, CommandKind.SET_QR, True, result={"code": f"{m.result:02X}"})


@on(0x63)
async def lock_moved(pile: PileConsumer, m: GroundLockControlAck) -> None:
    """Note whether the lock took the command; 0x61 says where it is."""
    await _answered(
        pile, m, CommandKind.LOCK, m.result == OneIsSuccess.SUCCESS, connector_no=f"{m.gun_no:02d}"
    )


@on(0x61)
def lock_reported(pile: PileConsumer, frame: bytes) -> None:
    """Keep the state of a ground lock, sent every 5 min and on change; nothing is answered."""
    m: GroundLockStatus = DECODE[0x61](frame)  # type: ignore[assignment]
    session: Session = pile.session  # type: ignore[assignment]
    if m.pile_no != session.pile_no:
        pile.foreign(frame)
        return
    gun = session.guns.get(bytes.fromhex(f"{m.gun_no:02d}")) if m.gun_no <= 99 else None
    if gun is None:
        pile.pass_over(frame, "unknown_gun")
        return
    pile.gateway.locks.put(session.schema, gun.connector_id, translate.lock_report(m, gun))
