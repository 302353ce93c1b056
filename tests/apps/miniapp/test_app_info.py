"""What an app learns before anybody signs in, and what drivers agree to."""

from __future__ import annotations

from typing import Any

import pytest

from apps.common.ids import Actor
from apps.customers.errors import ConsentNeeded
from apps.customers.models import Consent, DriverAppSettings, MiniProgram
from apps.orders.enums import OrderSource
from apps.orders.models import Order
from apps.orders.services import start_charge
from apps.tenancy import hosts
from apps.tenancy.models import Package
from apps.wallet.models import Recharge
from tests import factories
from tests.apps.miniapp.conftest import Caller, refusal

pytestmark = pytest.mark.usefixtures("tenant")


def test_an_app_before_anything_is_set_up(anybody: Caller, tenant: Any) -> None:
    answer = anybody.get("app")
    assert answer.status_code == 200
    assert answer.json() == {
        "name": tenant.name,
        "logo": "",
        "colour": "#0e9f6e",
        "service_phone": "",
        "service_hours": "",
        "about": "",
        "filing_number": "",
        "home": "list",
        "elder_mode": False,
        "languages": ["zh-hans", "en"],
        "sign_in": [{"way": "sms", "app_id": ""}],
        "features": ["coupons", "enterprises", "vehicles"],
        "agreements": [],
        "subscriptions": [],
    }


def test_an_app_as_the_tenant_has_it(anybody: Caller, tenant: Any) -> None:
    package = Package.objects.create(code="small", name="小", features=["enterprises"])
    type(tenant).objects.filter(pk=tenant.pk).update(
        package=package, colour="#112233", logo_digest="0123456789abcdef"
    )
    hosts.forget()
    DriverAppSettings.objects.update(
        service_phone="400-800-1234", home="map", elder_mode=True, english=False, shows_vehicles=False
    )
    MiniProgram.objects.create(provider="wechat", app_id="wx0123456789abcdef", secret="s")
    MiniProgram.objects.create(provider="alipay", app_id="2021000000000001", secret="s", is_active=False)
    factories.an_agreement()
    found = anybody.get("app").json()
    assert (found["logo"], found["colour"]) == ("/logo/alpha/0123456789abcdef.png", "#112233")
    assert (found["service_phone"], found["home"], found["elder_mode"]) == ("400-800-1234", "map", True)
    assert (found["languages"], found["features"]) == (["zh-hans"], ["enterprises"])
    assert found["sign_in"] == [
        {"way": "sms", "app_id": ""},
        {"way": "wechat", "app_id": "wx0123456789abcdef"},
    ]
    assert [(one["kind"], one["version"]) for one in found["agreements"]] == [("privacy", 1)]
    assert "secret" not in str(found)


def test_no_money_is_taken_before_the_driver_has_agreed(app_of: Any) -> None:
    customer, gun = factories.a_customer(), factories.a_connector()
    app = app_of(customer)

    def pay(key: str) -> Any:
        asked = {"amount": "10.00", "channel": "sandbox"}
        return app.post("wallet/recharges", asked, **{"idempotency-key": key})

    assert pay("before").status_code == 201
    factories.an_agreement("terms", title="用户协议")
    factories.an_agreement("recharge", title="充值协议")
    refused = app.start(gun.code, key="one")
    assert refusal(refused) == (409, "customers.consent_needed")
    assert refused.json()["data"]["agreements"] == [{"kind": "terms", "version": 1, "title": "用户协议"}]
    assert "用户协议" in refused.json()["message"]
    assert not Order.objects.exists()
    assert pay("before").status_code == 201  # answered as before
    assert [one["kind"] for one in pay("after").json()["data"]["agreements"]] == ["terms", "recharge"]
    assert Recharge.objects.filter(request_key="after").count() == 0
    app.post("me/consents", {"agreements": [{"kind": "terms", "version": 1}]})
    started = app.start(gun.code, key="one")
    assert started.status_code == 201
    assert [one["kind"] for one in pay("after").json()["data"]["agreements"]] == ["recharge"]
    app.post("me/consents", {"agreements": [{"kind": "recharge", "version": 1}]})
    assert pay("after").status_code == 201
    factories.an_agreement("terms", title="用户协议")
    # The start that was made is answered again, also after a new version came.
    assert app.start(gun.code, key="one").json()["order_no"] == started.json()["order_no"]


def test_who_starts_at_the_pile_or_by_staff_is_not_asked() -> None:
    customer, gun = factories.a_customer(), factories.a_connector()
    factories.an_agreement("terms")
    with pytest.raises(ConsentNeeded):
        start_charge(customer=customer, connector_code=gun.code, request_key="app")
    staff = Actor("staff", "1", "张三")
    order = start_charge(
        customer=customer, connector_code=gun.code, request_key="staff", actor=staff, source=OrderSource.STAFF
    )
    assert order.customer == customer


def test_agreements_are_read_by_everybody(anybody: Caller) -> None:
    factories.an_agreement(body="<h2>一</h2>")
    assert [one["version"] for one in anybody.get("agreements").json()["items"]] == [1]
    assert anybody.get("agreements/privacy").json()["body"] == "<h2>一</h2>"
    for kind in ("terms", "nothing"):
        assert refusal(anybody.get(f"agreements/{kind}")) == (404, "customers.agreement_unknown")


def test_a_driver_agrees_and_is_asked_again(app_of: Any) -> None:
    app = app_of(factories.a_customer("0"), **{"user-agent": "MicroMessenger"})
    assert app.get("me/consents").json() == {"items": []}
    factories.an_agreement()
    (asked,) = app.get("me/consents").json()["items"]
    assert (asked["is_needed"], asked["agreed_version"], asked["agreed_at"]) == (True, None, None)
    assert app.get("me").json()["consent_needed"] is True

    def agree(version: int, kind: str = "privacy") -> Any:
        return app.post("me/consents", {"agreements": [{"kind": kind, "version": version}]})

    (said,) = agree(1).json()["items"]
    assert (said["is_needed"], said["agreed_version"]) == (False, 1)
    assert app.get("me").json()["consent_needed"] is False
    assert Consent.objects.get().agent == "MicroMessenger"
    factories.an_agreement(changes="新增停车")
    (asked,) = app.get("me/consents").json()["items"]
    assert (asked["version"], asked["changes"], asked["is_needed"], asked["agreed_version"]) == (
        2,
        "新增停车",
        True,
        1,
    )
    assert refusal(agree(1)) == (409, "customers.agreement_outdated")
    assert refusal(agree(3)) == (409, "customers.agreement_outdated")
    assert refusal(agree(1, "terms")) == (404, "customers.agreement_unknown")
    assert refusal(app.post("me/consents", {"agreements": []})) == (400, "invalid")
    assert agree(2).status_code == 200
    assert Consent.objects.count() == 2
