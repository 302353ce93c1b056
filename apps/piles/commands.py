"""What can be asked of any pile, whatever its protocol. Amounts are yuan, times aware."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, ClassVar

from apps.common.errors import InvalidInput
from apps.piles.enums import CommandKind

LEAST_POWER_PERCENT = 30
"""A pile's output can be limited to no less (YKC V1.6, 0x52)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Base of all commands; `payload()` is JSON-safe and `from_payload` its inverse.

    A command that `is_repeatable` does no harm when a pile gets it twice: it is sent again to a pile that comes back
    before the deadline.
    """

    kind: ClassVar[CommandKind]
    timeout_s: ClassVar[int] = 30
    is_repeatable: ClassVar[bool] = False

    def payload(self) -> dict[str, Any]:
        """Return the fields as JSON-safe values (decimals as strings)."""
        return {
            key: str(value) if isinstance(value, Decimal) else value for key, value in asdict(self).items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StartCharge(Command):
    """Start a transaction; `balance` (yuan) is where the pile stops by itself."""

    kind = CommandKind.START
    timeout_s = 90
    transaction_no: str
    connector_no: str
    balance: Decimal
    logical_card_no: str = "0" * 16
    physical_card_no: str = "0" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCharge(Command):
    kind = CommandKind.STOP
    connector_no: str
    transaction_no: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBillingModel(Command):
    """Give a pile its prices. `tariff` is pricing.tariff.Tariff.to_json(); `billing_model_no` 4 hex digits."""

    kind = CommandKind.SET_BILLING_MODEL
    is_repeatable = True
    billing_model_no: str
    tariff: dict[str, Any]
    push_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTime(Command):
    kind = CommandKind.SYNC_TIME
    is_repeatable = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRealtime(Command):
    kind = CommandKind.READ_REALTIME
    is_repeatable = True
    connector_no: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartParallel(StartCharge):
    """Start one gun of a charge over several; all carry the same `parallel_seq` (yyMMddHHmmss)."""

    kind = CommandKind.START_PARALLEL
    parallel_seq: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBalance(Command):
    """Tell a gun that charges its new balance, yuan: the whole of it, not the difference."""

    kind = CommandKind.SET_BALANCE
    connector_no: str
    balance: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncCards(Command):
    """Write cards into a pile's own list: [logical number, chip number] each."""

    kind = CommandKind.SYNC_CARDS
    is_repeatable = True
    cards: list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearCards(Command):
    """Delete cards from a pile's own list, by chip number."""

    kind = CommandKind.CLEAR_CARDS
    is_repeatable = True
    physical_nos: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryCards(Command):
    """Ask a pile which of these cards are in its own list, by chip number."""

    kind = CommandKind.QUERY_CARDS
    is_repeatable = True
    physical_nos: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetWork(Command):
    """Let a pile work or lock it, and limit its output to 30 to 100 percent. Both are set every time."""

    kind = CommandKind.SET_WORK
    is_locked: bool
    max_power_percent: int = 100

    def __post_init__(self) -> None:
        if not LEAST_POWER_PERCENT <= self.max_power_percent <= 100:
            raise InvalidInput(fields=f"max_power_percent: 30 to 100, not {self.max_power_percent}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(Command):
    """Restart a pile, at once or when none of its guns charges."""

    kind = CommandKind.REBOOT
    when_idle: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateFirmware(Command):
    """Have a pile fetch a program from an update server (UpdateServer) by FTP.

    User name and password are no part of it: who builds the frame reads them by `server_id`. `for_ac` and `power_kw`
    say which piles the program is made for. The answer comes after the attempt.
    """

    kind = CommandKind.UPDATE
    server_id: int
    host: str
    port: int
    path: str
    for_ac: bool
    power_kw: int
    when_idle: bool = True
    download_minutes: int = 30

    def __post_init__(self) -> None:
        for name, size in (("host", 16), ("path", 32)):
            text = getattr(self, name)
            if not text or not text.isascii() or not text.isprintable() or "\\" in text or len(text) > size:
                raise InvalidInput(fields=f"{name}: 1 to {size} ASCII characters, not {text!r}")
        for name, most in (("port", 65_535), ("power_kw", 65_535), ("download_minutes", 255)):
            if not 0 <= getattr(self, name) <= most:
                raise InvalidInput(fields=f"{name}: 0 to {most}, not {getattr(self, name)}")

    @property
    def timeout_s(self) -> int:  # type: ignore[override]
        """The download's own time, and some for the installation."""
        return 60 * self.download_minutes + 600


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveLock(Command):
    """Raise or lower the ground lock of a parking space."""

    kind = CommandKind.LOCK
    connector_no: str
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetQr(Command):
    """What a pile shows as QR code: the prefix, then its code, then the gun number if asked for. ASCII, at most 200."""

    kind = CommandKind.SET_QR
    is_repeatable = True
    prefix: str
    with_gun_no: bool = True

    def __post_init__(self) -> None:
        if not self.prefix.isascii() or not self.prefix.isprintable() or len(self.prefix) > 200:
            raise InvalidInput(fields="prefix: at most 200 ASCII characters")


COMMANDS: dict[str, type[Command]] = {
    command.kind.value: command
    for command in (
        StartCharge,
        StopCharge,
        SetBillingModel,
        SyncTime,
        ReadRealtime,
        StartParallel,
        SetBalance,
        SyncCards,
        ClearCards,
        QueryCards,
        SetWork,
        Reboot,
        UpdateFirmware,
        MoveLock,
        SetQr,
    )
}


def from_payload(kind: str, payload: dict[str, Any]) -> Command:
    """Rebuild the command that `payload()` wrote."""
    values = dict(payload)
    if "balance" in values:
        values["balance"] = Decimal(values["balance"])
    return COMMANDS[kind](**values)
