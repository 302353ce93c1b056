"""Charges that piles allowed by their own list of cards."""

from datetime import timedelta
from decimal import Decimal

import pytest

from apps.common.time import now
from apps.customers import cards
from apps.customers.models import Card, CardState
from apps.orders import settling
from apps.orders.enums import OrderSource, OrderState, RecordState
from apps.orders.ledger_check import differences
from apps.orders.models import Order, TransactionRecord
from apps.piles.models import Alarm, OfflineCard
from apps.pricing import services as pricing
from apps.pricing.tariff import ClassPrice, Tariff
from apps.wallet.models import Debt, Hold
from apps.wallet.services import account_of, wallet_of
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")

CARD = "00000000D14B0A54"
REVERSED = "00000000540A4BD1"


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


@pytest.fixture
def connector():
    return factories.a_connector()


def a_card(balance="50.00", **fields):
    return cards.add_card(
        customer=factories.a_customer(balance), logical_no="12345678", physical_no=CARD, **fields
    )


def upload(connector, energies=None, **changes):
    """A record of a charge that nobody here knows of, worked off."""
    template = Order(connector=connector, transaction_no=f"{connector.code}{'7' * 16}")
    template.tariff = factories.TARIFF.to_json()
    values = {"start_mode": 4, "physical_card_no": CARD, "card_numbers": [CARD, REVERSED]}
    report = factories.a_report(template, energies or {"flat": "10.0000"}, **values | changes)
    stored = settling.store_record(report=report, received_at=now())
    settling.settle_record(record_id=stored.pk)
    stored.refresh_from_db()
    return stored


def test_the_record_makes_the_order_and_the_wallet_pays(connector):
    card = a_card()
    record = upload(connector)
    order = Order.objects.get()
    assert (record.state, record.order, order.state) == (RecordState.SETTLED, order, OrderState.COMPLETED)
    assert (order.source, order.customer, order.card_no) == (OrderSource.OFFLINE_CARD, card.customer, CARD)
    assert order.transaction_no == record.transaction_no
    assert (order.payable, order.debt) == (Decimal("12.00"), Decimal("0.00"))
    assert wallet_of(customer=card.customer).available == Decimal("38.00")
    assert not Hold.objects.exists()
    assert [event.kind for event in order.events.order_by("id")] == ["charged_offline", "settled"]


def test_what_the_wallet_cannot_pay_is_a_debt(connector):
    card = a_card("5.00")
    upload(connector)
    order = Order.objects.get()
    assert (order.paid_principal, order.debt) == (Decimal("5.00"), Decimal("7.00"))
    assert Debt.objects.get().amount == wallet_of(customer=card.customer).debt == Decimal("7.00")


def test_the_tariff_is_that_of_the_time_of_the_start(connector):
    a_card()
    dearer = Tariff(
        {name: ClassPrice(Decimal("9.00000"), Decimal("0.00000")) for name in factories.TARIFF.prices},
        factories.TARIFF.slots,
    )
    version = pricing.create_template(name="later", tariff=dearer, actor=factories.SYSTEM)
    pricing.assign(
        version=version,
        station=connector.pile.station,
        starts_at=now() - timedelta(minutes=30),
        actor=factories.SYSTEM,
    )
    upload(connector)
    assert Order.objects.get().payable == Decimal("12.00")


def test_a_card_read_the_other_way_round(connector):
    a_card()
    Card.objects.update(physical_no=REVERSED)
    assert upload(connector).state == RecordState.SETTLED


def test_a_frozen_card_pays_for_what_it_took(connector):
    card = a_card()
    cards.set_card_state(card=card, state=CardState.FROZEN)
    assert upload(connector).state == RecordState.SETTLED


def test_a_number_of_the_piles_own_with_a_card_for_offline_use(connector):
    a_card(works_offline=True)
    assert upload(connector, start_mode=2).state == RecordState.SETTLED


def test_a_number_of_the_piles_own_with_a_card_of_its_list(connector):
    a_card()
    OfflineCard.objects.create(pile=connector.pile, logical_no="1", physical_no=CARD)
    assert upload(connector, start_mode=2).state == RecordState.SETTLED


def test_a_card_that_may_not_charge_offline_stays_in_quarantine(connector):
    a_card()
    record = upload(connector, start_mode=2)
    assert (record.state, record.reason) == (RecordState.QUARANTINED, "unknown_transaction")
    assert not Order.objects.exists()


def test_an_unknown_card_stays_in_quarantine(connector):
    record = upload(connector)
    assert (record.state, record.reason) == (RecordState.QUARANTINED, "unknown_transaction")
    assert Alarm.objects.get().kind == "unknown_record"


def test_a_gun_that_charges_somebody_else_meanwhile(connector):
    a_card()
    running = factories.a_charging_order(connector=connector)
    assert upload(connector).state == RecordState.SETTLED
    running.refresh_from_db()
    assert running.state == OrderState.CHARGING


def test_a_record_that_differs_from_the_first_goes_to_quarantine(connector):
    a_card()
    upload(connector)
    second = upload(connector, {"flat": "11.0000"})
    assert (second.state, second.reason) == (RecordState.QUARANTINED, "differs_from_first")
    assert Order.objects.count() == 1


def test_a_record_that_does_not_add_up_waits_for_a_person(connector):
    a_card()
    record = upload(connector, total_energy_kwh=Decimal("99.0000"))
    assert (record.state, Order.objects.get().state) == (RecordState.HELD, OrderState.ABNORMAL)
    assert TransactionRecord.objects.count() == 1


def test_the_enterprise_pays_where_it_does_and_the_driver_elsewhere(connector):
    card = a_card()
    enterprise = factories.a_paying_enterprise(card.customer)
    upload(connector)
    order = Order.objects.get()
    assert (order.payer, order.paid_enterprise) == ("enterprise", Decimal("12.00"))
    assert order.enterprise_member == enterprise.members.get()
    assert account_of(enterprise=enterprise).principal == Decimal("88.00")
    enterprise.stations.set([factories.a_station()])
    upload(factories.a_connector())
    order = Order.objects.latest("id")
    assert (order.payer, order.paid_principal) == ("wallet", Decimal("12.00"))
    enterprise.stations.clear()
    enterprise.monthly_limit = Decimal("12.00")
    enterprise.save()
    upload(factories.a_connector())
    assert Order.objects.latest("id").payer == "wallet"


def test_an_empty_account_pays_for_no_further_charge(connector):
    """10.00 are there: the first charge of 12.00 takes them all and is paid all the same, the next is the driver's."""
    card = a_card()
    enterprise = factories.a_paying_enterprise(card.customer, "10.00")
    upload(connector)
    assert (Order.objects.get().payer, account_of(enterprise=enterprise).principal) == (
        "enterprise",
        Decimal("-2.00"),
    )
    upload(factories.a_connector())
    order = Order.objects.latest("id")
    assert (order.payer, order.paid_principal) == ("wallet", Decimal("12.00"))
    enterprise.account_kind, enterprise.credit_limit = "postpaid", Decimal("5.00")
    enterprise.save()
    upload(factories.a_connector())
    assert Order.objects.latest("id").payer == "enterprise", "down to the credit limit"
