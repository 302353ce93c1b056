"""Every operation, asked with what its description allows and with what it does not: answers are as it says.

Schemathesis makes the requests from docs/openapi.yaml and checks the answers: no 500, only the status codes, content
type, headers and bodies that are described. A driver is signed in who has one of everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.miniapp.authentication import token_for
from tests.apps.miniapp.test_openapi import COMMITTED
from tests.wall.stock import Stock, stock

pytestmark = pytest.mark.slow
SCHEMA = schemathesis.openapi.from_path(COMMITTED)
OPERATIONS = [result.ok() for result in SCHEMA.get_all_operations()]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 10
"""Of each kind: in all twenty for an operation."""

NOTHING_WRONG = {
    "GET /api/v1/activities/banners",
    "GET /api/v1/agreements",
    "GET /api/v1/app",
    "GET /api/v1/cities",
    "GET /api/v1/connectors/{code}",
}
"""What takes no parameter at all, or any text."""
CASES = [
    pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or operation.label not in NOTHING_WRONG
]

bounded = hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def mine(tenant, settings) -> Iterator[Stock]:
    """Everything that a driver may have. As with Django's own client, requests leave the test's connection open."""
    settings.DRIVER_REQUESTS_PER_MINUTE = 1_000_000
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield stock()
    for signal in signals:
        signal.connect(close_old_connections)


def known(mine: Stock) -> dict[str, str]:
    """Numbers that are there, by the names of paths' parameters."""
    return {
        "station_no": mine.station_no,
        "code": f"{mine.pile_code}01",
        "order_no": mine.settled.order_no,
        "recharge_no": mine.open_recharge_no,
        "vehicle_id": str(mine.vehicle_id),
        "message_id": str(mine.message_id),
        "activity_id": str(mine.activity_id),
        "application_no": mine.invoice_no,
        "feedback_no": mine.feedback_no,
        "kind": "privacy",
        "number": mine.device,
        "title_id": str(mine.title_id),
    }


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_answers_are_as_described(mine: Stock, operation: Any, mode: GenerationMode) -> None:
    token = token_for(mine.customer)
    numbers = known(mine) | {
        "refund_no": mine.order_refund_no if "order-refunds" in operation.path else mine.refund_no
    }
    if operation.path.startswith("/api/v1/charges/"):
        numbers["order_no"] = mine.live.order_no
    names = {parameter.name for parameter in operation.path_parameters}
    given_numbers = {name: numbers[name] for name in names} if mode is GenerationMode.POSITIVE else None

    @bounded
    @given(operation.as_strategy(generation_mode=mode, path_parameters=given_numbers))
    def check(case: Any) -> None:
        answer = case.call(
            base_url="http://alpha.test",
            headers={"Authorization": f"Bearer {token}", "Accept-Language": "en"},
            app=WSGIHandler(),
        )
        # A provider that is away is described where it can be, and is no fault of ours.
        checks = CHECKS[1:] if answer.status_code == 503 else CHECKS
        case.validate_response(answer, checks=checks)
        answers.append(answer.status_code)

    answers: list[int] = []
    check()
    assert answers


def test_nothing_is_left_out() -> None:
    assert len(OPERATIONS) == sum(
        method in {"get", "post"} for methods in SCHEMA.raw_schema["paths"].values() for method in methods
    )
