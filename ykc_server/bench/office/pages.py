"""Which pages of the back office are opened over five million orders."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.orders.enums import OrderSource, OrderState, Verdict
from apps.orders.models import Order
from apps.reports.finance import Group
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from ykc_server.bench.money.pages import Visits
from ykc_server.bench.office.grow import EMPTY, LARGE

PARTS = {"overview": "overview", "orders": "orders", "report": "report", "wall": "gun wall"}
"""Goal → how its pages are called."""


class OfficeVisits(Visits):
    """The overview, the list of orders with each choice of its filters, the report of a month, the gun wall."""

    def __init__(self, code: str) -> None:
        self.client = Client(headers={"host": f"{code}.localhost"})
        today = business_day(now())
        with schema_context(Tenant.objects.get(code=code).schema_name):
            self.sign_in()
            settled = Order.objects.select_related("connector__pile", "customer").filter(
                settled_at__isnull=False
            )
            order = settled.order_by("settled_at").first()
            assert order is not None
            empty = Station.objects.get(station_no=EMPTY)
        month = today - timedelta(days=29)
        orders, report = "/admin/orders/order/", "/admin/reports/financereport/"
        first = business_day(order.created_at)
        narrowed: dict[str, dict[str, Any]] = {
            **{f"in state {state.value}": {"state__exact": state.value} for state in OrderState},
            "in two states": {"state__exact": ["abnormal", "settling"]},
            "of a station": {"station__id__exact": order.station_id},
            "of a station without any": {"station__id__exact": empty.pk},
            "of a day": _days(today - timedelta(days=7), today - timedelta(days=7)),
            "of the first day": _days(first, first),
            "of 30 days": _days(month, today),
            "of all days but the last": _days(first, today - timedelta(days=7)),
            **{
                f"with verdict {verdict.value}": {"verdict__exact": verdict.value}
                for verdict in Verdict
                if verdict
            },
            **{f"of source {source.value}": {"source__exact": source.value} for source in OrderSource},
            **{f"begun at {hour}": {"hour": hour} for hour in (2, 5, 14)},
            "by number": {"q": order.order_no},
            "by transaction": {"q": order.transaction_no},
            "by gun": {"q": order.connector.code},
            "by pile": {"q": order.connector.pile.pile_code},
            "by phone": {"q": order.customer.phone.removeprefix("+86")},
            "by name": {"q": order.customer.nickname},
            "by a name of many": {"q": "车主"},
            "by a name of nobody": {"q": "没有这个人"},
            "page 300": {"p": 300 if code == LARGE else 2},
        }
        wall = "/admin/piles/connector/"
        self.paths = {
            "overview": "/admin/",
            "orders": orders,
            **{
                f"orders {name}": f"{orders}?{urlencode(words, doseq=True)}"
                for name, words in narrowed.items()
            },
            **{
                f"report {group.label}": f"{report}?{urlencode({'from': month, 'to': today, 'by': group.value})}"
                for group in Group
            },
            "gun wall": wall,
            "gun wall of a station": f"{wall}?pile__station__id__exact={order.station_id}",
            "gun wall, the stations": f"{wall}wall/",
            "gun wall, live": f"{wall}wall/?station={order.station_id}",
        }


def _days(first: date, last: date) -> dict[str, Any]:
    """What the filter by time sends."""
    return {
        "created_at_from_0": first,
        "created_at_from_1": "00:00:00",
        "created_at_to_0": last,
        "created_at_to_1": "23:59:59",
    }
