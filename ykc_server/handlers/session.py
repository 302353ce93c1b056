"""Login, heartbeat, clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from apps.common.time import now
from apps.piles import services as piles
from apps.piles.enums import CommandKind
from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.logins import TooMany, Unavailable
from ykc_server.protocol import DECODE
from ykc_server.protocol.codes import ZeroIsSuccess
from ykc_server.protocol.messages import Login, LoginAck, TimeSyncAck, answer_heartbeat
from ykc_server.session import Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

log = structlog.get_logger(__name__)

HEARTBEAT_FRAME = 17


@on(0x01, gate=True)
async def login(pile: PileConsumer, m: Login) -> None:
    """Let a registered pile of an active tenant in, answer 01 and close for any other (YKC V1.6, 7.1)."""
    code = m.value("pile_no")
    if pile.session is not None and pile.session.pile_code != code:
        log.warning("login_as_another_pile", pile_code=pile.session.pile_code, other=code, peer=pile.peer)
        pile.close()
        return
    try:
        session = await pile.gateway.logins.resolve(pile, m)
    except TooMany:
        pile.gateway.count("logins_limited")
        pile.gateway.sampled("login_limited", pile_code=code, peer=pile.peer)
        pile.close()
        return
    except Unavailable as error:
        # No answer: 01 would tell a registered pile that it is unknown. It dials again.
        log.warning("login_not_answered", pile_code=code, error=str(error))
        pile.close()
        return
    if session is not None and pile.closed:
        pile.gateway.forget(session)
    elif session is None:
        pile.gateway.count("logins_refused")
        pile.write(LoginAck(pile_no=m.pile_no, result=ZeroIsSuccess.FAIL).encode(m.sequence))
        pile.close()
    else:
        if pile.session is not None:
            pile.gateway.unheard(session)  # it logs in again instead of going on
        pile.gateway.enter(pile, session)
        pile.gateway.welcome.put(session.schema, session.pile_id, (session.pile_id, now()))
        if pile.frames_kept_until:
            pile.gateway.frames.up(pile, [m.encode()])
        accepted = LoginAck(pile_no=m.pile_no, result=ZeroIsSuccess.SUCCESS).encode(m.sequence)
        pile.write(accepted + translate.time_sync(m.pile_no).encode(pile.next_sequence()))


@on(0x03)
def heartbeat(pile: PileConsumer, frame: bytes) -> bytes | None:
    """Answer 0x04 at once; a gun status of fault is a fault of the connector."""
    session: Session = pile.session  # type: ignore[assignment]
    if len(frame) != HEARTBEAT_FRAME or frame[4]:
        DECODE[0x03](frame)  # raises for one that is too short or encrypted; a longer one is a heartbeat
    if frame[6:13] != session.pile_no:
        pile.foreign(frame)
        return None
    if (gun := session.guns.get(frame[13:14])) is not None and gun.has_fault != (frame[14] == 1):
        gun.has_fault = frame[14] == 1
        gun.reported_at = time.time()
        pile.gateway.statuses.dirty.add(gun)
        pile.gateway.changes.note(gun)
    return answer_heartbeat(frame)


@on(0x55)
async def time_synced(pile: PileConsumer, m: TimeSyncAck) -> None:
    """Keep how far the pile's clock is off."""
    session = pile.session
    offset_s = translate.clock_offset_s(m)
    if session is None or offset_s is None:
        return
    await pile.gateway.pool.run_surely(session.schema, _time_synced, session.pile_code, offset_s, m.encode())


def _time_synced(pile_code: str, offset_s: Any, frame: bytes) -> None:
    piles.clock_reported(pile_code=pile_code, offset_s=offset_s)
    piles.command_answered(
        pile_code=pile_code,
        kind=CommandKind.SYNC_TIME,
        accepted=True,
        result={"offset_s": str(offset_s)},
        answer=frame,
    )
