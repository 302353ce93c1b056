"""Who may charge without the app: holders of cards, owners of cars that start by being plugged in, PINs at piles."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import TypeVar

import structlog
from django.contrib.auth.hashers import check_password, make_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from apps.common import limits
from apps.common.errors import DomainError, InvalidInput
from apps.common.limits import Window
from apps.common.time import now
from apps.customers.errors import (
    AccountUnknown,
    CardFrozen,
    CardTaken,
    CardUnknown,
    CustomerBlocked,
    PinWrong,
    VehicleTaken,
    VinUnknown,
)
from apps.customers.models import Card, CardState, Customer, CustomerState, Vehicle
from apps.tenancy import features

log = structlog.get_logger(__name__)

Row = TypeVar("Row", Card, Vehicle)

PIN = re.compile(r"\d{4,12}", re.ASCII)
PIN_FAILURES, PIN_WINDOW_S, PIN_LOCK_S = 5, 3600, 15 * 60
_CHINA = "+86"
_PLATE = re.compile(
    r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼]"
    r"[A-HJ-NP-Z]"
    # Five characters, of which the last may name what the car is for; new-energy plates have six.
    r"(?:[A-HJ-NP-Z0-9]{4}[A-HJ-NP-Z0-9挂学警港澳领]|[A-HJ-NP-Z0-9]{6})"
)
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
_EMBASSY = re.compile(r"使\d{6}", re.ASCII)


# --- Who stands at the pile -------------------------------------------------------------------------------


def card_of(*, numbers: Sequence[str]) -> Card:
    """Return the card of the first chip number that is known, usable and of a customer who may charge.

    Raises CardUnknown, CardFrozen, CustomerBlocked.
    """
    card = find_card(numbers=numbers)
    if card is None:
        raise CardUnknown
    if card.state != CardState.ACTIVE:
        raise CardFrozen
    _check_active(card.customer)
    return card


def find_card(*, numbers: Sequence[str]) -> Card | None:
    """Return the card of the first chip number that is known, in whatever state."""
    found = {
        card.physical_no: card
        for card in Card.objects.select_related("customer").filter(physical_no__in=list(numbers))
    }
    return next((found[number] for number in numbers if number in found), None)


def vehicle_of(*, vins: Sequence[str]) -> Vehicle:
    """Return the vehicle that starts by plugging in, of the first VIN that is known.

    Raises VinUnknown, CustomerBlocked.
    """
    vehicles = Vehicle.objects.select_related("customer").filter(vin__in=list(vins), plug_and_charge=True)
    found = {vehicle.vin: vehicle for vehicle in vehicles}
    vehicle = next((found[vin] for vin in vins if vin in found), None)
    if vehicle is None:
        raise VinUnknown
    _check_active(vehicle.customer)
    return vehicle


def account_of(*, digits: str) -> Customer:
    """Return the customer whose phone number was typed at a pile: China's without the country code, others with it.

    Raises AccountUnknown, CustomerBlocked.
    """
    number = digits.lstrip("0")
    found = {c.phone: c for c in Customer.objects.filter(phone__in=[f"{_CHINA}{number}", f"+{number}"])}
    customer = found.get(f"{_CHINA}{number}") or found.get(f"+{number}")
    if customer is None or not number:
        raise AccountUnknown
    _check_active(customer)
    return customer


def _check_active(customer: Customer) -> None:
    if customer.state != CustomerState.ACTIVE:
        raise CustomerBlocked


# --- PINs -------------------------------------------------------------------------------------------------


def pin_digest(pin: str) -> str:
    """Return how a pile sends a PIN: the middle 16 characters of the MD5, in lower case (YKC V1.6, 0x31)."""
    return hashlib.md5(pin.encode(), usedforsecurity=False).hexdigest()[8:24]


def set_pin(*, customer: Customer, pin: str) -> None:
    """Set the PIN for starts at piles, 4 to 12 digits; "" takes it away. Kept hashed. Raises InvalidInput."""
    if pin and not PIN.fullmatch(pin):
        raise InvalidInput(fields="pin: 4 to 12 digits")
    customer.pin = make_password(pin_digest(pin)) if pin else ""
    customer.save(update_fields=["pin", "updated_at"])


def check_pin(*, customer: Customer, digest: str) -> None:
    """Check the PIN as a pile sent it. Raises PinWrong, also without a PIN and after five wrong ones for 15 minutes."""
    at = now()
    guard = Window("pile-pin", str(customer.pk), PIN_WINDOW_S, PIN_FAILURES)
    with limits.trying([guard], at=at) as wait_s:
        if not customer.pin or wait_s:
            raise PinWrong
        if not check_password(digest.lower(), customer.pin):
            limits.fail(guard, at=at, lock_s=PIN_LOCK_S)
            log.info("pin_wrong", customer_id=customer.pk)
            raise PinWrong


# --- Cards and vehicles -----------------------------------------------------------------------------------


def add_card(*, customer: Customer, logical_no: str, physical_no: str, works_offline: bool = False) -> Card:
    """Register a card: the number printed on it (up to 16 digits), and the chip's (up to 16 hex digits).

    Raises InvalidInput, CardTaken when one of the numbers is another card's, and FeatureMissing where the tenant's
    package has no cards.
    """
    features.require("cards")
    card = Card(
        customer=customer,
        logical_no=logical_no.strip(),
        physical_no=physical_no.strip().upper().zfill(16),
        works_offline=works_offline,
    )
    return _saved(card, CardTaken)


def set_card_state(*, card: Card, state: CardState) -> str:
    """Freeze a card or let it work again. Returns the state before. A running charge goes on."""
    before = card.state
    card.state = state
    card.save(update_fields=["state", "updated_at"])
    return before


def add_vehicle(
    *,
    customer: Customer,
    plate: str = "",
    vin: str = "",
    plug_and_charge: bool = False,
    is_default: bool = False,
) -> Vehicle:
    """Register a car by plate, VIN or both.

    Raises InvalidInput, and VehicleTaken for a VIN that is registered already or a plate that the customer has.
    """
    vehicle = Vehicle(
        customer=customer, plate=plate, vin=vin, plug_and_charge=plug_and_charge, is_default=is_default
    )
    with transaction.atomic():
        saved = save_vehicle(vehicle)
        if is_default:
            customer.vehicles.exclude(pk=saved.pk).update(is_default=False)
    return saved


def save_vehicle(vehicle: Vehicle) -> Vehicle:
    """Write a car whose numbers are as somebody typed them. Raises as `add_vehicle`."""
    vehicle.plate, vehicle.vin = clean_plate(vehicle.plate), clean_vin(vehicle.vin)
    if not vehicle.plate and not vehicle.vin:
        raise InvalidInput(fields="plate: a plate or a VIN is needed")
    if vehicle.plug_and_charge and not vehicle.vin:
        raise InvalidInput(fields="vin: starting by plugging in needs the VIN")
    return _saved(vehicle, VehicleTaken)


def clean_vin(text: str) -> str:
    """Return a VIN in capitals without blanks and hyphens; "" stays. Raises InvalidInput.

    ISO 3779: 17 capitals and digits without I, O and Q. Only some countries' rules have a check digit, so cars from
    elsewhere would be refused if it were asked for.
    """
    vin = re.sub(r"[\s\-]", "", text).upper()
    if vin and not _VIN.fullmatch(vin):
        raise InvalidInput(fields="vin: not a vehicle identification number")
    return vin


def clean_plate(text: str) -> str:
    """Return a Chinese number plate without blanks and dots, in capitals; "" stays. Raises InvalidInput."""
    plate = re.sub(r"[\s·.\-]", "", text).upper()
    if plate and not _PLATE.fullmatch(plate) and not _EMBASSY.fullmatch(plate):
        raise InvalidInput(fields="plate: not a number plate")
    return plate


def _saved(row: Row, taken: type[DomainError]) -> Row:
    try:
        row.clean_fields(exclude=["customer"])
    except ValidationError as error:
        raise InvalidInput(fields=f"{next(iter(error.message_dict))}: not valid") from error
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise taken from error
    return row
