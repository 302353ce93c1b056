"""Pages of cards and vehicles in the back office."""

import pytest

from apps.backoffice.models import AuditEntry
from apps.customers.models import Card, CardState, Vehicle
from tests import factories
from tests.staff import boss

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture
def staff(tenant):
    return boss("alpha.test")


def test_a_card_is_added_as_it_is_typed_and_frozen(staff):
    customer = factories.a_customer("0")
    form = {"customer": customer.pk, "logical_no": "12345678", "physical_no": "d14b0a54"}
    assert staff.post("/admin/customers/card/add/", form).status_code == 302
    card = Card.objects.get()
    assert (card.physical_no, card.state) == ("00000000D14B0A54", CardState.ACTIVE)
    url = f"/admin/customers/card/{card.pk}/state/"
    staff.post(url, {"_form_submitted": "on", "state": "frozen"})
    card.refresh_from_db()
    assert card.state == CardState.FROZEN
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"customers.card_added", "customers.card_state_changed"} <= actions


def test_chip_numbers_that_are_none_are_refused(staff):
    form = {"customer": factories.a_customer("0").pk, "logical_no": "1", "physical_no": "xyz"}
    assert staff.post("/admin/customers/card/add/", form).status_code == 200
    assert not Card.objects.exists()


def test_a_vehicle_needs_a_real_plate(staff):
    form = {"customer": factories.a_customer("0").pk, "plate": "沪A·12345"}
    assert staff.post("/admin/customers/vehicle/add/", form | {"plate": "12345"}).status_code == 200
    assert staff.post("/admin/customers/vehicle/add/", form | {"plug_and_charge": "on"}).status_code == 200
    assert not Vehicle.objects.exists()
    assert staff.post("/admin/customers/vehicle/add/", form).status_code == 302
    assert Vehicle.objects.get().plate == "沪A12345"


def test_a_customer_has_one_default_vehicle(staff):
    customer = factories.a_customer("0")
    form = {"customer": customer.pk, "is_default": "on"}
    for plate in ("沪A12345", "沪A54321"):
        assert staff.post("/admin/customers/vehicle/add/", form | {"plate": plate}).status_code == 302
    assert list(Vehicle.objects.filter(is_default=True).values_list("plate", flat=True)) == ["沪A54321"]
