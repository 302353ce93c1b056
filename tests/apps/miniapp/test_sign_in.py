"""Signing in by WeChat and Alipay, one customer per phone, tokens that follow one another, devices, another number."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django_tenants.utils import schema_context

from apps.backoffice.models import AuditEntry
from apps.customers.models import Customer, CustomerIdentity, CustomerState, DriverSession
from apps.miniapp.authentication import BindingTicket, RefreshToken, refresh_token_for
from tests import factories
from tests.apps.customers.apps_of_drivers import Apps, apps, provider_servers  # noqa: F401
from tests.apps.miniapp.conftest import Caller, refusal

pytestmark = pytest.mark.usefixtures("tenant")
PHONE, OTHER = "+8613900000001", "+8613900000002"
SIGN_IN_AGAIN = (401, "auth.invalid_token")
PROVIDERS = ["wechat", "alipay"]
PROOF = {"wechat": "phone_code", "alipay": "phone"}
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) MicroMessenger/8.0.50"


def key(word: object) -> dict[str, str]:
    return {"idempotency-key": f"key-{word}"}


def code_in(sms_log: Path) -> str:
    return sms_log.read_text().split()[-1]


def by_sms(anybody: Caller, sms_log: Path, phone: str = PHONE) -> Any:
    assert anybody.post("auth/sms-code", {"phone": phone}).status_code == 200
    return anybody.post("auth/login", {"phone": phone, "code": code_in(sms_log)})


def enter(
    anybody: Caller,
    apps: Apps,  # noqa: F811
    provider: str,
    phone: str | None = None,
    word: object = 1,
) -> Any:
    body = {"code": apps.code(provider, "张三")}
    if phone:
        body[PROOF[provider]] = apps.proof(provider, phone.removeprefix("+86"))
    return anybody.post(f"auth/{provider}", body, **key(word))


def test_wechat_alipay_and_sms_of_one_phone_are_one_customer(
    apps: Apps,  # noqa: F811
    anybody: Caller,
    sms_log: Path,
) -> None:
    answers = [
        enter(anybody, apps, "wechat", phone=PHONE, word="a"),
        enter(anybody, apps, "alipay", phone=PHONE, word="b"),
        by_sms(anybody, sms_log),
        enter(anybody, apps, "wechat", word="c"),  # known by now: no number is asked for
        enter(anybody, apps, "alipay", word="d"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert {answer.json()["customer"]["phone"] for answer in answers} == {PHONE}
    customer = Customer.objects.get()
    identities = CustomerIdentity.objects.order_by("provider").values_list("provider", "customer_id")
    assert list(identities) == [("alipay", customer.pk), ("wechat", customer.pk)]
    assert [Caller(answer.json()["token"]).get("me").status_code for answer in answers] == [200] * 5
    methods = DriverSession.objects.order_by("id").values_list("method", flat=True)
    assert list(methods) == ["wechat", "alipay", "sms", "wechat", "alipay"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("way", ["button", "sms"])
def test_a_new_account_binds_a_phone_first(
    apps: Apps,  # noqa: F811
    anybody: Caller,
    sms_log: Path,
    provider: str,
    way: str,
) -> None:
    refused = enter(anybody, apps, provider)
    assert refusal(refused) == (403, "customers.phone_needed")
    assert not Customer.objects.exists(), "nobody is a customer without a number"
    ticket = refused.json()["data"]["bind_ticket"]
    body = {"ticket": ticket}
    if way == "sms":
        anybody.post("auth/sms-code", {"phone": PHONE})
        body |= {"phone": PHONE, "code": code_in(sms_log)}
    else:
        field = "phone_code" if provider == "wechat" else "phone_response"
        body |= {field: apps.proof(provider, PHONE.removeprefix("+86"))}
    answer = anybody.post("auth/bind-phone", body, **key("bind"))
    assert (answer.status_code, answer.json()["customer"]["phone"]) == (200, PHONE)
    again = anybody.post("auth/bind-phone", body, **key("bind"))
    assert again.json()["device"] == answer.json()["device"], "a lost answer is given again"
    assert CustomerIdentity.objects.get().customer.phone == PHONE
    assert enter(anybody, apps, provider, word=2).status_code == 200


def test_tickets_that_bind_nothing(apps: Apps, anybody: Caller, other_tenant: Any) -> None:  # noqa: F811
    ticket = enter(anybody, apps, "wechat").json()["data"]["bind_ticket"]
    proof = {"phone_code": apps.proof("wechat", "13900000001")}

    def bind(**body: str) -> Any:
        return anybody.post("auth/bind-phone", body, **key("x"))

    assert refusal(bind(ticket=ticket)) == (400, "invalid")
    assert refusal(bind(ticket=ticket, phone=PHONE)) == (400, "invalid")
    assert refusal(bind(ticket=ticket, phone=PHONE, code="000000", **proof)) == (400, "invalid")
    assert refusal(bind(ticket=ticket, phone=PHONE, code="000000")) == (400, "customers.code_wrong")
    assert refusal(bind(ticket=ticket, phone_code="x")) == (400, "customers.provider_refused")
    over = (400, "customers.binding_over")
    assert refusal(bind(ticket=ticket[:-2], **proof)) == over
    session = DriverSession(customer=Customer(pk=1), expires_at=datetime.now(UTC) + timedelta(days=1))
    assert refusal(bind(ticket=str(refresh_token_for(session)), **proof)) == over
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=11)):
        assert refusal(bind(ticket=ticket, **proof)) == over
    foreign = BindingTicket()
    foreign.payload.update(BindingTicket(ticket).payload, tenant="beta")
    assert refusal(bind(ticket=str(foreign), **proof)) == over
    assert not Customer.objects.exists()


def test_an_account_goes_with_the_number_that_was_proved_with_it(apps: Apps, anybody: Caller) -> None:  # noqa: F811
    first = enter(anybody, apps, "wechat", phone=PHONE, word=1).json()["customer"]
    second = enter(anybody, apps, "wechat", phone=OTHER, word=2).json()["customer"]
    assert (first["phone"], second["phone"]) == (PHONE, OTHER)
    assert CustomerIdentity.objects.get().customer.phone == OTHER
    assert enter(anybody, apps, "wechat", word=3).json()["customer"]["phone"] == OTHER
    Customer.objects.filter(phone=OTHER).update(state=CustomerState.BLOCKED)
    assert refusal(enter(anybody, apps, "wechat", word=4)) == (403, "customers.blocked")
    assert refusal(enter(anybody, apps, "wechat", phone=OTHER, word=5)) == (403, "customers.blocked")


def test_the_same_sign_in_again_is_answered_again(apps: Apps, anybody: Caller) -> None:  # noqa: F811
    body = {"code": apps.code("wechat", "张三"), "phone_code": apps.proof("wechat", "13900000001")}
    first, second = (anybody.post("auth/wechat", body, **key("a")).json() for _ in range(2))
    assert first["device"] == second["device"]
    assert DriverSession.objects.count() == 1
    other = anybody.post("auth/wechat", body, **key("b"))
    assert refusal(other) == (400, "customers.provider_refused"), "with another key the code is used"
    assert refusal(anybody.post("auth/wechat", body)) == (400, "idempotency.key_missing")


def test_a_sign_in_is_off_where_the_tenant_has_no_app(anybody: Caller) -> None:
    for provider in PROVIDERS:
        answer = anybody.post(f"auth/{provider}", {"code": "x"}, **key(provider))
        assert refusal(answer) == (404, "customers.sign_in_off")


# --- Tokens -----------------------------------------------------------------------------------------------


def refresh(anybody: Caller, token: str, word: object) -> Any:
    return anybody.post("auth/refresh", {"refresh_token": token}, **key(word))


def test_refresh_tokens_follow_one_another(anybody: Caller, sms_log: Path) -> None:
    with time_machine.travel(datetime(2026, 11, 20, 4, tzinfo=UTC), tick=False) as clock:
        first = by_sms(anybody, sms_log).json()
        clock.shift(timedelta(days=8))
        assert refusal(Caller(first["token"]).get("me")) == SIGN_IN_AGAIN
        second = refresh(anybody, first["refresh_token"], 1).json()
        assert set(second) == set(first) - {"customer"}
        assert Caller(second["token"]).get("me").status_code == 200
        assert second["refresh_expires_at"] > first["refresh_expires_at"], "it lives on where it is used"
        clock.shift(timedelta(days=89))
        third = refresh(anybody, second["refresh_token"], 2).json()
        clock.shift(timedelta(days=91))
        assert refusal(refresh(anybody, third["refresh_token"], 3)) == SIGN_IN_AGAIN


def test_a_refresh_token_that_comes_again_ends_the_family(anybody: Caller, sms_log: Path) -> None:
    login = by_sms(anybody, sms_log).json()
    first = refresh(anybody, login["refresh_token"], 1)
    again = refresh(anybody, login["refresh_token"], 1)
    assert (again.status_code, again.json()["device"]) == (200, first.json()["device"])
    newest = again.json()
    assert refresh(anybody, newest["refresh_token"], 2).status_code == 200
    assert refusal(refresh(anybody, newest["refresh_token"], 3)) == SIGN_IN_AGAIN, "a thief's, or its owner's"
    session = DriverSession.objects.get()
    assert (session.ended_because, session.generation) == ("reused", 3)
    assert refusal(Caller(newest["token"]).get("me")) == SIGN_IN_AGAIN
    assert refusal(refresh(anybody, login["refresh_token"], 4)) == SIGN_IN_AGAIN


def test_refresh_tokens_that_are_none(anybody: Caller, sms_log: Path, other_tenant: Any) -> None:
    login = by_sms(anybody, sms_log).json()
    good = login["refresh_token"]
    foreign = RefreshToken()
    foreign.payload.update(RefreshToken(good).payload, tenant="beta")
    for text in (login["token"], good[:-3], str(foreign), "x"):
        assert refusal(refresh(anybody, text, "x")) == SIGN_IN_AGAIN, text
    assert refusal(Caller(host="beta.test").post("auth/refresh", {"refresh_token": good}, **key(1))) == (
        401,
        "auth.invalid_token",
    )
    with schema_context(other_tenant.schema_name):
        assert not DriverSession.objects.exists()
    assert refusal(anybody.post("auth/refresh", {"refresh_token": good})) == (400, "idempotency.key_missing")
    Customer.objects.update(state=CustomerState.BLOCKED)
    assert refusal(refresh(anybody, good, 1)) == (403, "customers.blocked")
    Customer.objects.update(state=CustomerState.ACTIVE)
    assert refresh(anybody, good, 1).status_code == 200


# --- Devices ----------------------------------------------------------------------------------------------


def test_signing_out_here_and_elsewhere(app_of: Any) -> None:
    customer = factories.a_customer("0")
    phone, tablet = (app_of(customer, **{"user-agent": IPHONE}) for _ in range(2))
    DriverSession.objects.update(agent=IPHONE)
    rows = phone.get("me/devices").json()["items"]
    assert [row["is_this"] for row in rows] == [False, True]
    assert {row["name"] for row in rows} == {"WeChat · iPhone"}
    other = rows[0]["number"]
    left = phone.post(f"me/devices/{other}/sign-out").json()["items"]
    assert [row["is_this"] for row in left] == [True]
    assert refusal(tablet.get("me")) == SIGN_IN_AGAIN
    assert phone.post(f"me/devices/{other}/sign-out").json()["items"] == left, "done twice it is still done"
    stranger = app_of(factories.a_customer("0"))
    mine = left[0]["number"]
    assert refusal(stranger.post(f"me/devices/{mine}/sign-out")) == (404, "customers.session_unknown")
    assert phone.post("auth/logout").json() == {"items": []}
    assert refusal(phone.get("me")) == SIGN_IN_AGAIN
    assert list(DriverSession.objects.filter(customer=customer).values_list("ended_because", flat=True)) == [
        "from_elsewhere",
        "signed_out",
    ]


def test_the_device_that_was_not_used_for_longest_makes_room(app_of: Any) -> None:
    customer = factories.a_customer("0")
    with time_machine.travel(datetime(2026, 11, 20, 4, tzinfo=UTC), tick=False) as clock:
        first = app_of(customer)
        clock.shift(60)
        second = app_of(customer)
        clock.shift(1200)
        assert first.get("me").status_code == 200  # used last: it stays
        for _ in range(9):
            newest = app_of(customer)
        assert refusal(second.get("me")) == SIGN_IN_AGAIN
        assert [app.get("me").status_code for app in (first, newest)] == [200, 200]
    assert DriverSession.objects.get(ended_because="too_many").started_at.minute == 1


def test_writes_of_one_driver_are_limited(app_of: Any) -> None:
    customer = factories.a_customer("0")
    with time_machine.travel(datetime(2026, 11, 20, 4, tzinfo=UTC), tick=False):
        app, other = app_of(customer), app_of(factories.a_customer("0"))
        answers = [app.post("me/phone/code", {}).status_code for _ in range(121)]
        assert answers == [400] * 120 + [429]
        assert refusal(app.post("me/phone", {})) == (429, "throttled")
        assert app.get("me").status_code == 200
        assert other.post("me/phone/code", {}).status_code == 400


# --- Another number ---------------------------------------------------------------------------------------


def codes_of(app: Caller, sms_log: Path, new: str = OTHER) -> dict[str, str]:
    assert app.post("me/phone/code", {"to": "present"}).status_code == 200
    present = code_in(sms_log)
    assert app.post("me/phone/code", {"to": "new", "phone": new}).status_code == 200
    return {"phone": new, "present_code": present, "new_code": code_in(sms_log)}


def test_a_driver_changes_the_number(app_of: Any, anybody: Caller, sms_log: Path) -> None:
    customer = factories.a_customer("50.00", phone=PHONE)
    app, tablet = app_of(customer), app_of(customer)
    body = codes_of(app, sms_log)
    answer = app.post("me/phone", body, **key(1))
    assert (answer.status_code, answer.json()["phone"]) == (200, OTHER)
    assert app.post("me/phone", body, **key(1)).json() == answer.json(), "the same request, answered again"
    assert refusal(app.post("me/phone", {**body, "new_code": "1" * 6}, **key(1))) == (
        409,
        "idempotency.other_request",
    )
    assert app.get("me").json()["phone"] == OTHER
    assert refusal(tablet.get("me")) == SIGN_IN_AGAIN
    assert by_sms(anybody, sms_log, "+8613900000003").json()["customer"]["phone"] == "+8613900000003"
    customer.refresh_from_db()
    assert customer.phone == OTHER
    entry = AuditEntry.objects.get(action="customers.customer_phone_changed")
    assert entry.changes == {"phone": ["139****0001", "139****0002"]}


def test_numbers_that_are_not_changed(app_of: Any, sms_log: Path) -> None:
    customer = factories.a_customer("0", phone=PHONE)
    factories.a_customer("0", phone=OTHER)
    app = app_of(customer)
    assert refusal(app.post("me/phone/code", {"to": "new", "phone": PHONE})) == (
        409,
        "customers.phone_same",
    )
    assert refusal(app.post("me/phone/code", {"to": "new"})) == (400, "invalid")
    assert refusal(app.post("me/phone/code", {"to": "present", "phone": OTHER})) == (400, "invalid")
    body = codes_of(app, sms_log)
    swapped = {**body, "present_code": body["new_code"], "new_code": body["present_code"]}
    assert refusal(app.post("me/phone", swapped, **key(1))) == (400, "customers.code_wrong")
    # A number that somebody has is found out only by who can read its messages.
    assert refusal(app.post("me/phone", body, **key(2))) == (409, "customers.phone_taken")
    assert refusal(app.post("me/phone", body, **key(3))) == (400, "customers.code_wrong"), "codes work once"
    assert app.get("me").json()["phone"] == PHONE
