"""Every page of both back offices: opens for who may see it, is closed to others, shows no state to edit."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.sites import AdminSite
from django.db import connection
from django.db.models import CharField, JSONField, TextField
from django.test import RequestFactory
from django.urls import reverse

from apps.accounts.models import Department, LoginProvider, User
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.sites import platform_site, tenant_site
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
from apps.wallet.models import LedgerCheck
from tests import factories
from tests.apps.orders.test_refunds import ask
from tests.apps.wallet.test_refunds import ask as ask_wallet
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

TENANT_PAGES = sorted(model._meta.label_lower for model in tenant_site._registry)
PLATFORM_PAGES = sorted(model._meta.label_lower for model in platform_site._registry)


@pytest.fixture
def business(tenant: Any) -> Any:
    """One row at least behind every page of a tenant's back office."""
    order = factories.a_charging_order(customer=factories.a_customer("1.00"))
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    ask(order)
    ask_wallet(factories.a_customer("10.00"))
    factories.a_charging_order()
    factories.a_tier()
    factories.a_notice()
    gateway.send(pile=order.connector.pile, command=SyncTime(), actor=SYSTEM)
    services.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=order.connector.pile.pile_code)
    Newcomer.objects.create(
        kind="pile", key="99010203040506", first_seen_at=now(), last_seen_at=now(), tenant=tenant
    )
    Department.objects.create(name="总部")
    LoginProvider.objects.create(provider="wechat", app_id="wx1", secret="s")
    MiniProgram.objects.create(provider="wechat", app_id="wx1", secret="s")
    factories.an_agreement()
    order.refresh_from_db()
    factories.an_energy_difference(order)
    factories.an_export()
    factories.messaging("值班")
    factories.a_report_schedule("日报")
    rollups.roll_day(business_day(now()))
    factories.a_channel_difference()
    bulk.send_bulk(command=SyncTime(), piles=[order.connector.pile], actor=SYSTEM)
    UpdateServer.objects.create(name="固件站", host="10.0.0.9", username="u", password="p")
    card = Card.objects.create(customer=order.customer, logical_no="1001", physical_no="00000000D14B0A54")
    pile = order.connector.pile
    OfflineCard.objects.create(pile=pile, logical_no=card.logical_no, physical_no=card.physical_no)
    Vehicle.objects.create(customer=order.customer, plate="沪A12345")
    factories.an_approval()
    factories.top_up(order.customer, "1.00", at=now() - timedelta(days=9))
    books.close_days(until=business_day(now()) - timedelta(days=9), actor=SYSTEM)
    LedgerCheck.objects.create(started_at=now(), finished_at=now(), differences=0, asked_by="x")
    factories.an_abnormal_order()
    factories.an_invoice()
    factories.an_activity()
    factories.a_feedback(order.customer, station=order.station)
    factories.an_enterprise(order.customer)
    factories.an_enterprise_charge()
    factories.a_coupon(order.customer)
    factories.a_retail_price(order.station, {"flat": ("0.80000", "0.50000")})
    factories.a_price_task(order.station)
    factories.a_holiday()
    factories.a_franchisee(order.station)
    return order


def url(site: AdminSite, label: str, page: str, *args: object) -> str:
    app, model = label.split(".")
    conf = "chargeplat.urls_public" if site is platform_site else "chargeplat.urls"
    return reverse(f"admin:{app}_{model}_{page}", args=args, urlconf=conf)


def model_of(site: AdminSite, label: str) -> Any:
    return next(model for model in site._registry if model._meta.label_lower == label)


def test_every_page_of_a_tenant_opens(business: Any) -> None:
    client = boss()
    for label in TENANT_PAGES:
        model = model_of(tenant_site, label)
        assert client.get(url(tenant_site, label, "changelist"), follow=True).status_code == 200, label
        row = model.objects.order_by("pk").first()
        assert row is not None, f"{label}: nothing to show"
        assert client.get(url(tenant_site, label, "change", row.pk)).status_code == 200, label


def test_every_list_can_be_searched_and_exported(business: Any) -> None:
    client = boss()
    for label in TENANT_PAGES:
        page = url(tenant_site, label, "changelist")
        for term in ("32010600000001", "13800000001", "abc", "0" * 32, "0" * 16, "运"):
            assert client.get(page, {"q": term}, follow=True).status_code == 200, (label, term)
        model_admin = tenant_site._registry[model_of(tenant_site, label)]
        if model_admin.export:
            answer = client.get(f"{page}export/")
            assert answer.status_code == 200
            assert answer.content.startswith(b"\xef\xbb\xbf"), label


def test_a_page_needs_its_permission(business: Any) -> None:
    visitor = signed_in(a_user())
    for label in TENANT_PAGES:
        app, model = label.split(".")
        reader = signed_in(a_user(f"{app}.view_{model}"))
        row = model_of(tenant_site, label).objects.order_by("pk").first()
        pages = [url(tenant_site, label, "changelist"), url(tenant_site, label, "change", row.pk)]
        if (
            label != "files.exportjob"
        ):  # open to all staff, each with their own: tests/apps/files/test_exports.py
            assert [visitor.get(page).status_code for page in pages] == [403, 403], label
        assert [reader.get(page, follow=True).status_code for page in pages] == [200, 200], label

        before = row.__class__.objects.count()
        assert reader.post(pages[1], {}).status_code == 403, label
        assert reader.post(url(tenant_site, label, "delete", row.pk), {"post": "yes"}).status_code == 403, (
            label
        )
        assert row.__class__.objects.count() == before, label


def test_a_stranger_is_asked_to_sign_in(tenant: Any, tenant_client: Any) -> None:
    for label in TENANT_PAGES:
        page = url(tenant_site, label, "changelist")
        assert tenant_client.get(page).headers["location"] == f"/admin/login/?next={page}"


def test_no_form_has_a_state(business: Any) -> None:
    request = RequestFactory().get("/")
    request.user = a_user(superuser=True)
    for model, page in tenant_site._registry.items():
        assert isinstance(page, BackofficeAdmin), model
        for row in (None, model.objects.order_by("pk").first()):
            if page.has_add_permission(request) if row is None else page.has_change_permission(request, row):
                assert "state" not in page.get_form(request, row).base_fields, model


def test_nobody_deletes_in_bulk(business: Any) -> None:
    client = boss()
    for label in TENANT_PAGES:
        page = url(tenant_site, label, "changelist")
        assert b'value="delete_selected"' not in client.get(page).content


TEXTS = (CharField, TextField, JSONField)


@pytest.mark.parametrize("site", [tenant_site, platform_site], ids=["tenant", "platform"])
def test_no_list_finds_out_a_text_letter_by_letter(tenant: Any, site: AdminSite) -> None:
    request = RequestFactory().get("/")
    request.user = a_user(superuser=True)
    asked = 0
    for model, page in site._registry.items():
        offered = [one[0] if isinstance(one, tuple) else one for one in page.get_list_filter(request)]
        for field in model._meta.concrete_fields:
            if isinstance(field, TEXTS) and field.name not in offered:
                for how in ("startswith", "gt", "in", "regex"):
                    assert not page.lookup_allowed(f"{field.name}__{how}", "a", request), (model, field.name)
                    asked += 1
    assert asked > 50


def test_a_session_or_a_hidden_number_is_not_guessed_through_the_address(tenant: Any) -> None:
    factories.a_customer(phone="+8613800004321")
    client = signed_in(a_user("accounts.view_staffsession", "customers.view_customer"))
    key = client.session.session_key
    for page, words, status in (
        ("accounts/staffsession", f"session_key__startswith={key[:1]}", 400),
        ("accounts/staffsession", f"session_key__gte={key[:1]}", 400),
        ("customers/customer", "phone__startswith=%2B861380000", 400),
        ("customers/customer", "pin__startswith=p", 400),
        ("customers/customer", "state__exact=active", 200),
    ):
        assert client.get(f"/admin/{page}/?{words}").status_code == status, words


def test_money_and_records_are_read_only_even_for_a_superuser(tenant: Any) -> None:
    request = RequestFactory().get("/")
    request.user = a_user(superuser=True)
    read_only = [
        model._meta.label_lower
        for model, page in tenant_site._registry.items()
        if not page.has_add_permission(request) and not page.has_change_permission(request)
    ]
    assert sorted(read_only) == [
        "accounts.signinrecord",
        "accounts.staffsession",
        "backoffice.approval",
        "backoffice.approvalpolicy",
        "backoffice.auditentry",
        "coupons.coupon",
        "customers.customer",
        "customers.enterprisemember",
        "customers.feedback",
        "files.exportjob",
        "invoices.invoiceapplication",
        "notifications.message",
        "orders.abnormalorder",
        "orders.energyday",
        "orders.energydifference",
        "orders.enterprisecharge",
        "orders.order",
        "orders.orderrefund",
        "orders.transactionrecord",
        "piles.alarm",
        "piles.commandbatch",
        "piles.connector",
        "piles.newdevice",
        "piles.offeredpile",
        "piles.offlinecard",
        "piles.pilecommand",
        "pricing.priceassignment",
        "pricing.pricepush",
        "reports.financereport",
        "wallet.account",
        "wallet.channelbillrow",
        "wallet.channelday",
        "wallet.channeldifference",
        "wallet.dayclosing",
        "wallet.debt",
        "wallet.enterpriseaccount",
        "wallet.hold",
        "wallet.journalentry",
        "wallet.ledgercheck",
        "wallet.paymentnotice",
        "wallet.recharge",
        "wallet.wallet",
        "wallet.walletrefund",
        "wallet.walletrefundpart",
    ]


def test_every_page_of_the_platform_opens(tenant: Any) -> None:
    connection.set_schema_to_public()
    user = a_user(superuser=True)
    client = signed_in(user, PLATFORM_HOST)
    assert client.get("/admin/").status_code == 200
    for label in PLATFORM_PAGES:
        assert client.get(url(platform_site, label, "changelist")).status_code == 200, label
        row = model_of(platform_site, label).objects.order_by("-pk").first()
        if row is not None:
            assert client.get(url(platform_site, label, "change", row.pk)).status_code == 200, label


def test_the_platform_has_no_business_page(tenant: Any) -> None:
    assert PLATFORM_PAGES == [
        "accounts.loginprovider",
        "accounts.signinpolicy",
        "accounts.signinrecord",
        "accounts.staffsession",
        "accounts.user",
        "auth.group",
        "backoffice.auditentry",
        "tenancy.domain",
        "tenancy.inboundroute",
        "tenancy.newcomer",
        "tenancy.package",
        "tenancy.supportsession",
        "tenancy.tenant",
        "tenancy.tenantopening",
    ]
    assert not [label for label in TENANT_PAGES if label.startswith("tenancy.")]


def test_staff_of_one_tenant_are_nobody_on_another(tenant: Any, other_tenant: Any) -> None:
    client = boss()
    assert client.get("/admin/").status_code == 200
    assert client.get("/admin/", headers={"host": "beta.test"}).status_code == 302
    assert User.objects.count() == 1
