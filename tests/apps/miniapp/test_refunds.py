"""Refunds in the driver's app: asked for once, shown step by step, withdrawn before the review, nobody else's."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from apps.orders import refunds as order_refunds
from apps.wallet import refund_run, refunds
from apps.wallet.models import WalletRefund
from tests import factories
from tests.apps.miniapp.conftest import refusal
from tests.apps.orders.test_refunds import LI, settled
from tests.apps.wallet.test_refunds import aged, topped_up

pytestmark = pytest.mark.usefixtures("tenant")
_keys = itertools.count(1)


def ask(app: Any, body: Any, key: str = "", path: str = "wallet/refunds") -> Any:
    return app.post(path, body, **{"idempotency-key": key or f"key-{next(_keys)}"})


def steps(body: Any) -> list[tuple[str, bool]]:
    return [(step["step"], step["done"]) for step in body["steps"]]


def test_a_refund_from_the_application_to_the_money(app_of: Any) -> None:
    customer = topped_up("100.00", "30.00")
    aged(customer, 400)
    app = app_of(customer)
    answer = ask(app, {"amount": "110.00", "reason": "moving away"})
    assert answer.status_code == 201
    body = answer.json()
    number = body["refund_no"]
    assert (body["state"], body["state_label"], body["can_cancel"]) == ("applied", "waits for review", True)
    assert steps(body) == [("applied", True), ("reviewed", False), ("paid", False)]
    assert [(part["amount"], part["by_hand"], part["state_label"]) for part in body["parts"]] == [
        ("30.00", False, "on its way"),
        ("80.00", True, "to be transferred by the operator"),
    ]
    wallet = app.get("wallet").json()
    assert (wallet["available"], wallet["frozen"]) == ("20.00", "110.00")

    refunds.approve(refund_no=number, reviewer=LI, reason="internal words")
    refund_run.run_due()
    body = app.get(f"wallet/refunds/{number}").json()
    assert (body["state"], body["paid"], body["can_cancel"], body["review_reason"]) == (
        "executing",
        "30.00",
        False,
        "",
    )
    assert steps(body) == [("applied", True), ("reviewed", True), ("paid", False)]
    assert [part["state"] for part in body["parts"]] == ["paid", "waiting"]

    refunds.reject(refund_no=number, reviewer=LI, reason="bank account unknown")
    body = app.get(f"wallet/refunds/{number}").json()
    assert (body["state"], body["paid"], body["given_back"], body["review_reason"]) == (
        "done",
        "30.00",
        "80.00",
        "bank account unknown",
    )
    assert steps(body)[-1] == ("paid", True)
    assert [part["state"] for part in body["parts"]] == ["paid", "given_back"]
    (line,) = [line for line in app.get("wallet/statement").json()["items"] if line["kind"] == "refund_paid"]
    assert (line["change"], line["reference"]) == ("-30.00", number)
    (item,) = app.get("wallet/refunds").json()["items"]
    assert item["refund_no"] == number


def test_asked_twice_with_one_key_and_withdrawn_twice(app_of: Any) -> None:
    app = app_of(topped_up("100.00"))
    first, again = (ask(app, {"reason": "x"}, key="same") for _ in range(2))
    assert first.json() == again.json()
    assert first.json()["amount"] == "100.00"
    assert refusal(ask(app, {"amount": "5.00", "reason": "x"}, key="same")) == (409, "idempotency.key_reused")
    assert refusal(ask(app, {"amount": "5.00", "reason": "x"})) == (409, "wallet.refund_under_way")
    number = first.json()["refund_no"]
    for _ in range(2):
        answer = app.post(f"wallet/refunds/{number}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert steps(answer.json()) == [("applied", True), ("cancelled", True)]
    assert app.get("wallet").json()["available"] == "100.00"


def test_what_is_refused(app_of: Any) -> None:
    app = app_of(topped_up("100.00"))
    assert refusal(app.post("wallet/refunds", {})) == (400, "idempotency.key_missing")
    for amount in (100, -1, "-1.00", "0.00", "1e3", "1.001", "abc", True, [], {}, "1" * 40):
        assert refusal(ask(app, {"amount": amount, "reason": "x"})) == (400, "invalid"), amount
    assert refusal(ask(app, {"amount": "100.01", "reason": "x"})) == (400, "wallet.refund_amount")
    assert refusal(ask(app, {"reason": "x" * 201})) == (400, "invalid")
    assert refusal(ask(app, {"amount": "5.00"})) == (400, "invalid")  # a reason is asked for
    assert not WalletRefund.objects.exists()
    number = ask(app, {"reason": "x"}).json()["refund_no"]
    refunds.approve(refund_no=number, reviewer=LI)
    assert refusal(app.post(f"wallet/refunds/{number}/cancel")) == (409, "wallet.refund_decided")


def test_nobody_elses(app_of: Any) -> None:
    order = settled()
    mine = app_of(order.customer)
    wallet_no = ask(mine, {"amount": "1.00", "reason": "x"}).json()["refund_no"]
    order_no = ask(mine, {"reason": "x"}, path=f"orders/{order.order_no}/refunds").json()["refund_no"]
    app = app_of(factories.a_customer("10.00"))
    assert refusal(app.get(f"wallet/refunds/{wallet_no}")) == (404, "wallet.refund_not_found")
    assert refusal(app.post(f"wallet/refunds/{wallet_no}/cancel")) == (404, "wallet.refund_not_found")
    assert refusal(app.get(f"order-refunds/{order_no}")) == (404, "orders.refund_not_found")
    assert refusal(app.post(f"order-refunds/{order_no}/cancel")) == (404, "orders.refund_not_found")
    assert refusal(ask(app, {"reason": "x"}, path=f"orders/{order.order_no}/refunds")) == (
        404,
        "orders.not_found",
    )
    assert app.get("wallet/refunds").json()["items"] == app.get("order-refunds").json()["items"] == []


def test_an_order_refund_by_fee_kind(app_of: Any) -> None:
    order = settled()
    app, path = app_of(order.customer), f"orders/{order.order_no}/refunds"
    assert refusal(ask(app, {}, path=path)) == (400, "invalid")  # a reason is asked for
    assert refusal(ask(app, {"service": "4.01", "reason": "x"}, path=path)) == (400, "orders.refund_too_high")
    answer = ask(app, {"service": "4.00", "reason": "too slow"}, path=path)
    body = answer.json()
    assert (answer.status_code, body["electricity"], body["service"], body["can_cancel"]) == (
        201,
        "0.00",
        "4.00",
        True,
    )
    assert refusal(ask(app, {"reason": "x"}, path=path)) == (409, "orders.refund_open")
    order_refunds.reject(refund_no=body["refund_no"], reviewer=LI, reason="as agreed")
    shown = app.get(f"order-refunds/{body['refund_no']}").json()
    assert (shown["state"], shown["review_reason"]) == ("rejected", "as agreed")
    second = ask(app, {"reason": "really"}, path=path).json()
    order_refunds.approve(refund_no=second["refund_no"], reviewer=LI)
    shown = app.get(f"order-refunds/{second['refund_no']}").json()
    assert (shown["state"], shown["principal"], shown["electricity"]) == ("done", "12.00", "8.00")
    assert [item["state"] for item in app.get("order-refunds").json()["items"]] == ["done", "rejected"]
    third = settled(customer=order.customer)
    gone = ask(app, {"reason": "x"}, path=f"orders/{third.order_no}/refunds").json()["refund_no"]
    for _ in range(2):
        assert app.post(f"order-refunds/{gone}/cancel").json()["state"] == "cancelled"


def test_a_refund_waits_for_the_charge_to_end(app_of: Any) -> None:
    customer = topped_up("100.00")
    factories.a_charging_order(customer=customer, preset="50.00")
    assert refusal(ask(app_of(customer), {"amount": "10.00", "reason": "x"})) == (
        409,
        "wallet.charge_running",
    )
