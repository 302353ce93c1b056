"""Which function handles which frame type, and of which of the three kinds it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

Handler = Callable[["PileConsumer", Any], Any]
HOT: list[Handler | None] = [None] * 256
SLOW: list[Handler | None] = [None] * 256
GATE: list[Handler | None] = [None] * 256


def on(kind: int, *, gate: bool = False) -> Callable[[Handler], Handler]:
    """Register the handler of a frame type: plain functions get the frame, coroutines the decoded message."""

    def register(function: Handler) -> Handler:
        table = GATE if gate else SLOW if inspect.iscoroutinefunction(function) else HOT
        table[kind] = function
        return function

    return register
