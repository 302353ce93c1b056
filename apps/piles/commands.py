"""What can be asked of any pile, whatever its protocol. Amounts are yuan, times aware."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, ClassVar

from apps.piles.enums import CommandKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Base of all commands; `payload()` is JSON-safe and `from_payload` its inverse."""

    kind: ClassVar[CommandKind]
    timeout_s: ClassVar[int] = 30

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
    billing_model_no: str
    tariff: dict[str, Any]
    push_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncTime(Command):
    kind = CommandKind.SYNC_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRealtime(Command):
    kind = CommandKind.READ_REALTIME
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
    cards: list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearCards(Command):
    """Delete cards from a pile's own list, by chip number."""

    kind = CommandKind.CLEAR_CARDS
    physical_nos: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryCards(Command):
    """Ask a pile which of these cards are in its own list, by chip number."""

    kind = CommandKind.QUERY_CARDS
    physical_nos: list[str]


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
    )
}


def from_payload(kind: str, payload: dict[str, Any]) -> Command:
    """Rebuild the command that `payload()` wrote."""
    values = dict(payload)
    if "balance" in values:
        values["balance"] = Decimal(values["balance"])
    return COMMANDS[kind](**values)
