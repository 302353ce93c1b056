from random import Random

from apps.customers.models import Customer
from apps.orders.models import Order
from apps.reports.management.commands.simulate_drivers import _enlist, _look
from tests.factories import a_connector


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
