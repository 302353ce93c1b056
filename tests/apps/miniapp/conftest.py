from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from apps.customers.models import Customer
from apps.miniapp.authentication import token_for

_keys = itertools.count(1)


class Caller:
    """The mini-program of one driver: JSON in, JSON out."""

    def __init__(self, token: str = "", host: str = "alpha.test", **headers: str) -> None:
        if token:
            headers["authorization"] = f"Bearer {token}"
        self.client = Client(headers={"host": host, **headers}, raise_request_exception=False)

    def get(self, path: str, **query: Any) -> Any:
        return self.client.get(f"/api/v1/{path}", query)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.client.post(
            f"/api/v1/{path}",
            json.dumps({} if body is None else body),
            content_type="application/json",
            headers=headers,
        )

    def start(self, connector_code: str, preset: str | None = None, key: str = "") -> Any:
        return self.post(
            "charges",
            {"connector_code": connector_code, "preset_amount": preset},
            **{"idempotency-key": key or f"key-{next(_keys)}"},
        )


@pytest.fixture
def anybody() -> Caller:
    """An app that nobody has signed in to, in English."""
    return Caller(**{"accept-language": "en"})


@pytest.fixture
def app_of():
    """The app of a customer, in English."""

    def make(customer: Customer, host: str = "alpha.test", **headers: str) -> Caller:
        return Caller(str(token_for(customer)), host, **{"accept-language": "en", **headers})

    return make


@pytest.fixture(autouse=True)
def sms_log(settings, tmp_path: Path) -> Path:
    settings.SMS_LOG = tmp_path / "sms.log"
    return settings.SMS_LOG


def refusal(answer: Any) -> tuple[int, str]:
    """Status and code of an error answer, which must have the one shape."""
    body = answer.json()
    assert set(body) == {"code", "message", "data"}
    assert isinstance(body["message"], str)
    assert body["message"]
    assert isinstance(body["data"], dict)
    return answer.status_code, body["code"]
