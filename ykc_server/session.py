"""What a gateway process keeps of a pile that is logged in, and of each of its guns: a few hundred bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from apps.piles.enums import ConnectorState

if TYPE_CHECKING:
    from ykc_server.protocol import Dialect
    from ykc_server.protocol.messages import Realtime


@dataclass(frozen=True, slots=True)
class Prices:
    """A price version as it goes over the wire; one object for all piles that have it. Versions never change.

    `fields` holds the raw fields of the billing model without pile number and model number; None when the version
    has a fifth rate class, which frames 0x0A and 0x58 cannot carry. `five` holds those of 0x85, for piles that know
    a fifth class.
    """

    billing_model_no: str
    fields: dict[str, int | bytes] | None
    five: dict[str, int | bytes]


class Gun:
    """One connector of a logged-in pile with its last realtime data (raw wire form)."""

    __slots__ = (
        "asked",
        "charge",
        "connector_id",
        "connector_no",
        "has_fault",
        "last",
        "pushed_at",
        "reported_at",
        "row_head",
        "session",
        "told",
    )

    def __init__(self, session: Session, connector_id: int, connector_no: str) -> None:
        self.session = session
        self.connector_id = connector_id
        self.connector_no = connector_no
        self.last: Realtime | None = None
        self.reported_at = 0.0  # seconds since the epoch
        self.has_fault = False  # what heartbeats say
        self.told: tuple[ConnectorState, str, int] | None = None  # what the piles service was told last
        self.pushed_at = 0.0
        self.asked = False  # 0x12 was sent and is not answered
        self.charge = b""  # transaction number of the telemetry row that was packed last
        self.row_head = b""  # what all telemetry rows of that charge begin with


class Session:
    """A login: which pile of which tenant a connection is. `pile_no` is the code's 7 bytes on the wire."""

    __slots__ = (
        "asked",
        "connection_id",
        "dialect",
        "frames_kept_until",
        "guns",
        "pile_code",
        "pile_id",
        "pile_no",
        "prices",
        "prices_at",
        "schema",
        "since",
    )

    def __init__(
        self,
        *,
        schema: str,
        pile_id: int,
        pile_code: str,
        connection_id: str,
        connectors: list[tuple[int, str]],
        prices: Prices | None,
        since: float,
        dialect: Dialect,
        frames_kept_until: float = 0.0,
    ) -> None:
        self.schema = schema
        self.pile_id = pile_id
        self.pile_code = pile_code
        self.pile_no = bytes.fromhex(pile_code)
        self.connection_id = connection_id
        self.guns = {bytes.fromhex(number): Gun(self, pk, number) for pk, number in connectors}
        self.prices = prices
        self.prices_at = since
        self.since = since
        self.dialect = dialect  # one object for all piles that speak alike
        self.frames_kept_until = frames_kept_until  # seconds since the epoch, as it was at login
        self.asked = False  # guns that had not reported were sent 0x12

    def end(self) -> None:
        """Let go of the guns, which point back: the collector of circles hardly ever runs in this process."""
        self.guns = {}
