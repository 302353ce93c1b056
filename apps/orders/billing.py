"""A session as JSON in, its bill as JSON out: the form of `manage.py bill`, described in docs/worked-examples.md. Pure.

All numbers are decimal strings. A name that the form does not know is an error rather than ignored, since a discount
with a misspelt name would be lost without a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from apps.common.money import AmountError, parse_decimal
from apps.common.time import read_day
from apps.orders.discounts import AppliesTo, Coupon, CouponKind, EnterpriseDiscount, Fees, discount
from apps.orders.settlement import SettlementError, settle
from apps.pricing.tariff import RateClass, Tariff, TariffError
from apps.wallet.payment import PayOrder, pay

Choice = TypeVar("Choice", bound=StrEnum)

_RATIO_PLACES = 4


class BillInputError(ValueError):
    """A session that is not in the form; the message names the field."""


@dataclass(frozen=True)
class _Wallet:
    principal: Decimal
    bonus: Decimal
    order: PayOrder
    bonus_ratio: Decimal


def bill_session(session: Any) -> dict[str, Any]:
    """Bill one session through all steps: lines, enterprise discount, best coupon, wallet.

    Raises BillInputError for anything that is not in the form, and for energy in a class without a price.
    """
    fields = _fields(
        "session", session, required={"tariff", "energy_kwh", "wallet"}, optional={"enterprise", "coupons"}
    )
    try:
        tariff = Tariff.from_json({"prices": fields["tariff"]})
        bill = settle(_energies(fields["energy_kwh"]), tariff)
    except (TariffError, SettlementError) as error:
        raise BillInputError(str(error)) from None
    enterprise = _enterprise(fields.get("enterprise"))
    coupons = _coupons(fields.get("coupons"))
    wallet = _wallet(fields["wallet"])
    discounts = discount(Fees(bill.electricity_fee, bill.service_fee), enterprise, coupons)
    payable = discounts.payable
    paid = pay(payable.total, wallet.principal, wallet.bonus, wallet.order, wallet.bonus_ratio)
    how = f"{wallet.order} {wallet.bonus_ratio}" if wallet.order is PayOrder.RATIO else f"{wallet.order}"
    return {
        "lines": [
            {
                "class": line.rate_class.value,
                "electricity_fee": str(line.electricity_fee),
                "service_fee": str(line.service_fee),
            }
            for line in bill.lines
        ],
        "electricity_fee": str(bill.electricity_fee),
        "service_fee": str(bill.service_fee),
        "enterprise_discount": str(discounts.enterprise_discount),
        "coupon": discounts.coupon.id if discounts.coupon else None,
        "coupon_discount": str(discounts.coupon_discount),
        "electricity_payable": str(payable.electricity),
        "service_payable": str(payable.service),
        "payable": str(payable.total),
        "from_principal": str(paid.from_principal),
        "from_bonus": str(paid.from_bonus),
        "debt": str(paid.debt),
        "explanation": [
            *bill.explanation,
            *discounts.explanation,
            f"payable: electricity {payable.electricity} + service {payable.service} = {payable.total}",
            f"wallet ({how}): principal {paid.from_principal}, bonus {paid.from_bonus}, debt {paid.debt}",
        ],
    }


def _energies(data: Any) -> dict[RateClass, Decimal]:
    names = {rate_class.value for rate_class in RateClass}
    fields = _fields("energy_kwh", data, required=set(), optional=names)
    return {RateClass(name): _number(f"energy_kwh.{name}", text, 4) for name, text in fields.items()}


def _enterprise(data: Any) -> EnterpriseDiscount | None:
    if data is None:
        return None
    fields = _fields("enterprise", data, required={"percent_off"}, optional={"applies_to"})
    return EnterpriseDiscount(
        percent_off=_percent("enterprise.percent_off", fields["percent_off"]),
        applies_to=_choice("enterprise.applies_to", AppliesTo, fields.get("applies_to", "service")),
    )


def _coupons(data: Any) -> list[Coupon]:
    if data is None:
        return []
    if not isinstance(data, list):
        raise BillInputError("coupons is not a list")
    return [_coupon(f"coupons[{index}]", coupon) for index, coupon in enumerate(data)]


def _coupon(name: str, data: Any) -> Coupon:
    common = {"spend", "cap", "applies_to", "ends", "save", "percent_off"}
    given = _fields(name, data, required={"id", "kind"}, optional=common)
    fields = {key: value for key, value in given.items() if value is not None}
    kind = _choice(f"{name}.kind", CouponKind, fields.get("kind"))
    needed = "save" if kind is CouponKind.THRESHOLD else "percent_off"
    if needed not in fields:
        raise BillInputError(f"{name}: a {kind} coupon needs {needed}")
    if not isinstance(fields.get("id"), str):
        raise BillInputError(f"{name}.id is not a text")
    return Coupon(
        id=fields["id"],
        kind=kind,
        spend=_number(f"{name}.spend", fields.get("spend", "0"), 2),
        save=_number(f"{name}.save", fields.get("save", "0"), 2),
        percent_off=_percent(f"{name}.percent_off", fields.get("percent_off", "0")),
        cap=_number(f"{name}.cap", fields["cap"], 2) if "cap" in fields else None,
        applies_to=_choice(f"{name}.applies_to", AppliesTo, fields.get("applies_to", "service")),
        ends=_date(f"{name}.ends", fields["ends"]) if "ends" in fields else None,
    )


def _wallet(data: Any) -> _Wallet:
    fields = _fields("wallet", data, required={"principal", "bonus", "order"}, optional={"bonus_ratio"})
    order = _choice("wallet.order", PayOrder, fields["order"])
    text = fields.get("bonus_ratio")
    if text is None and order is PayOrder.RATIO:
        raise BillInputError("wallet.bonus_ratio is missing")
    ratio = _number("wallet.bonus_ratio", "0" if text is None else text, _RATIO_PLACES)
    if ratio > 1:
        raise BillInputError(f"wallet.bonus_ratio: {ratio} is more than 1")
    return _Wallet(
        principal=_number("wallet.principal", fields["principal"], 2),
        bonus=_number("wallet.bonus", fields["bonus"], 2),
        order=order,
        bonus_ratio=ratio,
    )


def _fields(name: str, data: Any, *, required: set[str], optional: set[str]) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise BillInputError(f"{name} is not an object")
    if missing := required - set(data):
        raise BillInputError(f"{name}: {', '.join(sorted(missing))} missing")
    if unknown := set(data) - required - optional:
        raise BillInputError(f"{name}: {', '.join(sorted(unknown))} not known")
    return data


def _number(name: str, text: Any, places: int) -> Decimal:
    try:
        value = parse_decimal(text, places)
    except AmountError as error:
        raise BillInputError(f"{name}: {error}") from None
    if value < 0:
        raise BillInputError(f"{name}: {value} is below zero")
    return value


def _percent(name: str, text: Any) -> Decimal:
    value = _number(name, text, _RATIO_PLACES)
    if value > 100:
        raise BillInputError(f"{name}: {value} is more than 100")
    return value.normalize() if value % 1 else value.quantize(Decimal(1))


def _choice(name: str, choices: type[Choice], value: Any) -> Choice:
    try:
        return choices(value)
    except ValueError:
        raise BillInputError(f"{name}: {value!r} is not one of {', '.join(choices)}") from None


def _date(name: str, text: Any) -> date:
    try:
        return read_day(text)
    except (TypeError, ValueError):
        raise BillInputError(f"{name}: {text!r} is not a date (YYYY-MM-DD)") from None
