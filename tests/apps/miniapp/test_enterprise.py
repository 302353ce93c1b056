from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine

from apps.common.time import now
from apps.customers import enterprises
from apps.customers.models import Customer, EnterpriseMember
from apps.orders.models import Order
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


def test_no_code_brings_back_whom_staff_removed(app_of) -> None:
    customer = factories.a_customer("0")
    enterprise = factories.a_paying_enterprise(customer, name="顺风物流")
    code = enterprises.renew_code(enterprise=enterprise)
    app = app_of(customer)
    enterprises.remove_members(enterprise=enterprise, member_ids=[enterprise.members.get().pk])
    refused = app.post("enterprise/join", {"code": code})
    assert refusal(refused) == (409, "customers.member_removed")
    assert "顺风物流" in refused.json()["message"]
    assert app.get("enterprise").json() == {"membership": None}
    assert (
        enterprises.add_members(enterprise=enterprise, phones=[customer.phone], actor=factories.SYSTEM).added
        == 1
    )
    app.post("enterprise/leave")
    assert app.post("enterprise/join", {"code": code}).json()["membership"]["name"] == "顺风物流"


def test_who_was_removed_does_not_come_back_with_another_number(app_of) -> None:
    customer = factories.a_customer("100")
    enterprise = factories.a_paying_enterprise(customer, name="顺风物流")
    code = enterprises.renew_code(enterprise=enterprise)
    factories.a_settled_order(customer=customer)
    member = enterprise.members.get()
    Order.objects.update(enterprise_member=member)
    enterprises.remove_members(enterprise=enterprise, member_ids=[member.pk])
    Customer.objects.filter(pk=customer.pk).update(phone="+8613711112222")
    customer.refresh_from_db()
    refused = app_of(customer).post("enterprise/join", {"code": code})
    assert refusal(refused) == (409, "customers.member_removed")


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


def test_who_pays_and_what_is_left(app_of) -> None:
    customer = factories.a_customer("30.00")
    app = app_of(customer)
    assert refusal(app.post("enterprise/payer", {"payer": "wallet"})) == (409, "customers.no_member")
    enterprise = factories.a_paying_enterprise(
        customer, member_monthly_limit=Decimal("40.00"), pay_hours="00:00-24:00"
    )
    enterprise.stations.set([factories.a_station(name="滨江站")])
    connector = factories.a_connector()
    paying = app.get("enterprise").json()["membership"]["paying"]
    assert paying == {
        "payer": "enterprise",
        "quota": {"limit": "40.00", "used": "0.00", "left": "40.00"},
        "hours": "00:00-24:00",
        "stations": ["滨江站"],
    }
    quote = app.post("quotes", {"connector_code": connector.code}).json()
    assert (quote["payer"], quote["can_pay"], quote["from_enterprise"]) == ("enterprise", False, "0.00")
    assert quote["offer"]["problem"]
    start = {"connector_code": connector.code, "payer": "enterprise"}
    refused = app.post("charges", start, **{"Idempotency-Key": "one-and-only-one"})
    assert refusal(refused) == (409, "orders.enterprise_elsewhere")
    enterprise.stations.clear()
    short = {"connector_code": connector.code, "preset_minutes": 5}
    quote = app.post("quotes", short).json()
    assert (quote["can_pay"], quote["shortfall"]) == (True, "0.00")
    assert (quote["hold_amount"], quote["available"]) == (None, None), "what the enterprise has is not told"
    assert quote["from_enterprise"] == quote["payable"]
    assert (
        app.post("quotes", {"connector_code": connector.code, "payer": "wallet"}).json()["hold_amount"]
        == "30.00"
    )
    begun = app.post("charges", start, **{"Idempotency-Key": "another-of-them"})
    assert (begun.status_code, begun.json()["hold_amount"]) == (201, None)
    made = Order.objects.get()
    assert made.hold_amount == Decimal("40.00")
    order = app.get(f"orders/{made.order_no}").json()
    assert (order["payer"], order["paid_enterprise"], order["hold_amount"]) == ("enterprise", "0.00", None)
    factories.accept_start(made)
    factories.see_charging(made)
    assert app.get(f"charges/{made.order_no}").json()["hold_amount"] is None
    told = customer.inbox.get(kind="charge_started")
    assert told.data == {"station": made.station.name, "connector": connector.code}
    quota = app.get("enterprise").json()["membership"]["paying"]["quota"]
    assert quota == {"limit": "40.00", "used": "40.00", "left": "0.00"}
    chosen = app.post("enterprise/payer", {"payer": "wallet"})
    assert (chosen.status_code, chosen.json()["membership"]["paying"]["payer"]) == (200, "wallet")
    assert app.post("quotes", {"connector_code": connector.code}).json()["payer"] == "wallet"
    assert refusal(app.post("enterprise/payer", {"payer": "x"})) == (400, "invalid")
