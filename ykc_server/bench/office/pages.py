"""Which pages of the back office are opened over five million orders."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from django.test import Client

from apps.accounts.models import User
from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.orders.models import Order
from apps.reports.finance import Group
from apps.tenancy.models import Tenant
from ykc_server.bench.money.pages import Visits

PARTS = {"overview": "overview", "orders": "orders", "report": "report", "wall": "gun wall"}
"""Goal → how its pages are called."""


class OfficeVisits(Visits):
    """The overview, the list of orders with each filter that it offers, the report of a month, the gun wall."""

    def __init__(self, code: str) -> None:
        self.client = Client(headers={"host": f"{code}.localhost"})
        with schema_context(Tenant.objects.get(code=code).schema_name):
            user = User.objects.filter(username="bench").first()
            self.client.force_login(user or User.objects.create_superuser("bench", password=None))
            order = Order.objects.select_related("connector", "customer").order_by("settled_at").first()
            assert order is not None
        today = business_day(now())
        day, month = today - timedelta(days=7), today - timedelta(days=29)
        orders, report = "/admin/orders/order/", "/admin/reports/financereport/"
        narrowed = {
            "of a state": {"state__exact": "completed"},
            "of a rare state": {"state__exact": "abnormal"},
            "of a station": {"station__id__exact": order.station_id},
            "of a day": {
                "created_at_from_0": day, "created_at_from_1": "00:00:00",
                "created_at_to_0": day, "created_at_to_1": "23:59:59",
            },
            "of a verdict": {"verdict__exact": "flagged"},
            "of a rare verdict": {"verdict__exact": "held"},
            "of a source": {"source__exact": "card"},
            "of a rare source": {"source__exact": "partner"},
            "by number": {"q": order.order_no},
            "by transaction": {"q": order.transaction_no},
            "by gun": {"q": order.connector.code},
            "by phone": {"q": order.customer.phone.removeprefix("+86")},
        }  # fmt: skip
        self.paths = {
            "overview": "/admin/",
            "orders": orders,
            **{f"orders {name}": f"{orders}?{urlencode(words)}" for name, words in narrowed.items()},
            **{
                f"report {group.label}": f"{report}?{urlencode({'from': month, 'to': today, 'by': group.value})}"
                for group in Group
            },
            "gun wall": "/admin/piles/connector/",
            "gun wall of a station": f"/admin/piles/connector/?pile__station__id__exact={order.station_id}",
        }
