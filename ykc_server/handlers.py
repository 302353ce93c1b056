"""What the gateway does with each frame of a pile: one function per type.

Three kinds, told apart when they are registered:

    plain function      runs inside `data_received`, never waits, returns the answer's bytes or None
    coroutine           runs after the connection's earlier coroutines; plain frames pass it
    coroutine, gate     everything behind it waits until it is done; nothing before it is heard

Frames carry the pile's number again; one that differs from the login's is passed over, except in a record.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import structlog

from apps.common.time import now
from apps.orders import services as orders
from apps.piles import services as piles
from apps.piles.enums import CommandKind
from apps.pricing import services as pricing
from apps.pricing.selectors import effective_version
from ykc_server import translate
from ykc_server.logins import Unavailable
from ykc_server.protocol import DECODE
from ykc_server.protocol.codes import BillingVerdict, OneIsSuccess, ZeroIsSuccess
from ykc_server.protocol.messages import (
    BillingRequest,
    BillingRequestAck,
    BillingSetAck,
    BillingVerify,
    BillingVerifyAck,
    Login,
    LoginAck,
    Realtime,
    RemoteStartAck,
    RemoteStopAck,
    TimeSyncAck,
    answer_heartbeat,
)
from ykc_server.session import Prices, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

log = structlog.get_logger(__name__)

Handler = Callable[["PileConsumer", Any], Any]
HOT: list[Handler | None] = [None] * 256
SLOW: list[Handler | None] = [None] * 256
GATE: list[Handler | None] = [None] * 256

HEARTBEAT_FRAME = 17
PRICES_TRUSTED_S = 30.0
"""The prices looked up at login answer the 0x05 that follows it; later ones are looked up anew."""


def on(kind: int, *, gate: bool = False) -> Callable[[Handler], Handler]:
    """Register the handler of a frame type: plain functions get the frame, coroutines the decoded message."""

    def register(function: Handler) -> Handler:
        table = GATE if gate else SLOW if inspect.iscoroutinefunction(function) else HOT
        table[kind] = function
        return function

    return register


# --- Connection -------------------------------------------------------------------------------------------


@on(0x01, gate=True)
async def login(pile: PileConsumer, m: Login) -> None:
    """Let a registered pile of an active tenant in, answer 01 and close for any other (YKC V1.6, 7.1)."""
    code = m.value("pile_no")
    if pile.session is not None and pile.session.pile_code != code:
        log.warning("login_as_another_pile", pile_code=pile.session.pile_code, other=code, peer=pile.peer)
        pile.close()
        return
    try:
        session = await pile.gateway.logins.resolve(pile, code, translate.login_facts(m))
    except Unavailable as error:
        # No answer: 01 would tell a registered pile that it is unknown. It dials again.
        log.warning("login_not_answered", pile_code=code, error=str(error))
        pile.close()
        return
    if session is not None and pile.closed:
        pile.gateway.forget(session)
    elif session is None:
        pile.gateway.count("logins_refused")
        pile.gateway.sampled("login_refused", pile_code=code, peer=pile.peer)
        pile.write(LoginAck(pile_no=m.pile_no, result=ZeroIsSuccess.FAIL).encode(m.sequence))
        pile.close()
    else:
        pile.gateway.enter(pile, session)
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
    return answer_heartbeat(frame[2:4], frame[6:14])


@on(0x55)
async def time_synced(pile: PileConsumer, m: TimeSyncAck) -> None:
    """Keep how far the pile's clock is off."""
    session = pile.session
    offset_s = translate.clock_offset_s(m)
    if session is None or offset_s is None:
        return
    await pile.gateway.pool.run_surely(session.schema, _time_synced, session.pile_code, offset_s)


def _time_synced(pile_code: str, offset_s: Any) -> None:
    piles.clock_reported(pile_code=pile_code, offset_s=offset_s)
    piles.command_answered(
        pile_code=pile_code, kind=CommandKind.SYNC_TIME, accepted=True, result={"offset_s": str(offset_s)}
    )


# --- Prices -----------------------------------------------------------------------------------------------


@on(0x05)
async def billing_verify(pile: PileConsumer, m: BillingVerify) -> None:
    """Tell the pile whether its billing model is the one in force: 00 same, 01 different (then it sends 0x09)."""
    session: Session = pile.session  # type: ignore[assignment]
    known = await _prices_of(pile)
    told = m.value("billing_model_no")
    same = known is not None and known.billing_model_no == told
    verdict = BillingVerdict.SAME if same else BillingVerdict.DIFFERENT
    answer = BillingVerifyAck(pile_no=m.pile_no, billing_model_no=m.billing_model_no, result=verdict)
    pile.write(answer.encode(m.sequence))
    await pile.gateway.pool.run_surely(
        session.schema,
        pricing.pile_has_model,
        pile_code=session.pile_code,
        billing_model_no=told,
        matches=same,
    )


@on(0x09)
async def billing_request(pile: PileConsumer, m: BillingRequest) -> None:
    """Give the pile the prices in force. A pile without a price gets no answer and must not charge (YKC V1.6, 7.1)."""
    session: Session = pile.session  # type: ignore[assignment]
    known = await _prices_of(pile)
    if known is None or known.fields is None:
        pile.gateway.sampled("pile_without_prices", pile_code=session.pile_code, schema=session.schema)
        return
    pile.write(translate.billing_model(BillingRequestAck, m.pile_no, known).encode(m.sequence))
    await pile.gateway.pool.run_surely(
        session.schema,
        pricing.model_delivered,
        pile_code=session.pile_code,
        billing_model_no=known.billing_model_no,
    )


async def _prices_of(pile: PileConsumer) -> Prices | None:
    session: Session = pile.session  # type: ignore[assignment]
    gateway = pile.gateway
    if gateway.now - session.prices_at > PRICES_TRUSTED_S:
        version = await gateway.pool.run_surely(
            session.schema,
            effective_version,
            pile_id=session.pile_id,
            station_id=session.station_id,
            at=now(),
        )
        session.prices = gateway.logins.prices(session.schema, version) if version else None
        session.prices_at = gateway.now
    return session.prices


@on(0x57)
async def billing_set_answered(pile: PileConsumer, m: BillingSetAck) -> None:
    """Note whether the pile took the prices of 0x58."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(
        session.schema, _billing_set_answered, session.pile_code, m.result == OneIsSuccess.SUCCESS
    )


def _billing_set_answered(pile_code: str, accepted: bool) -> None:
    pricing.push_answered(pile_code=pile_code, accepted=accepted)
    piles.command_answered(pile_code=pile_code, kind=CommandKind.SET_BILLING_MODEL, accepted=accepted)


# --- Charging ---------------------------------------------------------------------------------------------


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
        pile.gateway.spawn(pile.gateway.answered(session, CommandKind.READ_REALTIME, gun.connector_no))
    return None


@on(0x15)
@on(0x17)
@on(0x19)
@on(0x1B)
@on(0x1D)
@on(0x21)
@on(0x23)
@on(0x25)
def battery_data(pile: PileConsumer, frame: bytes) -> None:
    """What the car's battery says of itself is known to exist and passed over."""
    if frame[4]:
        pile.pass_over(frame, "battery_data")


@on(0x33)
async def start_answered(pile: PileConsumer, m: RemoteStartAck) -> None:
    """Hand the answer to a start to the order; a second one may say success once the plug is in (YKC V1.6, 7.3)."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(session.schema, _start_answered, translate.start_answer(m))


def _start_answered(answer: Any) -> None:
    orders.start_answered(answer)
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.START,
        connector_no=answer.connector_no,
        transaction_no=answer.transaction_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
    )


@on(0x35)
async def stop_answered(pile: PileConsumer, m: RemoteStopAck) -> None:
    """Hand the answer to a stop to the order."""
    session: Session = pile.session  # type: ignore[assignment]
    await pile.gateway.pool.run_surely(session.schema, _stop_answered, translate.stop_answer(m))


def _stop_answered(answer: Any) -> None:
    orders.stop_answered(answer)
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.STOP,
        connector_no=answer.connector_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
    )


@on(0x3B)
@on(0x3D)
def transaction_record(pile: PileConsumer, frame: bytes) -> None:
    """Queue the record; the group commit answers 0x40 once it is stored (YKC V1.6, 7.5)."""
    if frame[4]:
        DECODE[frame[5]](frame)  # raises EncryptedFrame
    pile.gateway.records.put(pile, frame)
