"""docs/how-a-bill-is-made.md: its orders are started, charged and settled as written, through the services."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.customers.models import Customer
from apps.orders import settling
from apps.orders.enums import OrderState
from apps.orders.ledger_check import differences
from apps.wallet import recharges
from apps.wallet.models import Posting, Recharge, Wallet
from tests import factories

TEXT = Path(__file__).parents[3].joinpath("docs", "how-a-bill-is-made.md").read_text(encoding="utf-8")
ORDERS = {
    title: json.loads(block)
    for title, block in re.findall(
        r"^### ([^\n]+)\n(?:(?!^#).)*?```json\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE
    )
}


def with_money(principal: str, bonus: str) -> Customer:
    """A customer whose one top-up brought principal and bonus."""
    customer = factories.a_customer("0")
    made = recharges.create_recharge(
        customer=customer, amount=Decimal(principal), channel="sandbox", request_key="money"
    )
    Recharge.objects.filter(pk=made.pk).update(bonus=Decimal(bonus))
    recharges.pay_sandbox(customer=customer, recharge_no=made.recharge_no)
    return customer


def test_the_page_has_its_four_orders() -> None:
    assert len(ORDERS) == 4


@pytest.mark.parametrize("title", ORDERS)
def test_an_order_is_settled_as_the_page_says(tenant: Any, title: str) -> None:
    given = ORDERS[title]
    connector = factories.a_connector()
    customer = with_money(**given["wallet"])
    if "retail" in given:
        prices = {name: (price["electricity"], price["service"]) for name, price in given["retail"].items()}
        factories.a_retail_price(connector.pile.station, prices)
    if "enterprise" in given:
        numbers = {name: Decimal(given["enterprise"][name]) for name in ("percent_off", "station_share")}
        account = dict(given.get("account", {}))
        transferred = account.pop("transferred", None)
        if "credit_limit" in account:
            account["credit_limit"] = Decimal(account["credit_limit"])
        enterprise = factories.an_enterprise(customer, **{**given["enterprise"], **numbers, **account})
        if transferred:
            factories.fund(enterprise, transferred)
    if "coupon" in given:
        numbers = {name: Decimal(given["coupon"][name]) for name in ("spend", "save_amount", "station_share")}
        factories.a_coupon(customer, **{**given["coupon"], **numbers})
    order = factories.a_charging_order(customer=customer, connector=connector, preset=given.get("preset"))

    settling.settle_record(record_id=factories.a_record(order, given["energy_kwh"]).pk)

    order.refresh_from_db()
    assert order.state == OrderState.COMPLETED
    assert {name: str(getattr(order, name)) for name in given["order"]} == given["order"]
    wallet = Wallet.objects.get(customer=customer)
    assert {name: str(getattr(wallet, name)) for name in given["left"]} == given["left"]
    for name, amount in given.get("account_left", {}).items():
        assert str(getattr(Wallet.objects.get(enterprise=order.enterprise), name)) == amount
    booked: defaultdict[str, Decimal] = defaultdict(Decimal)
    legs = Posting.objects.filter(entry__key=f"charge:{order.order_no}")
    for kind, amount in legs.values_list("account__kind", "amount"):
        booked[kind] += amount
    assert {kind: str(amount) for kind, amount in booked.items()} == given["booked"]
    assert differences() == []
