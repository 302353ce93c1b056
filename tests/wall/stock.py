"""What tenant beta has and nobody at alpha may see: a row of every kind, each with a mark that pages would show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Model
from psycopg import sql

from apps.accounts.enums import Method, Outcome, Provider
from apps.accounts.models import (
    Department,
    LoginProvider,
    SignInPolicy,
    SignInRecord,
    StaffSession,
    User,
)
from apps.backoffice import approvals, audit
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import ApprovalPolicy
from apps.common.ids import SYSTEM, Actor
from apps.common.schema import current_schema
from apps.common.time import business_day, now
from apps.customers import sessions
from apps.customers.cards import add_card, add_vehicle
from apps.customers.models import Customer, DriverAppSettings, InboxMessage, MiniProgram
from apps.invoices.models import InvoicePolicy
from apps.orders import refunds, settling
from apps.orders.energy_reconcile import reconcile_energy
from apps.orders.models import BillingPolicy, Order, TransactionRecord
from apps.piles import bulk
from apps.piles.commands import Reboot
from apps.piles.enums import AlarmKind, ConnectorState
from apps.piles.models import CommandBatch, Connector, ConnectorStatus, OfflineCard, Pile, UpdateServer
from apps.piles.services import raise_alarm
from apps.pricing import services as pricing
from apps.reports import rollups
from apps.tenancy.models import Newcomer, Tenant, TenantLogo
from apps.wallet import books
from apps.wallet import refunds as wallet_refunds
from apps.wallet.models import LedgerCheck, MerchantAccount, Recharge, WalletPolicy
from apps.wallet.recharges import create_recharge
from tests import factories

SECRET = "乙方机密"
FIRST_ID = 900_001
PILE_CODE = "99010100000001"
NEW_CODE = "99010100000077"
LOGO_DIGEST = "0123456789abcdef"
FILE_NUMBER = UUID("99010100-0000-4000-8000-000000000001")


@dataclass
class Stock:
    """Beta's rows by what URLs call them."""

    customer: Customer
    settled: Order
    live: Order
    waiting_record: TransactionRecord
    recharge_no: str
    open_recharge_no: str
    notice_id: int
    batch: CommandBatch
    own_order_no: str
    order_refund_no: str
    refund_no: str
    export_id: int
    vehicle_id: int
    message_id: int
    device: str
    invoice_no: str
    title_id: int
    feedback_no: str
    activity_id: int
    station_no: str = "BETA0001"
    pile_code: str = PILE_CODE

    @property
    def marks(self) -> list[str]:
        """Texts that only beta's rows hold."""
        return [
            SECRET,
            self.pile_code,
            NEW_CODE,
            self.station_no,
            self.settled.order_no,
            self.settled.transaction_no,
            self.live.order_no,
            self.recharge_no,
            self.order_refund_no,
            self.refund_no,
            self.device,
            self.invoice_no,
            self.feedback_no,
            self.customer.phone.removeprefix("+86"),
        ]


def stock() -> Stock:
    """Fill the current schema. Its ids begin at FIRST_ID, where the other tenant has none."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select sequencename from pg_sequences where schemaname = %s", [connection.schema_name]
        )
        for (name,) in cursor.fetchall():
            cursor.execute(
                sql.SQL("alter sequence {} restart with {}").format(
                    sql.Identifier(connection.schema_name, name), sql.Literal(FIRST_ID)
                )
            )
    Department.objects.create(name=SECRET)
    station = factories.a_station(station_no="BETA0001", name=SECRET)
    pile = factories.a_pile(station=station, guns=2, pile_code=PILE_CODE, priced=False, online=False)
    Pile.objects.filter(pk=pile.pk).update(name=SECRET)
    version = pricing.create_template(name=SECRET, tariff=factories.TARIFF, actor=SYSTEM)
    pricing.assign(version=version, station=station, starts_at=now() - timedelta(days=1), actor=SYSTEM)
    factories.put_online(pile)
    first, second = pile.connectors.order_by("code")
    debtor = factories.a_customer("50.00", nickname=SECRET, phone="+8613900009999")
    factories.an_enterprise(debtor, name=SECRET)
    factories.a_price_task(station, name=SECRET, version=version)
    factories.a_holiday(name=SECRET)
    factories.a_retail_price(station, {"sharp": ("1.50000", "0.80000")})
    factories.a_coupon(debtor, name=SECRET, spend=Decimal("9999.00"))
    settled = factories.a_charging_order(customer=debtor, connector=first)
    settling.settle_record(record_id=factories.a_record(settled, {"flat": "100.0000"}).pk)
    settled.refresh_from_db()
    assert settled.debt > 0
    refunds.apply(
        order_no=settled.order_no,
        electricity=Decimal("1.00"),
        service=Decimal("0.00"),
        reason=SECRET,
        applied_by=Actor("customer", str(debtor.pk), SECRET),
        request_key="wall",
    )
    driver = factories.a_customer("100.00", nickname=SECRET, phone="+8613900008888")
    factories.top_up(driver, "1.00", at=now() - timedelta(days=9))
    books.close_days(until=business_day(now()) - timedelta(days=9), actor=Actor("staff", "1", SECRET))
    LedgerCheck.objects.create(started_at=now(), finished_at=now(), differences=0, asked_by=SECRET)
    factories.put_online(pile)
    factories.an_enterprise_charge(first, name=f"{SECRET} 2")
    factories.put_online(pile)
    invoiced = factories.a_settled_order("1.0000", customer=driver, connector=first)
    invoice = factories.an_invoice(invoiced, name=SECRET)
    InvoicePolicy.objects.update(id=FIRST_ID, note=SECRET)
    activity = factories.an_activity(title=SECRET, is_published=True)
    feedback = factories.a_feedback(driver, SECRET, station=station)
    own, order_refund, wallet_refund = _refunds_of(driver, first)
    live = factories.a_charging_order(customer=driver, connector=second)
    ConnectorStatus.objects.filter(connector=first).update(state=ConnectorState.IDLE)
    factories.an_abnormal_order(connector=first, customer=factories.a_customer("30.00", nickname=SECRET))
    record = factories.a_record(live, {"flat": "10.0000"})
    card = add_card(customer=driver, logical_no="9901010001", physical_no="99010101", works_offline=True)
    OfflineCard.objects.create(pile=pile, logical_no=card.logical_no, physical_no=card.physical_no)
    vehicle = add_vehicle(customer=driver, plate="沪A99011")
    message = InboxMessage.objects.filter(customer=driver).latest("id")
    raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=PILE_CODE, connector_no="01")
    TransactionRecord.objects.update(received_at=now() - timedelta(days=1))
    reconcile_energy(day=business_day(now()) - timedelta(days=1))
    factories.a_channel_difference(SECRET)
    rollups.roll_day(business_day(now()))
    Newcomer.objects.create(
        pk=FIRST_ID,
        kind="pile",
        key=NEW_CODE,
        first_seen_at=now(),
        last_seen_at=now(),
        tenant=Tenant.objects.get(schema_name=current_schema()),
    )
    here = Tenant.objects.filter(schema_name=current_schema())
    here.update(logo_digest=LOGO_DIGEST)
    TenantLogo.objects.create(tenant=here.get(), content=b"PNG")
    franchisee = factories.a_franchisee(station, name=SECRET)
    factories.a_contract(franchisee, number=SECRET)
    factories.a_franchisees_account(franchisee, username="jia")
    person = User.objects.create_user(username="yi", display_name=SECRET, password="x", is_staff=True)
    SignInRecord.objects.create(user=person, name="yi", method=Method.PASSWORD, outcome=Outcome.SIGNED_IN)
    StaffSession.objects.create(user=person, session_key="yi", method=Method.PASSWORD)
    SignInPolicy.objects.update(id=FIRST_ID, note=SECRET)
    LoginProvider.objects.create(provider=Provider.WECHAT, app_id=SECRET, secret="x")
    templates = {"charge_ended": {"id": SECRET, "fields": {"number": "character_string1"}}}
    MiniProgram.objects.create(provider=Provider.WECHAT, app_id=SECRET, secret="x", templates=templates)
    DriverAppSettings.objects.update(id=FIRST_ID, about=SECRET)
    factories.an_agreement(title=SECRET, body=SECRET)
    factories.agrees(driver)
    Group.objects.create(name=SECRET)
    audit.record(Actor("staff", "1", SECRET), "sites.opened", station)
    BillingPolicy.objects.update(id=FIRST_ID, note=SECRET)
    ApprovalPolicy.objects.create(operation=SECRET, rule=ApprovalRule.NEVER)
    own_rule = ApprovalPolicy.objects.create(operation=approvals.LOOSEN.code, rule=ApprovalRule.NEVER)
    approvals.request(approvals.LOOSEN, own_rule, {}, Actor("staff", "1", SECRET), SECRET)
    batch = bulk.send_bulk(command=Reboot(), piles=[pile], actor=Actor("staff", "1", SECRET), reason=SECRET)
    UpdateServer.objects.create(name=SECRET, host="10.0.0.9", username="u", password=SECRET)
    recharge = Recharge.objects.get(wallet__customer=driver, amount=100)
    assert recharge.amount == Decimal("100.00")
    merchant = recharge.merchant
    MerchantAccount.objects.filter(pk=merchant.pk).update(name=SECRET)
    factories.a_tier(name=SECRET)
    notice = factories.a_notice(merchant=merchant, event_id=SECRET, number=recharge.recharge_no)
    unpaid = create_recharge(customer=driver, amount=Decimal(60), channel="sandbox", request_key="open")
    WalletPolicy.objects.update(id=FIRST_ID, note=SECRET)
    picture = factories.a_picture(name="BETA0001.png", number=FILE_NUMBER)
    assert picture.thumbnail_key
    factories.messaging(SECRET, station)
    factories.a_report_schedule(SECRET)
    export = factories.an_export(actor_id="1", actor_name=SECRET)
    return Stock(
        driver,
        settled,
        live,
        record,
        recharge.recharge_no,
        unpaid.recharge_no,
        notice.pk,
        batch,
        own,
        order_refund,
        wallet_refund,
        export.pk,
        vehicle.pk,
        message.pk,
        sessions.open_session(customer=driver).number.hex,
        invoice.application_no,
        driver.invoice_titles.get().pk,
        feedback.feedback_no,
        activity.pk,
    )


def _refunds_of(driver: Customer, gun: Connector) -> tuple[str, str, str]:
    """The driver's order that is settled, its refund, and the wallet's, both waiting for review; by their numbers."""
    factories.put_online(gun.pile)
    order = factories.a_charging_order(customer=driver, connector=gun)
    settling.settle_record(record_id=factories.a_record(order, {"flat": "1.0000"}).pk)
    factories.put_online(gun.pile)
    words = {"reason": SECRET, "applied_by": Actor("customer", str(driver.pk), SECRET)}
    of_order = refunds.apply(
        order_no=order.order_no,
        electricity=Decimal("0.10"),
        service=Decimal("0.00"),
        request_key=re.sub("[^a-z]", "-", f"orders/{order.order_no}/refunds"),  # asked again by the wall
        **words,
    )
    of_wallet = wallet_refunds.apply(customer=driver, amount=Decimal(10), request_key="wall", **words)
    return order.order_no, of_order.refund_no, of_wallet.refund_no


def id_of(model: type[Model]) -> object:
    """The id of one of the current schema's rows; fails for a model that `stock` makes no row of."""
    row = model._default_manager.order_by("-pk").first()
    assert row is not None, f"tests/wall/stock.py makes no {model._meta.label}"
    return row.pk


def digest(schema: str) -> list[tuple]:
    """Row count and content hash of every table of a schema, but for sessions and sign-ins."""
    skipped = (
        "django_session",
        "accounts_user",
        "accounts_signinrecord",
        "accounts_staffsession",
        "backoffice_auditentry",
    )
    with connection.cursor() as cursor:
        cursor.execute("select tablename from pg_tables where schemaname = %s order by 1", [schema])
        parts = [
            sql.SQL("select {}, count(*), sum(hashtextextended(t::text, 0)) from {} t").format(
                sql.Literal(name), sql.Identifier(schema, name)
            )
            for (name,) in cursor.fetchall()
            if name not in skipped
        ]
        cursor.execute(sql.SQL(" union all ").join(parts))
        return sorted(cursor.fetchall())
