from datetime import timedelta
from decimal import Decimal
from random import Random

from apps.common.time import now
from apps.customers.models import Customer
from apps.orders.models import Order
from apps.orders.settling import settle_record
from apps.reports.management.commands.simulate_drivers import _enlist, _look
from apps.wallet.models import Debt, Recharge
from apps.wallet.services import wallet_of
from tests.factories import (
    a_charging_order,
    a_connector,
    a_customer,
    a_paying_enterprise,
    a_pile,
    a_record,
)


def test_drivers_are_made_once_and_arrive_together(tenant):
    for _ in range(5):
        a_connector()
    _enlist(4)
    _enlist(4)
    assert Customer.objects.filter(wallet__isnull=False).count() == 4
    _look(Random(1), 1.0, 3, ["sandbox"])
    assert Order.objects.count() == 3
    assert Order.objects.values("connector").distinct().count() == 3
    _look(Random(1), 0.6, 3, ["sandbox"])
    assert Order.objects.count() == 3


def test_drivers_of_a_fleet_leave_other_piles_and_their_charges_alone(tenant):
    fleet = sorted(gun.code for _ in range(2) for gun in a_pile(guns=2).connectors.all())
    other = a_pile(guns=2, pile_code="99000000000001")
    order = a_charging_order(connector=other.connectors.get(connector_no="01"))
    # Whoever has an order of this number leaves early: the last look shows it.
    Order.objects.filter(pk=order.pk).update(order_no="5", charging_at=now() - timedelta(hours=1))
    _enlist(9)

    for _ in range(2):
        _look(Random(1), 1.0, 9, ["sandbox"], 2)
    # The first gun of all is the one that `make run` offers for trying.
    started = Order.objects.exclude(pk=order.pk).values_list("connector__code", flat=True)
    assert sorted(started) == fleet[1:]
    order.refresh_from_db()
    assert order.state == "charging"

    _look(Random(1), 1.0, 9, ["sandbox"])  # now at any pile
    assert Order.objects.filter(connector__code="9900000000000102").count() == 1
    order.refresh_from_db()
    assert order.state == "stopping"


def test_the_enterprise_pays_for_its_drivers_while_it_can(tenant):
    member = wallet_of(customer=a_customer("0")).customer
    enterprise = a_paying_enterprise(member, "1000.00", member_monthly_limit=Decimal("1000.00"))
    for _ in range(2):
        a_connector()  # the first gun of all stays free
    _look(Random(1), 1.0, 9, ["sandbox"])
    order = Order.objects.get()
    assert (order.customer, order.payer, order.enterprise) == (member, "enterprise", enterprise)
    assert not Recharge.objects.exists()

    Order.objects.update(state="failed")
    enterprise.member_monthly_limit = Decimal("1.00")
    enterprise.save()
    _look(Random(1), 1.0, 9, ["sandbox"])
    assert Order.objects.latest("pk").payer == "wallet"
    assert Recharge.objects.get().wallet.customer == member


def test_who_owes_for_days_stays_away(tenant):
    owing = a_customer("10.00")
    order = a_charging_order(customer=owing)
    settle_record(record_id=a_record(order, {"flat": "20.0000"}).pk)
    for _ in range(2):
        a_connector()  # the first gun of all stays free
    debt = Debt.objects.get(order_no=order.order_no)
    for days, orders in ((4, 1), (2, 2)):
        Order.objects.filter(pk=order.pk).update(ended_at=now() - timedelta(days=days))
        _look(Random(1), 1.0, 9, ["sandbox"])
        assert owing.orders.count() == orders
        debt.refresh_from_db()
        assert (debt.closed_at is None) is (orders == 1)
