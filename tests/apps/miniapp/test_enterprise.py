from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from apps.common.time import now
from apps.customers import enterprises
from apps.customers.models import EnterpriseMember
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")


def test_joining_by_code_and_leaving(app_of) -> None:
    enterprise = factories.an_enterprise(name="顺风物流")
    code = enterprises.renew_code(enterprise=enterprise)
    customer = factories.a_customer("0")
    app = app_of(customer)
    assert app.get("enterprise").json() == {"membership": None}
    joined = app.post("enterprise/join", {"code": f"{code[:4].lower()}-{code[4:]}"})
    assert joined.status_code == 200
    membership = joined.json()["membership"]
    assert {key: membership[key] for key in membership if key != "since"} == {
        "name": "顺风物流",
        "is_active": True,
        "percent_off": "20",
        "applies_to": "service",
        "applies_to_label": "service fee",
        "paying": None,
    }
    assert app.post("enterprise/join", {"code": code}).json() == joined.json()
    assert app.get("enterprise").json() == joined.json()
    assert enterprises.enterprise_of(customer=customer) == enterprise
    for _ in range(2):
        assert app.post("enterprise/leave").json() == {"membership": None}
    assert enterprises.enterprise_of(customer=customer) is None
    assert app.post("enterprise/join", {"code": code}).json()["membership"]["name"] == "顺风物流"
    assert EnterpriseMember.objects.count() == 1


def test_codes_that_are_none(app_of) -> None:
    enterprise = factories.an_enterprise(name="顺风物流")
    old = enterprises.renew_code(enterprise=enterprise)
    new = enterprises.renew_code(enterprise=enterprise)
    app = app_of(factories.a_customer("0"))
    unknown = (404, "customers.invitation_unknown")
    assert refusal(app.post("enterprise/join", {"code": old})) == unknown
    enterprise.is_active = False
    enterprise.save()
    assert refusal(app.post("enterprise/join", {"code": new})) == unknown
    enterprises.end_code(enterprise=enterprise)
    assert refusal(app.post("enterprise/join", {"code": "----"})) == unknown
    assert refusal(app.post("enterprise/join", {"code": ""})) == (400, "invalid")
    assert EnterpriseMember.objects.count() == 0


def test_one_enterprise_at_a_time(app_of) -> None:
    customer = factories.a_customer("0")
    factories.an_enterprise(customer, name="first")
    code = enterprises.renew_code(enterprise=factories.an_enterprise(name="second"))
    app = app_of(customer)
    refused = app.post("enterprise/join", {"code": code})
    assert refusal(refused) == (409, "customers.member_elsewhere")
    assert refused.json()["data"] == {"name": "first"}
    app.post("enterprise/leave")
    assert app.post("enterprise/join", {"code": code}).json()["membership"]["name"] == "second"


def test_guessing_codes_ends_after_ten(app_of) -> None:
    code = enterprises.renew_code(enterprise=factories.an_enterprise(name="顺风物流"))
    app = app_of(factories.a_customer("0"))
    with time_machine.travel(now(), tick=False) as clock:
        codes = [refusal(app.post("enterprise/join", {"code": "ABCD2345"}))[0] for _ in range(10)]
        assert codes == [404] * 10
        locked = app.post("enterprise/join", {"code": code})
        assert refusal(locked) == (429, "customers.too_many_failures")
        assert locked["Retry-After"] == "900"
        assert app_of(factories.a_customer("0")).post("enterprise/join", {"code": code}).status_code == 200
        clock.shift(timedelta(seconds=901))
        assert app.post("enterprise/join", {"code": code}).status_code == 200
