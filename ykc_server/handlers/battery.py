"""What the car's battery says of itself (GB/T 27930)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ykc_server.handlers.registry import on

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer


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
