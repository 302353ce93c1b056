from __future__ import annotations

import pytest

from apps.customers.models import Vehicle
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
VIN = "LFV3A23C0A3000001"


def plates(answer) -> list[tuple[str, bool]]:
    return [(one["plate"], one["is_default"]) for one in answer.json()["items"]]


def test_a_drivers_cars(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    first = app.post("vehicles", {"plate": "苏a·d1234 5"})
    assert first.status_code == 201
    assert first.json() == {
        "id": first.json()["id"],
        "plate": "苏AD12345",
        "vin": "",
        "plug_and_charge": False,
        "is_default": True,
    }
    second = app.post(
        "vehicles", {"plate": "沪A12345", "vin": VIN.lower(), "plug_and_charge": True, "is_default": True}
    ).json()
    assert (second["vin"], second["plug_and_charge"]) == (VIN, True)
    assert plates(app.get("vehicles")) == [("沪A12345", True), ("苏AD12345", False)]
    made = app.post(f"vehicles/{first.json()['id']}/default").json()
    assert made["is_default"] is True
    assert plates(app.get("vehicles")) == [("苏AD12345", True), ("沪A12345", False)]
    changed = app.post(f"vehicles/{second['id']}", {"plate": "沪B12345"}).json()
    assert (changed["plate"], changed["vin"], changed["plug_and_charge"]) == ("沪B12345", "", False)
    assert app.get(f"vehicles/{second['id']}").json() == changed
    left = app.post(f"vehicles/{first.json()['id']}/remove")
    assert plates(left) == [("沪B12345", True)]
    assert refusal(app.post(f"vehicles/{first.json()['id']}/remove")) == (404, "customers.vehicle_not_found")


def test_a_removal_asked_for_again_is_answered_again(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    first, second = (app.post("vehicles", {"plate": plate}).json() for plate in ("苏A12345", "沪A12345"))
    path = f"vehicles/{first['id']}/remove"
    answers = [app.post(path, **{"idempotency-key": "one"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [plates(answer) for answer in answers] == [[("沪A12345", True)]] * 2
    missing = (404, "customers.vehicle_not_found")
    assert refusal(app.post(path, **{"idempotency-key": "another"})) == missing
    elsewhere = app_of(factories.a_customer("0"))
    other = f"vehicles/{second['id']}/remove"
    for _ in range(2):
        assert refusal(elsewhere.post(other, **{"idempotency-key": "one"})) == missing
    assert plates(app.get("vehicles")) == [("沪A12345", True)]


def test_the_same_car_again_is_the_one_that_is_there(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    first, again = (app.post("vehicles", {"plate": "苏A12345"}) for _ in range(2))
    assert (first.json(), again.status_code) == (again.json(), 201)
    other = app.post("vehicles", {"plate": "苏A12345", "vin": VIN})
    assert refusal(other) == (409, "customers.vehicle_taken")
    elsewhere = app_of(factories.a_customer("0"))
    elsewhere.post("vehicles", {"vin": VIN})
    assert refusal(app.post("vehicles", {"vin": VIN})) == (409, "customers.vehicle_taken")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("plate", {}),
        ("plate", {"plate": "ABC"}),
        ("plate", {"plate": "苏A1234"}),
        ("plate", {"plate": "苏AD123456"}),
        ("plate", {"plate": "苏I12345"}),
        ("plate", {"plate": "苏A1O345"}),
        ("vin", {"vin": VIN[:-1]}),
        ("vin", {"vin": VIN[:-1] + "O"}),
        ("vin", {"vin": VIN + "1"}),
        ("vin", {"plate": "苏A12345", "plug_and_charge": True}),
    ],
)
def test_cars_that_are_none(app_of, field: str, body: dict[str, object]) -> None:
    answer = app_of(factories.a_customer("0")).post("vehicles", body)
    assert refusal(answer) == (400, "invalid")
    assert list(answer.json()["data"]["fields"]) == [field]
    assert Vehicle.objects.count() == 0


@pytest.mark.parametrize(
    "plate", ["京A12345", "粤BD12345", "粤B12345D", "粤Z1234港", "苏A1234挂", "使123456"]
)
def test_plates_of_all_kinds(app_of, plate: str) -> None:
    assert app_of(factories.a_customer("0")).post("vehicles", {"plate": plate}).status_code == 201


def test_no_more_than_ten(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    codes = [app.post("vehicles", {"plate": f"苏A1234{number}"}).status_code for number in range(10)]
    assert codes == [201] * 10
    assert refusal(app.post("vehicles", {"plate": "苏A99999"})) == (409, "customers.too_many_vehicles")


def test_another_drivers_car_is_not_there(app_of) -> None:
    owner, app = app_of(factories.a_customer("0")), app_of(factories.a_customer("0"))
    number = owner.post("vehicles", {"plate": "苏A12345"}).json()["id"]
    missing = (404, "customers.vehicle_not_found")
    assert refusal(app.get(f"vehicles/{number}")) == missing
    assert refusal(app.post(f"vehicles/{number}", {"plate": "苏A54321"})) == missing
    assert refusal(app.post(f"vehicles/{number}/default")) == missing
    assert refusal(app.post(f"vehicles/{number}/remove")) == missing
    assert refusal(app.get("vehicles/" + "9" * 30)) == missing
    assert plates(owner.get("vehicles")) == [("苏A12345", True)]


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(app_of, django_assert_num_queries, count: int) -> None:
    app = app_of(factories.a_customer("0"))
    for number in range(count):
        app.post("vehicles", {"plate": f"苏A1234{number}"})
    with django_assert_num_queries(5):  # three choose the tenant
        assert len(app.get("vehicles").json()["items"]) == count
