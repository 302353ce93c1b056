"""Cards, vehicles and PINs."""

import pytest

from apps.common.errors import DomainError
from apps.customers import cards
from apps.customers.models import Vehicle
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")
VIN = "LSVAU2180N2183294"


@pytest.fixture
def customer():
    return factories.a_customer("0")


def code(call, **fields):
    with pytest.raises(DomainError) as error:
        call(**fields)
    return error.value.code


@pytest.mark.parametrize(
    ("typed", "plate"),
    [
        ("沪A12345", "沪A12345"),
        ("沪a·d1234 5", "沪AD12345"),
        ("京A1234警", "京A1234警"),
        ("使123456", "使123456"),
        ("", ""),
    ],
)
def test_plates(typed, plate):
    assert cards.clean_plate(typed) == plate


@pytest.mark.parametrize(
    "typed", ["A12345", "沪A1234", "沪A1234567", "沪I12345", "沪AI2345", "沪A1234O", "沪１12345"]
)
def test_what_is_no_plate(typed):
    assert code(cards.clean_plate, text=typed) == "invalid"


@pytest.mark.parametrize(
    "vin",
    ["LSVAU2180N218329", f"{VIN}1", VIN.replace("V", "I"), VIN.replace("V", "O"), VIN.replace("V", "Q")],
)
def test_what_is_no_vin(customer, vin):
    assert code(cards.add_vehicle, customer=customer, vin=vin) == "invalid"
    assert not Vehicle.objects.exists()


def test_a_vin_is_one_customers(customer):
    cards.add_vehicle(customer=customer, vin=VIN.lower(), plug_and_charge=True)
    assert cards.vehicle_of(vins=[VIN]).customer == customer
    assert code(cards.add_vehicle, customer=factories.a_customer("0"), vin=VIN) == "customers.vehicle_taken"


def test_a_vehicle_needs_something_to_be_known_by(customer):
    assert code(cards.add_vehicle, customer=customer) == "invalid"
    assert code(cards.add_vehicle, customer=customer, plate="沪A12345", plug_and_charge=True) == "invalid"


def test_one_vehicle_is_the_default(customer):
    first = cards.add_vehicle(customer=customer, plate="沪A12345", is_default=True)
    cards.add_vehicle(customer=customer, plate="沪A12346", is_default=True)
    first.refresh_from_db()
    assert not first.is_default


def test_card_numbers(customer):
    card = cards.add_card(customer=customer, logical_no="0012345678", physical_no="d14b0a54")
    assert card.physical_no == "00000000D14B0A54"
    again = {"customer": customer, "logical_no": "9", "physical_no": "D14B0A54"}
    assert code(cards.add_card, **again) == "customers.card_taken"
    assert code(cards.add_card, customer=customer, logical_no="x", physical_no="1") == "invalid"
    assert code(cards.add_card, customer=customer, logical_no="7", physical_no="xyz") == "invalid"


def test_a_pin_is_kept_hashed_as_piles_send_it(customer):
    # MD5 of 123456 is e10adc3949ba59abbe56e057f20f883e.
    assert cards.pin_digest("123456") == "49ba59abbe56e057"
    cards.set_pin(customer=customer, pin="123456")
    customer.refresh_from_db()
    assert "123456" not in customer.pin
    assert "49ba59abbe56e057" not in customer.pin
    cards.check_pin(customer=customer, digest="49BA59ABBE56E057")
    cards.set_pin(customer=customer, pin="")
    assert code(cards.check_pin, customer=customer, digest="49ba59abbe56e057") == "customers.pin_wrong"


@pytest.mark.parametrize("pin", ["123", "1" * 13, "12a4", "١٢٣٤"])
def test_what_is_no_pin(customer, pin):
    assert code(cards.set_pin, customer=customer, pin=pin) == "invalid"


def test_five_wrong_pins_lock_it(customer):
    cards.set_pin(customer=customer, pin="123456")
    right = cards.pin_digest("123456")
    for _ in range(5):
        assert code(cards.check_pin, customer=customer, digest="0" * 16) == "customers.pin_wrong"
    assert code(cards.check_pin, customer=customer, digest=right) == "customers.pin_wrong"
