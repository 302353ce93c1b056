from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from drf_spectacular.validation import validate_schema

from apps.miniapp import api
from tests.apps.miniapp.conftest import refusal

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.yaml"
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def generated() -> str:
    out = io.StringIO()
    call_command("spectacular", "--fail-on-warn", stdout=out)
    return out.getvalue()


@pytest.fixture(scope="module")
def document(generated: str) -> dict[str, Any]:
    return yaml.safe_load(generated)


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def test_the_committed_description_is_that_of_the_code(generated: str) -> None:
    assert generated.strip() == COMMITTED.read_text().strip(), (
        "docs/openapi.yaml is out of date: run `make openapi` (manage.py spectacular --file docs/openapi.yaml), "
        "look at the difference and commit it"
    )


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate_schema(document)
    assert document["openapi"] == "3.1.0"


def test_the_operations(document: dict[str, Any]) -> None:
    assert sorted(name.replace("/api/v1/", "") for name, _ in operations(document)) == [
        "get activities",
        "get activities/banners",
        "get activities/{activity_id}",
        "get agreements",
        "get agreements/{kind}",
        "get app",
        "get charges/{order_no}",
        "get cities",
        "get connectors/{code}",
        "get connectors/{code}/coupons",
        "get coupons",
        "get coupons/offers",
        "get enterprise",
        "get feedback",
        "get feedback/{feedback_no}",
        "get invoice-options",
        "get invoice-orders",
        "get invoice-titles",
        "get invoice-titles/{title_id}",
        "get invoices",
        "get invoices/{application_no}",
        "get map",
        "get me",
        "get me/consents",
        "get me/data-export",
        "get me/deletion",
        "get me/devices",
        "get messages",
        "get messages/unread",
        "get order-counts",
        "get order-refunds",
        "get order-refunds/{refund_no}",
        "get orders",
        "get orders/{order_no}",
        "get stations",
        "get stations/{station_no}",
        "get stations/{station_no}/coupons",
        "get vehicles",
        "get vehicles/{vehicle_id}",
        "get wallet",
        "get wallet/recharge-options",
        "get wallet/recharges",
        "get wallet/recharges/{recharge_no}",
        "get wallet/refunds",
        "get wallet/refunds/{refund_no}",
        "get wallet/statement",
        "post auth/alipay",
        "post auth/bind-phone",
        "post auth/login",
        "post auth/logout",
        "post auth/refresh",
        "post auth/sms-code",
        "post auth/wechat",
        "post charges",
        "post charges/{order_no}/stop",
        "post charges/{order_no}/ticket",
        "post coupons",
        "post enterprise/join",
        "post enterprise/leave",
        "post enterprise/payer",
        "post feedback",
        "post feedback/photos",
        "post feedback/{feedback_no}",
        "post invoice-titles",
        "post invoice-titles/{title_id}",
        "post invoice-titles/{title_id}/remove",
        "post invoices",
        "post invoices/{application_no}/cancel",
        "post me/avatar",
        "post me/avatar/ticket",
        "post me/consents",
        "post me/data-export",
        "post me/deletion",
        "post me/devices/{number}/sign-out",
        "post me/phone",
        "post me/phone/code",
        "post me/profile",
        "post messages/read",
        "post messages/{message_id}/read",
        "post order-refunds/{refund_no}/cancel",
        "post orders/{order_no}/refunds",
        "post quotes",
        "post vehicles",
        "post vehicles/{vehicle_id}",
        "post vehicles/{vehicle_id}/default",
        "post vehicles/{vehicle_id}/remove",
        "post wallet/recharges",
        "post wallet/recharges/{recharge_no}/sandbox-pay",
        "post wallet/refunds",
        "post wallet/refunds/{refund_no}/cancel",
    ]


def test_each_answer_has_an_example_with_the_fields_of_its_schema(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def check(value: Any, schema: dict[str, Any], where: str) -> None:
        if "$ref" in schema:
            schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
        for choice in schema.get("oneOf", []):
            if value is not None and choice.get("type") != "null":
                check(value, choice, where)
        if isinstance(value, dict) and "properties" in schema:
            assert sorted(value) == sorted(schema["properties"]), where
            for name, inner in schema["properties"].items():
                check(value[name], inner, f"{where}.{name}")
        if isinstance(value, list) and "items" in schema:
            for item in value:
                check(item, schema["items"], f"{where}[]")

    for name, operation in operations(document):
        assert operation["summary"]
        for status, response in operation["responses"].items():
            content = response["content"]["application/json"]
            (example,) = content["examples"].values()
            check(example["value"], content["schema"], f"{name} {status}")


def test_errors_have_one_shape(document: dict[str, Any]) -> None:
    shapes = {
        response["content"]["application/json"]["schema"]["$ref"]
        for _, operation in operations(document)
        for status, response in operation["responses"].items()
        if int(status) >= 400
    }
    assert shapes == {"#/components/schemas/ErrorOutput"}


def test_starts_and_top_ups_ask_for_a_key(document: dict[str, Any]) -> None:
    with_key = {
        name
        for name, operation in operations(document)
        for parameter in operation.get("parameters", [])
        if parameter["name"] == "Idempotency-Key" and parameter.get("required")
    }
    assert with_key == {
        "post /api/v1/auth/alipay",
        "post /api/v1/auth/bind-phone",
        "post /api/v1/auth/refresh",
        "post /api/v1/auth/wechat",
        "post /api/v1/me/avatar/ticket",
        "post /api/v1/me/phone",
        "post /api/v1/charges",
        "post /api/v1/coupons",
        "post /api/v1/feedback",
        "post /api/v1/feedback/{feedback_no}",
        "post /api/v1/invoices",
        "post /api/v1/orders/{order_no}/refunds",
        "post /api/v1/wallet/recharges",
        "post /api/v1/wallet/refunds",
    }


@pytest.mark.usefixtures("tenant")
def test_description_and_its_page_are_served_from_here(anybody) -> None:
    schema = anybody.get("schema/")
    assert (schema.status_code, yaml.safe_load(schema.content)["openapi"]) == (200, "3.1.0")
    page = anybody.get("docs/")
    assert page.status_code == 200
    assert "/static/drf_spectacular_sidecar/" in page.content.decode()
    assert "//cdn" not in page.content.decode()


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize("path", ["", "nothing", "stations/", "charges/a/b/c", "orders/a%00b", "schema"])
def test_other_paths_are_404_in_the_one_shape(anybody, path: str) -> None:
    assert refusal(anybody.get(path)) == (404, "not_found")
    assert refusal(anybody.post(path)) == (404, "not_found")


@pytest.mark.parametrize(
    ("price", "text"),
    [
        ("1", "1.00"),
        ("1.2", "1.20"),
        ("1.25000", "1.25"),
        ("0.12345", "0.12345"),
        ("1.23400", "1.234"),
        ("10", "10.00"),
    ],
)
def test_prices_show_their_significant_places(price: str, text: str) -> None:
    from decimal import Decimal

    assert api.price_text(Decimal(price)) == text
