from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
import pytest
import time_machine
from django.conf import settings as django_settings
from django_tenants.utils import schema_context
from rest_framework_simplejwt.tokens import AccessToken

from apps.customers import sessions
from apps.customers.models import Customer, CustomerState
from apps.miniapp.authentication import DriverToken, refresh_token_for, ticket_for, token_for
from tests import factories
from tests.apps.miniapp.conftest import Caller, refusal

pytestmark = pytest.mark.usefixtures("tenant")
PHONE = "+8613900000001"
SIGN_IN_AGAIN = (401, "auth.invalid_token")


def code_in(sms_log: Path) -> str:
    return sms_log.read_text().split()[-1]


def test_a_driver_signs_in_with_the_code(anybody, sms_log: Path) -> None:
    asked = anybody.post("auth/sms-code", {"phone": "139 0000 0001"})
    assert (asked.status_code, asked.json()) == (200, {"expires_in_s": 300, "resend_after_s": 60})
    answer = anybody.post("auth/login", {"phone": "13900000001", "code": code_in(sms_log)})
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"token", "expires_at", "refresh_token", "refresh_expires_at", "device", "customer"}
    assert (body["customer"]["phone"], body["customer"]["nickname"]) == (PHONE, "")
    left = datetime.fromisoformat(body["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    me = Caller(body["token"]).get("me")
    assert me.status_code == 200
    assert me.json() == {**body["customer"], "live_order_no": None, "consent_needed": False}


def test_known_and_unknown_phones_get_the_same_answer(anybody) -> None:
    factories.a_customer("0", phone=PHONE)
    known = anybody.post("auth/sms-code", {"phone": PHONE})
    unknown = anybody.post("auth/sms-code", {"phone": "+8613900000002"})
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    wrong = [anybody.post("auth/login", {"phone": p, "code": "000000"}) for p in (PHONE, "+8613900000003")]
    assert wrong[0].json() == wrong[1].json()
    assert refusal(wrong[0]) == (400, "customers.code_wrong")


def test_me_names_the_charge_that_is_going_on(app_of) -> None:
    customer = factories.a_customer()
    order = factories.a_charging_order(customer=customer)
    assert app_of(customer).get("me").json()["live_order_no"] == order.order_no


def test_a_second_code_within_a_minute_is_refused_with_the_time_to_wait(anybody) -> None:
    with time_machine.travel(datetime(2026, 11, 20, 4, tzinfo=UTC), tick=False) as clock:
        anybody.post("auth/sms-code", {"phone": PHONE})
        clock.shift(15)
        answer = anybody.post("auth/sms-code", {"phone": PHONE})
    assert refusal(answer) == (429, "customers.too_many_codes")
    assert (answer["Retry-After"], answer.json()["data"]) == ("45", {"retry_after_s": "45"})
    assert answer.json()["message"] == "Too many codes were asked for. Please wait 45 seconds."


def test_ten_wrong_codes_lock_the_phone(anybody) -> None:
    for _ in range(10):
        assert anybody.post("auth/login", {"phone": PHONE, "code": "000000"}).status_code == 400
    answer = anybody.post("auth/login", {"phone": PHONE, "code": "000000"})
    assert refusal(answer) == (429, "customers.too_many_failures")
    assert 0 < int(answer["Retry-After"]) <= 900


def test_sixty_requests_a_minute_from_an_address(anybody) -> None:
    with time_machine.travel(datetime(2026, 11, 20, 4, tzinfo=UTC), tick=False) as clock:
        statuses = [anybody.post("auth/login", {}).status_code for _ in range(61)]
        assert statuses == [400] * 60 + [429]
        answer = anybody.post("auth/sms-code", {"phone": PHONE})
        assert refusal(answer) == (429, "throttled")
        assert answer["Retry-After"] == "60"
        clock.shift(60)
        assert anybody.post("auth/sms-code", {"phone": PHONE}).status_code == 200


@pytest.mark.parametrize("path", ["me", "orders", "wallet", "charges/C1"])
def test_without_a_token(anybody, path: str) -> None:
    answer = anybody.get(path)
    assert refusal(answer) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_tokens_that_are_no_good(app_of) -> None:
    customer = factories.a_customer("0")
    good = str(token_for(customer))
    assert Caller(good).get("me").status_code == 200
    head, claims, signature = good.split(".")
    payload = jwt.decode(good, options={"verify_signature": False})
    expired = DriverToken()
    expired.payload.update(token_for(customer).payload)
    expired.set_exp(from_time=datetime.now(UTC) - timedelta(days=8), lifetime=timedelta(days=7))
    session = customer.sessions.latest("id")
    nobody = token_for(Customer(pk=10**12), session)
    sessions.end(sessions.open_session(customer=customer))
    over = token_for(customer, customer.sessions.latest("id"))
    of_staff = AccessToken()
    of_staff["tenant"], of_staff["customer"] = "alpha", customer.pk
    bad = [
        f"{head}.{claims}.{signature[::-1]}",
        jwt.encode(payload, "another key of at least thirty-two bytes", algorithm="HS256"),
        jwt.encode(payload, "", algorithm="none"),
        jwt.encode({**payload, "customer": str(customer.pk)}, django_settings.SECRET_KEY, algorithm="HS256"),
        jwt.encode({**payload, "customer": 2**70}, django_settings.SECRET_KEY, algorithm="HS256"),
        *(
            jwt.encode({**payload, "session": word}, django_settings.SECRET_KEY, algorithm="HS256")
            for word in (None, 1, "x", [], uuid4().hex)
        ),
        str(expired),
        str(nobody),
        str(over),
        str(refresh_token_for(session)),
        str(of_staff),
        str(ticket_for(customer, "C1")),
        "x",
        "a b",
        "é",
        "x" * 5000,
    ]
    for token in bad:
        assert refusal(Caller(token).get("me")) == SIGN_IN_AGAIN, token
        assert refusal(Caller(token).get("stations", latitude=31, longitude=121)) == SIGN_IN_AGAIN, token


def test_a_token_is_for_its_tenant_alone(other_tenant) -> None:
    ours = factories.a_customer("0")
    with schema_context(other_tenant.schema_name):
        theirs = Customer.objects.create(pk=ours.pk, phone="+8613900000009")
        their_token = str(token_for(theirs))
    assert refusal(Caller(their_token).get("me")) == SIGN_IN_AGAIN
    assert refusal(Caller(str(token_for(ours)), "beta.test").get("me")) == SIGN_IN_AGAIN
    assert Caller(their_token, "beta.test").get("me").json()["phone"] == "+8613900000009"
    platform = Caller(their_token, "platform.test", **{"x-tenant": "beta"})
    assert platform.get("me").json()["phone"] == "+8613900000009"
    assert refusal(Caller(their_token, "platform.test", **{"x-tenant": "alpha"}).get("me")) == SIGN_IN_AGAIN


def test_blocking_works_at_once(app_of, anybody, sms_log: Path) -> None:
    customer = factories.a_customer("0", phone=PHONE)
    app = app_of(customer)
    Customer.objects.update(state=CustomerState.BLOCKED)
    assert refusal(app.get("me")) == (403, "customers.blocked")
    anybody.post("auth/sms-code", {"phone": PHONE})
    answer = anybody.post("auth/login", {"phone": PHONE, "code": code_in(sms_log)})
    assert refusal(answer) == (403, "customers.blocked")


def test_messages_are_in_the_readers_language() -> None:
    english, chinese = (
        Caller(**{"accept-language": language}).post("auth/login", {"phone": PHONE}).json()["data"]["fields"]
        for language in ("en", "zh-CN")
    )
    assert english == {"code": ["This field is required."]}
    assert chinese == {"code": ["该字段是必填项。"]}
