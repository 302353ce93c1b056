"""How many questions each list asks the database: the same for one row and for three."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Department, LoginProvider
from apps.common.ids import SYSTEM
from apps.common.time import business_day, now
from apps.customers.models import Card, MiniProgram, Vehicle
from apps.orders.settling import settle_record
from apps.piles import bulk, gateway, services
from apps.piles.commands import SyncTime
from apps.piles.enums import AlarmKind
from apps.piles.models import OfflineCard, UpdateServer
from apps.reports import rollups
from apps.tenancy.models import Newcomer
from apps.wallet import books
from apps.wallet.models import LedgerCheck, MerchantAccount
from tests import factories
from tests.apps.backoffice.test_pages import TENANT_PAGES, tenant_site, url
from tests.apps.orders.test_refunds import ask
from tests.apps.wallet.test_refunds import ask as ask_wallet
from tests.staff import a_user, boss, signed_in

# Two stand before each list: the session and the person. The host's tenant is not counted, it may be remembered.
COUNTS = {
    "accounts.department": 5,
    "accounts.loginprovider": 5,
    "accounts.signinpolicy": 5,
    "accounts.signinrecord": 3,
    "accounts.staffsession": 5,
    "accounts.user": 7,
    "auth.group": 5,
    "backoffice.approval": 6,
    "backoffice.approvalpolicy": 6,
    "backoffice.auditentry": 8,
    "coupons.coupon": 5,
    "coupons.coupontemplate": 6,
    "customers.agreement": 5,
    "customers.card": 5,
    "customers.customer": 5,
    "customers.driverappsettings": 7,
    "customers.enterprise": 5,
    "customers.enterprisemember": 6,
    "customers.miniprogram": 5,
    "customers.feedback": 8,
    "customers.vehicle": 5,
    "files.exportjob": 4,
    "invoices.invoiceapplication": 6,
    "invoices.invoicepolicy": 7,
    "marketing.activity": 5,
    "franchisees.franchisee": 5,
    "notifications.mailaccount": 5,
    "notifications.message": 3,
    "notifications.robot": 5,
    "notifications.smsaccount": 5,
    "orders.abnormalorder": 6,
    "orders.billingpolicy": 7,
    "orders.energyday": 6,
    "orders.energydifference": 5,
    "orders.enterprisecharge": 5,
    "orders.order": 6,
    "orders.orderrefund": 8,
    "orders.transactionrecord": 5,
    "piles.alarm": 6,
    "piles.alarmrule": 5,
    "piles.commandbatch": 6,
    "piles.connector": 7,
    "piles.newdevice": 5,
    "piles.notificationrule": 5,
    "piles.offeredpile": 11,
    "piles.offlinecard": 6,
    "piles.pile": 10,
    "piles.pilecommand": 4,
    "piles.updateserver": 5,
    "pricing.holiday": 5,
    "pricing.priceassignment": 7,
    "pricing.pricepush": 7,
    "pricing.pricetask": 7,
    "pricing.pricetemplate": 6,
    "pricing.retailprice": 6,
    "reports.financereport": 8,
    "reports.reportschedule": 5,
    "sites.station": 9,
    "wallet.account": 4,
    "wallet.bonustier": 5,
    "wallet.channelbillrow": 5,
    "wallet.channelday": 7,
    "wallet.channeldifference": 5,
    "wallet.dayclosing": 9,
    "wallet.debt": 6,
    "wallet.enterpriseaccount": 5,
    "wallet.hold": 5,
    "wallet.journalentry": 3,
    "wallet.ledgercheck": 5,
    "wallet.merchantaccount": 5,
    "wallet.paymentnotice": 5,
    "wallet.recharge": 5,
    "wallet.wallet": 5,
    "wallet.walletpolicy": 7,
    "wallet.walletrefund": 11,
    "wallet.walletrefundpart": 6,
}


def a_business(tenant: Any, number: int) -> None:
    order = factories.a_charging_order(customer=factories.a_customer("1.00"))
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    ask(order)
    ask_wallet(factories.a_customer("10.00"))
    gateway.send(pile=order.connector.pile, command=SyncTime(), actor=SYSTEM)
    services.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=order.connector.pile.pile_code)
    Group.objects.create(name=f"role {number}")
    if number < 3:
        LoginProvider.objects.create(provider=["wechat", "alipay"][number - 1], app_id="x", secret="s")
        MiniProgram.objects.create(provider=["wechat", "alipay"][number - 1], app_id="x", secret="s")
    signed_in(a_user())  # a session, and a line of the log
    Department.objects.create(name=f"department {number}", parent=Department.objects.first())
    bulk.send_bulk(command=SyncTime(), piles=[order.connector.pile], actor=SYSTEM)
    card = Card.objects.create(
        customer=order.customer, logical_no=f"100{number}", physical_no=f"00000000D14B0A5{number}"
    )
    OfflineCard.objects.create(
        pile=order.connector.pile, logical_no=card.logical_no, physical_no=card.physical_no
    )
    Vehicle.objects.create(customer=order.customer, plate=f"沪A1234{number}")
    Newcomer.objects.create(
        kind="pile", key=f"9901020304050{number}", first_seen_at=now(), last_seen_at=now(), tenant=tenant
    )
    factories.an_agreement()
    factories.an_invoice()
    factories.an_activity()
    factories.a_feedback(order.customer, station=order.station)
    factories.an_enterprise(order.customer)
    factories.an_enterprise_charge()
    factories.a_coupon(order.customer)
    factories.a_retail_price(order.station, {"flat": ("0.80000", "0.50000")})
    factories.a_price_task(order.station)
    factories.a_holiday(30 + number)
    factories.an_approval(code=f"operation {number}")
    factories.top_up(order.customer, "1.00", at=now() - timedelta(days=9 - number))
    books.close_days(until=business_day(now()) - timedelta(days=9 - number), actor=SYSTEM)
    LedgerCheck.objects.create(started_at=now(), finished_at=now(), differences=0, asked_by="x")
    factories.an_abnormal_order()
    UpdateServer.objects.create(name=f"server {number}", host="10.0.0.9", username="u", password="p")
    factories.a_tier()
    merchant = MerchantAccount.objects.create(
        channel="wechatpay", name=f"m {number}", merchant_no=str(number)
    )
    factories.a_notice(merchant=merchant)
    factories.an_energy_difference(order)
    factories.an_export()
    factories.messaging(f"messages {number}", order.station)
    factories.a_report_schedule(f"report {number}")
    factories.a_channel_difference()
    factories.a_franchisees_account(factories.a_franchisee(order.station))


def counts(client: Any) -> dict[str, int]:
    found = {}
    for label in TENANT_PAGES:
        page = url(tenant_site, label, "changelist")
        with CaptureQueriesContext(connection) as asked:
            assert client.get(page, follow=True).status_code == 200  # one row opens its form
        own = [query["sql"] for query in asked.captured_queries]
        found[label] = len([sql for sql in own if not sql.startswith("SET ") and "tenancy_domain" not in sql])
    return found


def test_a_longer_list_asks_no_more(tenant: Any) -> None:
    client = boss()
    a_business(tenant, 1)
    assert counts(client) == COUNTS
    a_business(tenant, 2)
    a_business(tenant, 3)
    assert counts(client) == COUNTS


# The pages of every day: how much each asks when nothing is remembered, and at once again.
ADDRESSES = {
    "/admin/": (29, 21),
    "/admin/?part=now&at=": (25, 21),
    "/admin/display/data/": (14, 6),
    "/admin/orders/order/": (6, 6),
    "/admin/orders/order/?state__exact=completed&state__exact=abnormal": (6, 6),
    "/admin/orders/order/?station__id__exact={station}": (6, 6),
    "/admin/orders/order/?created_at_from_0={day}&created_at_from_1=00:00:00": (6, 6),
    "/admin/orders/order/?verdict__exact=ok": (6, 6),
    "/admin/orders/order/?source__exact=app": (6, 6),
    "/admin/orders/order/?hour={hour}": (6, 6),
    "/admin/orders/order/?q=车主": (7, 7),
    "/admin/reports/financereport/?by=day": (8, 8),
    "/admin/reports/financereport/?by=station": (10, 10),
    "/admin/reports/financereport/?by=gun": (11, 11),
    "/admin/reports/financereport/?by=hour": (9, 9),
    "/admin/piles/connector/": (7, 7),
    "/admin/piles/connector/wall/": (3, 3),
    "/admin/piles/connector/wall/?station={station}": (6, 6),
}


def asked_by(client: Any, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get(address).status_code == 200
    own = [query["sql"] for query in asked.captured_queries]
    return len([sql for sql in own if not sql.startswith("SET ") and "tenancy_domain" not in sql])


def settle_at(station: Any) -> None:
    """Bill an order at a new gun of the station, leave another one charging, and sum up the day."""
    for is_over in (True, False):
        pile = factories.a_pile(station=station)
        order = factories.a_charging_order(connector=pile.connectors.get())
        if is_over:
            settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    rollups.roll_day(business_day(now()))


def test_the_pages_of_every_day_ask_no_more(tenant: Any) -> None:
    client, station = boss(), factories.a_station()
    began = now() - timedelta(hours=1)
    words = {"station": station.pk, "day": business_day(began), "hour": began.hour}
    for rows in (1, 3):
        while station.orders.filter(state="completed").count() < rows:
            settle_at(station)
        client.get("/admin/")
        found = {}
        for address in ADDRESSES:
            path = address.format(**words)
            cache.clear()
            found[address] = (asked_by(client, path), asked_by(client, path))
        assert {one: found[one] for one in found if found[one] != ADDRESSES[one]} == {}, rows
