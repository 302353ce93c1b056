from __future__ import annotations

import pytest

from apps.common.time import now
from apps.customers.models import CustomerIdentity
from apps.orders import settling
from apps.wallet.models import MerchantAccount, Recharge
from tests import factories
from tests.apps.miniapp.conftest import refusal

pytestmark = pytest.mark.usefixtures("tenant")
EMPTY = dict.fromkeys(("available", "principal", "bonus", "held", "frozen", "debt"), "0.00")


def recharge(app, amount: object = "100.00", key: str = "k", channel: str = "sandbox"):
    return app.post("wallet/recharges", {"amount": amount, "channel": channel}, **{"idempotency-key": key})


def test_a_top_up_is_there_once_it_is_paid(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    assert app.get("wallet").json() == EMPTY
    answer = recharge(app)
    assert answer.status_code == 201
    body = answer.json()
    number = body["recharge_no"]
    assert body == {
        "recharge_no": number,
        "amount": "100.00",
        "bonus": "0.00",
        "channel": "sandbox",
        "state": "created",
        "state_label": "waiting for payment",
        "created_at": body["created_at"],
        "expires_at": body["expires_at"],
        "paid_at": None,
        "payment": {"recharge_no": number, "amount": "100.00"},
    }
    assert app.get("wallet").json() == EMPTY
    assert app.get(f"wallet/recharges/{number}").json()["state"] == "created"
    for _ in range(2):
        paid = app.post(f"wallet/recharges/{number}/sandbox-pay")
        assert (paid.status_code, paid.json()["state"]) == (200, "paid")
    assert app.get(f"wallet/recharges/{number}").json()["paid_at"] is not None
    assert app.get("wallet").json() == {**EMPTY, "available": "100.00", "principal": "100.00"}


def test_the_same_key_makes_one_top_up(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    first, again = recharge(app), recharge(app)
    assert first.json() == again.json()
    assert Recharge.objects.count() == 1
    assert refusal(recharge(app, "99.00")) == (409, "idempotency.key_reused")


def test_top_ups_that_are_refused(app_of, settings) -> None:
    app = app_of(factories.a_customer("0"))
    assert refusal(app.post("wallet/recharges", {"amount": "1.00", "channel": "sandbox"})) == (
        400,
        "idempotency.key_missing",
    )
    assert refusal(recharge(app, "0.99")) == (400, "wallet.amount")
    assert refusal(recharge(app, "5000.01")) == (400, "wallet.amount")
    assert refusal(recharge(app, 100)) == (400, "invalid")
    assert refusal(recharge(app, channel="wechat")) == (400, "wallet.channel")
    assert Recharge.objects.count() == 0
    number = recharge(app).json()["recharge_no"]
    settings.RECHARGE_CHANNELS = []
    assert refusal(app.post(f"wallet/recharges/{number}/sandbox-pay")) == (400, "wallet.channel")
    assert app.get("wallet").json() == EMPTY


def test_another_drivers_top_up_is_not_there(app_of) -> None:
    number = recharge(app_of(factories.a_customer("0"))).json()["recharge_no"]
    app = app_of(factories.a_customer("0"))
    assert refusal(app.get(f"wallet/recharges/{number}")) == (404, "wallet.recharge_not_found")
    assert refusal(app.post(f"wallet/recharges/{number}/sandbox-pay")) == (404, "wallet.recharge_not_found")
    assert Recharge.objects.get().state == "created"


def test_wallet_and_statement_of_a_charge(app_of) -> None:
    customer = factories.a_customer("100.00")
    app = app_of(customer)
    order = factories.a_charging_order(customer=customer, preset="50.00")
    assert app.get("wallet").json() == {
        **EMPTY,
        "available": "50.00",
        "principal": "50.00",
        "held": "50.00",
    }
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    assert app.get("wallet").json() == {**EMPTY, "available": "88.00", "principal": "88.00"}
    body = app.get("wallet/statement").json()
    assert [(line["kind"], line["label"], line["change"]) for line in body["items"]] == [
        ("charge", "charge", "-12.00"),
        ("recharge", "top-up", "100.00"),
    ]
    assert body["items"][0]["reference"] == order.order_no
    assert body["next_cursor"] is None


def test_pages_of_the_statement(app_of) -> None:
    customer = factories.a_customer("1.00")
    for amount in ("2.00", "3.00"):
        factories.top_up(customer, amount)
    factories.a_customer("9.00")
    app = app_of(customer)
    first = app.get("wallet/statement", limit=2).json()
    assert [line["change"] for line in first["items"]] == ["3.00", "2.00"]
    second = app.get("wallet/statement", limit=2, cursor=first["next_cursor"]).json()
    assert ([line["change"] for line in second["items"]], second["next_cursor"]) == (["1.00"], None)


@pytest.mark.parametrize("count", [1, 3])
def test_the_number_of_queries_does_not_grow(app_of, django_assert_num_queries, count: int) -> None:
    customer = factories.a_customer("0")
    for _ in range(count):
        factories.top_up(customer, "10.00")
    app = app_of(customer)
    app.get("wallet/statement")
    with django_assert_num_queries(7):  # three choose the tenant; entries and their sums are two questions
        assert len(app.get("wallet/statement").json()["items"]) == count


def test_what_a_top_up_may_be(app_of) -> None:
    customer = factories.a_customer("0")
    app = app_of(customer)
    factories.a_tier("100.00", "5.00", name="百元礼")
    once = factories.a_tier("50.00", "1.00", name="once", per_customer=1, is_additional=True)
    body = app.get("wallet/recharge-options").json()
    assert body == {
        "minimum": "1.00",
        "maximum": "5000.00",
        "channels": [{"channel": "sandbox", "label": "sandbox"}],
        "tiers": [
            {
                "name": "once",
                "threshold": "50.00",
                "bonus": "1.00",
                "comes_on_top": True,
                "ends_at": None,
            },
            {
                "name": "百元礼",
                "threshold": "100.00",
                "bonus": "5.00",
                "comes_on_top": False,
                "ends_at": None,
            },
        ],
    }
    assert recharge(app, "60.00").json()["bonus"] == "1.00"
    tiers = app.get("wallet/recharge-options").json()["tiers"]
    assert once.name not in [tier["name"] for tier in tiers]


def test_a_provider_takes_money_of_those_it_knows_only(app_of) -> None:
    customer = factories.a_customer("0")
    app = app_of(customer)
    assert refusal(recharge(app, channel="wechatpay")) == (400, "wallet.channel")
    MerchantAccount.objects.create(
        channel="wechatpay", name="m", merchant_no="1", app_id="wx1", is_default=True
    )
    assert {"channel": "wechatpay", "label": "WeChat Pay"} in app.get("wallet/recharge-options").json()[
        "channels"
    ]
    # What an app claims to be is nothing.
    claimed = app.post(
        "wallet/recharges",
        {"amount": "10.00", "channel": "wechatpay", "payer": "o-1", "openid": "o-1"},
        **{"idempotency-key": "k"},
    )
    assert refusal(claimed) == (409, "wallet.payer_unknown")
    CustomerIdentity.objects.create(
        customer=customer, provider="wechat", app_id="another", openid="o-1", last_login_at=now()
    )
    assert refusal(recharge(app, channel="wechatpay")) == (409, "wallet.payer_unknown")
    assert Recharge.objects.count() == 0
    CustomerIdentity.objects.update(app_id="wx1")
    assert refusal(recharge(app, channel="wechatpay")) == (400, "wallet.channel")  # an account without keys
    assert Recharge.objects.get().payer == "o-1"


def test_a_driver_sees_all_of_his_top_ups(app_of) -> None:
    customer = factories.a_customer("10.00")
    factories.a_customer("20.00")
    app = app_of(customer)
    recharge(app, "30.00")
    first = app.get("wallet/recharges", limit=1).json()
    assert [item["amount"] for item in first["items"]] == ["30.00"]
    second = app.get("wallet/recharges", limit=1, cursor=first["next_cursor"]).json()
    assert ([item["amount"] for item in second["items"]], second["next_cursor"]) == (["10.00"], None)


def test_a_closed_top_up_is_not_paid_any_more(app_of) -> None:
    app = app_of(factories.a_customer("0"))
    recharge(app)
    Recharge.objects.update(state="closed")
    assert refusal(recharge(app)) == (409, "wallet.recharge_closed")
