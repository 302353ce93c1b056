"""What the car's battery says of itself (GB/T 27930), passed on by DC piles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ykc_server import translate
from ykc_server.handlers.registry import on
from ykc_server.protocol import DECODE
from ykc_server.protocol.messages import BmsDemand, BmsInfo, BmsMessage
from ykc_server.session import Gun, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer


@on(0x23)
def demand(pile: PileConsumer, frame: bytes) -> None:
    """What the battery asks for, as a row of telemetry."""
    m: BmsDemand = DECODE[0x23](frame)  # type: ignore[assignment]
    if (gun := _gun(pile, m, frame)) is not None:
        pile.gateway.telemetry.demand(gun, m)


@on(0x25)
def state(pile: PileConsumer, frame: bytes) -> None:
    """Temperatures and state of the battery, as a row of telemetry."""
    m: BmsInfo = DECODE[0x25](frame)  # type: ignore[assignment]
    if (gun := _gun(pile, m, frame)) is not None:
        pile.gateway.telemetry.battery(gun, m)


@on(0x15)
@on(0x17)
@on(0x19)
@on(0x1B)
@on(0x1D)
@on(0x21)
def fact(pile: PileConsumer, frame: bytes) -> None:
    """What is said once in a charge goes to the order. A pile that repeats itself costs one look-up per call."""
    m: Any = DECODE[frame[5]](frame)
    if (gun := _gun(pile, m, frame)) is not None:
        report = translate.battery_report(gun, m)
        pile.gateway.battery_reports.put(gun.session.schema, (gun, report.kind), report)


def _gun(pile: PileConsumer, m: BmsMessage, frame: bytes) -> Gun | None:
    session: Session = pile.session  # type: ignore[assignment]
    if m.pile_no != session.pile_no:
        pile.foreign(frame)
        return None
    gun = session.guns.get(m.gun_no)
    if gun is None:
        pile.pass_over(frame, "unknown_gun")
    return gun
