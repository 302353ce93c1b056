"""Starts at the pile: who may charge, and what the pile is told when they may not."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import SHANGHAI, now
from apps.customers import cards
from apps.customers.models import CardState, CustomerState
from apps.orders import services, settling, watchdog
from apps.orders.enums import OrderSource, OrderState
from apps.orders.ledger_check import differences
from apps.orders.models import Order
from apps.orders.pile_starts import start_by_pile
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Pile, PileCommand
from apps.piles.reports import PileStartRequest
from apps.sites.enums import StationState
from apps.tenancy.models import TenantState
from apps.wallet.services import wallet_of
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")

CARD = "00000000D14B0A54"
REVERSED = "00000000540A4BD1"
VIN = "LSVAU2180N2183294"


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


def a_card(balance="80.00", number=CARD, **fields):
    customer = factories.a_customer(balance, **fields)
    return cards.add_card(
        customer=customer,
        logical_no=number[-8:].translate(str.maketrans("ABCDEF", "123456")),
        physical_no=number,
    )


def tap(connector, *numbers, **fields):
    request = {
        "pile_code": connector.pile.pile_code,
        "connector_no": connector.connector_no,
        "kind": "card",
        "numbers": numbers or (CARD,),
    }
    return start_by_pile(PileStartRequest(**request | fields))


def reason(answer):
    """Why it was refused; the number is valid all the same, and nothing was made."""
    assert not answer.accepted
    assert len(answer.transaction_no) == 32
    assert answer.transaction_no.startswith(f"{answer.pile_code}{answer.connector_no}")
    assert answer.balance == 0
    return answer.reason


def test_a_card_starts_an_order_that_holds_all_money():
    card, connector = a_card(), factories.a_connector()
    answer = tap(connector)
    order = Order.objects.get()
    assert (answer.accepted, answer.reason, answer.balance) == (True, "none", Decimal("80.00"))
    assert answer.transaction_no == order.transaction_no
    assert answer.logical_card_no == card.logical_no.zfill(16)
    assert (order.state, order.source, order.customer) == (
        OrderState.STARTING,
        OrderSource.CARD,
        card.customer,
    )
    assert (order.card_no, order.hold_amount) == (CARD, Decimal("80.00"))
    assert PileCommand.objects.count() == 0


def test_a_card_is_found_whichever_way_its_bytes_were_read():
    a_card(number=REVERSED)
    assert tap(factories.a_connector(), CARD, REVERSED).accepted


def test_the_hold_of_a_card_is_at_most_the_tenants_maximum():
    a_card("900.00")
    assert tap(factories.a_connector()).balance == Decimal("300.00")


def test_the_order_charges_and_settles_as_any_other():
    a_card()
    tap(factories.a_connector())
    order = Order.objects.get()
    factories.see_charging(order, at=now() - timedelta(hours=1))
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}, start_mode=2).pk)
    order.refresh_from_db()
    assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("12.00"))


def test_an_order_that_does_not_charge_fails_after_90_seconds_and_gives_the_money_back():
    card = a_card()
    tap(factories.a_connector())
    assert watchdog.watch_orders(at=now() + timedelta(seconds=89)) == 0
    assert watchdog.watch_orders(at=now() + timedelta(seconds=91)) == 1
    order = Order.objects.get()
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "timeout")
    assert wallet_of(customer=card.customer).available == Decimal("80.00")


def test_the_same_question_on_the_same_gun_has_the_same_answer():
    a_card()
    connector = factories.a_connector()
    assert tap(connector) == tap(connector)
    assert Order.objects.count() == 1


def test_a_card_whose_charge_is_not_settled_starts_no_other():
    a_card("900.00")
    connector = factories.a_connector()
    tap(connector)
    assert reason(tap(factories.a_connector())) == "card_unsettled"
    order = Order.objects.get()
    factories.see_charging(order)
    assert reason(tap(connector)) == "card_unsettled"
    record = factories.a_record(order, {"flat": "1.0000"})
    Order.objects.update(state=OrderState.ABNORMAL)
    assert reason(tap(factories.a_connector())) == "card_unsettled"
    settling.settle_record(record_id=record.pk)
    factories.put_online(connector.pile)
    assert tap(connector).accepted


def test_two_cards_of_one_customer_are_two_starts():
    card = a_card("900.00")
    other = "00000000AABBCCDD"
    cards.add_card(customer=card.customer, logical_no="77", physical_no=other)
    assert tap(factories.a_connector()).accepted
    assert tap(factories.a_connector(), other).accepted


def test_unknown_and_frozen_cards():
    connector = factories.a_connector()
    assert reason(tap(connector)) == "no_account"
    card = a_card()
    cards.set_card_state(card=card, state=CardState.FROZEN)
    assert reason(tap(connector)) == "frozen"
    cards.set_card_state(card=card, state=CardState.ACTIVE)
    card.customer.state = CustomerState.BLOCKED
    card.customer.save()
    assert reason(tap(connector)) == "frozen"


def test_money_that_is_not_enough_and_debts():
    a_card("0")
    connector = factories.a_connector()
    assert reason(tap(connector)) == "balance_low"
    debtor = factories.a_charging_order(customer=a_card("1.00", REVERSED).customer)
    settling.settle_record(record_id=factories.a_record(debtor, {"flat": "10.0000"}).pk)
    assert reason(tap(connector, REVERSED)) == "card_unsettled"


def test_a_card_of_a_member_is_paid_by_the_enterprise_or_not_at_all():
    card = a_card()
    enterprise = factories.a_paying_enterprise(card.customer, "20.00")
    answer = tap(factories.a_connector())
    assert (answer.accepted, answer.balance) == (True, Decimal("20.00"))
    assert Order.objects.get().payer == "enterprise"
    Order.objects.update(card_no="0")
    assert reason(tap(factories.a_connector())) == "balance_low"
    enterprise.monthly_limit = Decimal("20.00")
    enterprise.save()
    factories.fund(enterprise, "50.00")
    assert reason(tap(factories.a_connector())) == "balance_low"


def test_places_where_nobody_charges():
    a_card()
    connector = factories.a_connector()
    pile, station = connector.pile, connector.pile.station
    Pile.objects.update(state=PileState.DISABLED)
    assert reason(tap(connector)) == "pile_disabled"
    Pile.objects.update(state=PileState.IN_SERVICE)
    station.state = StationState.CLOSED
    station.save()
    assert reason(tap(connector)) == "pile_disabled"
    local = now().astimezone(SHANGHAI)
    station.state = StationState.OPEN
    station.opening_hours = f"{(local.weekday() + 3) % 7 + 1} 00:00-24:00"  # neither today nor beside it
    station.save()
    assert reason(tap(connector)) == "pile_disabled"
    station.opening_hours = "00:00-24:00"
    station.save()
    factories.put_online(pile, ConnectorState.FAULT)
    assert reason(tap(connector)) == "pile_disabled"
    factories.put_online(pile, ConnectorState.CHARGING)
    assert reason(tap(connector)) == "pile_unsettled"
    assert reason(tap(factories.a_connector(priced=False))) == "not_allowed"
    assert (
        reason(
            start_by_pile(
                PileStartRequest(pile_code="9" * 14, connector_no="01", kind="card", numbers=(CARD,))
            )
        )
        == "pile_disabled"
    )


def test_a_suspended_tenant_begins_no_charge(tenant):
    a_card()
    connector = factories.a_connector()
    tenant.state = TenantState.SUSPENDED
    assert reason(tap(connector)) == "pile_disabled"
    tenant.state = TenantState.ACTIVE
    assert tap(connector).accepted


def test_a_gun_with_an_order_of_somebody_else():
    a_card()
    connector = factories.a_connector()
    factories.a_started_order(connector=connector)
    assert reason(tap(connector)) == "pile_unsettled"


def test_a_pile_that_has_just_logged_in_may_ask():
    a_card()
    connector = factories.a_connector(online=False)
    assert tap(connector).accepted


def test_a_pin_where_the_pile_asks_for_it():
    card, connector = a_card(), factories.a_connector()
    asked = {"wants_password": True, "password": cards.pin_digest("123456")}
    assert reason(tap(connector, **asked)) == "wrong_password"
    cards.set_pin(customer=card.customer, pin="123456")
    assert (
        reason(tap(connector, wants_password=True, password=cards.pin_digest("654321"))) == "wrong_password"
    )
    assert tap(connector, **asked).accepted


def test_an_account_with_its_pin():
    customer = factories.a_customer("50.00", phone="+8613800138000")
    connector = factories.a_connector()
    account = {"kind": "account", "password": cards.pin_digest("2468")}
    assert reason(tap(connector, "0000013800138001", **account)) == "no_account"
    assert reason(tap(connector, "0000013800138000", **account)) == "wrong_password"
    cards.set_pin(customer=customer, pin="2468")
    answer = tap(connector, "0000013800138000", **account)
    assert (answer.accepted, answer.balance) == (True, Decimal("50.00"))
    assert Order.objects.get().source == OrderSource.ACCOUNT


def test_a_car_by_its_vin():
    customer, connector = factories.a_customer("50.00"), factories.a_connector()
    vehicle = cards.add_vehicle(customer=customer, plate="沪A12345", vin=VIN)
    assert reason(tap(connector, VIN[::-1], VIN, kind="vin")) == "vin_unknown"
    vehicle.plug_and_charge = True
    vehicle.save()
    answer = tap(connector, VIN[::-1], VIN, kind="vin")
    order = Order.objects.get()
    assert (answer.accepted, order.source, order.vin) == (True, OrderSource.VIN, VIN)
    assert tap(connector, VIN, kind="vin") == answer


def test_a_kind_of_start_that_nobody_knows():
    assert reason(tap(factories.a_connector(), kind="other")) == "no_cards"


def test_a_stop_from_the_app_ends_a_start_by_card():
    card = a_card()
    tap(factories.a_connector())
    order = Order.objects.get()
    services.stop_charge(order_no=order.order_no, actor=factories.SYSTEM, customer=card.customer)
    assert PileCommand.objects.get().kind == "stop"
