"""What is asked of piles, as frames."""

from __future__ import annotations

from typing import Any

from apps.common.time import now
from apps.piles.commands import (
    Command,
    ReadRealtime,
    SetBillingModel,
    StartCharge,
    StopCharge,
    SyncTime,
)
from apps.pricing.tariff import PRICE_UNIT, RateClass, Tariff
from ykc_server.protocol import Message
from ykc_server.protocol import messages as wire
from ykc_server.session import Prices
from ykc_server.translate.reports import WIRE_CLASSES
from ykc_server.translate.starts import start_command
from ykc_server.translate.upkeep import NotTranslatable, upkeep_command


def prices(billing_model_no: str, tariff: Tariff) -> Prices:
    """Return a tariff as the fields of 0x0A and 0x58, and as those of 0x85.

    A tariff of four classes gives a pile of five the valley's prices for its fifth, which no half hour has.
    """
    fields: dict[str, int | bytes] = {
        "loss_ratio": 0,
        "slot_rate_codes": bytes(rate_class.code for rate_class in tariff.slots),
    }
    for rate_class in WIRE_CLASSES:
        price = tariff.prices[rate_class]
        fields[f"{rate_class}_electricity_price"] = int(price.electricity / PRICE_UNIT)
        fields[f"{rate_class}_service_price"] = int(price.service / PRICE_UNIT)
    deepest = tariff.prices.get(RateClass.DEEP_VALLEY, tariff.prices[RateClass.VALLEY])
    five = fields | {
        "deep_valley_electricity_price": int(deepest.electricity / PRICE_UNIT),
        "deep_valley_service_price": int(deepest.service / PRICE_UNIT),
    }
    return Prices(billing_model_no, None if tariff.uses_five_classes else fields, five)


def billing_model(
    kind: type[wire.BillingModel], pile_no: bytes, known: Prices, *, five_prices: bool = False
) -> Message:
    """Return 0x0A or 0x58 (`kind`) with these prices for one pile, or 0x85 for one that knows five classes.

    Raises NotTranslatable for five rate classes and a pile that knows four.
    """
    fields: dict[str, Any] | None = known.fields
    if five_prices:
        kind, fields = wire.BillingSetFivePrices, known.five
    if fields is None:
        raise NotTranslatable("five_rate_classes")
    return kind(pile_no=pile_no, billing_model_no=bytes.fromhex(known.billing_model_no), **fields)


def time_sync(pile_no: bytes) -> Message:
    """Return 0x56 with the present time."""
    return wire.TimeSync(pile_no=pile_no, time=wire.TimeSync.spec.fields["time"].raw(now()))


def command_message(command: Command, pile_code: str, *, five_prices: bool = False) -> Message:
    """Return the frame of a command for a pile, which may know five rate classes.

    Raises NotTranslatable, FieldError or TariffError.
    """
    # Before the others: a start over several guns is a start too.
    if (message := start_command(command, pile_code)) is not None:
        return message
    match command:
        case StartCharge():
            return wire.RemoteStart.make(
                transaction_no=command.transaction_no,
                pile_no=pile_code,
                gun_no=command.connector_no,
                logical_card_no=command.logical_card_no,
                physical_card_no=command.physical_card_no,
                account_balance=command.balance,
            )
        case StopCharge():
            return wire.RemoteStop.make(pile_no=pile_code, gun_no=command.connector_no)
        case SetBillingModel():
            tariff = Tariff.from_json(command.tariff)
            known = prices(command.billing_model_no, tariff)
            return billing_model(wire.BillingSet, bytes.fromhex(pile_code), known, five_prices=five_prices)
        case SyncTime():
            return time_sync(bytes.fromhex(pile_code))
        case ReadRealtime():
            return wire.ReadRealtime.make(pile_no=pile_code, gun_no=command.connector_no)
    if (message := upkeep_command(command, pile_code)) is not None:
        return message
    raise NotTranslatable(f"no frame for {command.kind}")
