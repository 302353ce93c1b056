"""Whole situations, made through the services: a station that can charge, a customer with money, a record."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from PIL import Image

from apps.accounts.models import User
from apps.backoffice import approvals
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.models import Approval, ApprovalPolicy
from apps.common.ids import SYSTEM, Actor
from apps.common.time import business_day, now
from apps.coupons import services as coupons
from apps.coupons.models import Coupon, CouponTemplate
from apps.customers import agreements, enterprises, sessions
from apps.customers.feedback import services as feedback
from apps.customers.feedback.models import Feedback
from apps.customers.models import Agreement, Customer, Enterprise
from apps.files import kinds
from apps.files import services as files
from apps.files.models import ExportJob, StoredFile
from apps.franchisees import services as franchisees
from apps.franchisees.models import Franchisee, FranchiseeContract
from apps.invoices import services as invoices
from apps.invoices.models import InvoiceApplication, InvoiceTitle
from apps.invoices.titles import add_title
from apps.marketing.models import Activity
from apps.notifications.models import MailAccount, Message, Robot, SmsAccount
from apps.orders import services as orders
from apps.orders import settling
from apps.orders.models import EnergyDay, EnergyDifference, Order, TransactionRecord
from apps.orders.settlement import settle
from apps.piles import services as piles
from apps.piles.enums import ConnectorState
from apps.piles.models import AlarmRule, Connector, ConnectorStatus, NotificationRule, Pile
from apps.piles.reports import PeriodReport, StartAnswer, TransactionReport
from apps.pricing import services as pricing
from apps.pricing.changes import request_task
from apps.pricing.enums import DayKind
from apps.pricing.models import Holiday, PriceTask, PriceVersion
from apps.pricing.price_tasks import Entry, Place, set_days
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.reports.models import ReportSchedule
from apps.sites.models import Station
from apps.wallet import enterprise_accounts, recharges
from apps.wallet.merchants import merchant_for
from apps.wallet.models import BonusTier, ChannelBillRow, ChannelDay, ChannelDifference, PaymentNotice
from apps.wallet.services import account_of

_numbers = itertools.count(1)

TARIFF = Tariff(
    {
        RateClass.SHARP: ClassPrice(Decimal("1.50000"), Decimal("0.80000")),
        RateClass.PEAK: ClassPrice(Decimal("1.20000"), Decimal("0.60000")),
        RateClass.FLAT: ClassPrice(Decimal("0.80000"), Decimal("0.40000")),
        RateClass.VALLEY: ClassPrice(Decimal("0.30500"), Decimal("0.30500")),
    },
    tuple(
        [RateClass.VALLEY] * 16
        + [RateClass.FLAT] * 8
        + [RateClass.PEAK] * 12
        + [RateClass.SHARP] * 6
        + [RateClass.FLAT] * 6
    ),
)


def a_station(**fields: object) -> Station:
    """A station that is open."""
    number = next(_numbers)
    defaults = {
        "station_no": f"S{number:06d}",
        "name": f"测试站{number}",
        "latitude": Decimal("31.230400"),
        "longitude": Decimal("121.473700"),
    }
    return Station.objects.create(**{**defaults, **fields})


def a_price(
    tariff: Tariff = TARIFF, *, station: Station | None = None, pile: Pile | None = None
) -> PriceVersion:
    """A new template with one version, in force since the day before yesterday where a place is given."""
    version = pricing.create_template(name=f"template {next(_numbers)}", tariff=tariff, actor=SYSTEM)
    if station or pile:
        since = now() - timedelta(days=2)  # a test may charge at any hour of yesterday
        pricing.assign(version=version, station=station, pile=pile, starts_at=since, actor=SYSTEM)
    return version


def a_pile(
    *,
    station: Station | None = None,
    guns: int = 1,
    online: bool = True,
    pile_code: str = "",
    priced: bool = True,
    parallel: bool = False,
) -> Pile:
    """A DC pile of 120 kW, idle and online, at a station with prices."""
    place = station or a_station()
    pile = piles.create_pile(
        station=place,
        pile_code=pile_code or f"320106{next(_numbers):08d}",
        kind="dc",
        power_kw=Decimal(120),
        gun_count=guns,
        actor=SYSTEM,
    )
    if priced and not place.prices.exists():
        a_price(station=place)
    if parallel:
        piles.parallel_seen(pile_code=pile.pile_code)
        pile.refresh_from_db()
    if online:
        put_online(pile)
    return pile


def put_online(pile: Pile, state: ConnectorState = ConnectorState.IDLE) -> None:
    """Make a pile look as after its login, its connectors in one state."""
    moment = now()
    Pile.objects.filter(pk=pile.pk).update(is_online=True, last_login_at=moment, last_seen_at=moment)
    ConnectorStatus.objects.filter(connector__pile=pile).update(state=state, reported_at=moment)
    pile.refresh_from_db()


def a_connector(**fields: object) -> Connector:
    """The first connector of a new pile."""
    return a_pile(**fields).connectors.get(connector_no="01")  # type: ignore[arg-type]


def a_customer(balance: str = "100.00", **fields: object) -> Customer:
    """A customer with a topped-up wallet."""
    number = next(_numbers)
    customer = Customer.objects.create(
        **{"phone": f"+86138{number:08d}", "nickname": f"车主{number}", **fields}
    )
    if Decimal(balance):
        top_up(customer, balance)
    return customer


def top_up(customer: Customer, amount: str, at: datetime | None = None) -> str:
    """Agree to what is published, and pay a top-up through the sandbox channel; returns its number."""
    agrees(customer)
    recharge = recharges.create_recharge(
        customer=customer,
        amount=Decimal(amount),
        channel="sandbox",
        request_key=f"top-up {next(_numbers)}",
        at=at,
    )
    recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no, at=at)
    return recharge.recharge_no


def a_retail_price(station: Station, prices: Mapping[str, tuple[str, str]]) -> None:
    """Retail prices, {class: (electricity, service)}, in force since yesterday."""
    pricing.set_retail_price(
        station=station,
        prices={RateClass(name): ClassPrice(Decimal(e), Decimal(s)) for name, (e, s) in prices.items()},
        starts_at=now() - timedelta(days=1),
        actor=SYSTEM,
    )


def a_price_task(station: Station | None = None, **words: object) -> PriceTask:
    """A task that is scheduled for the next week: the usual prices, for two days."""
    starts_at = now() + timedelta(days=7)
    values = {
        "name": f"task {next(_numbers)}",
        "version": words.pop("version", None) or a_price(),
        "places": [Place(station=station or a_pile().station)],
        "starts_at": starts_at,
        "ends_at": starts_at + timedelta(days=2),
        "actor": SYSTEM,
        "reason": "调价",
        **words,
    }
    return request_task(**values)  # type: ignore[arg-type]


def a_holiday(days_ahead: int = 30, name: str = "国庆节", kind: DayKind = DayKind.HOLIDAY) -> Holiday:
    """A day of the calendar."""
    day = business_day(now()) + timedelta(days=days_ahead)
    set_days(entries=[Entry(day, kind, name)], actor=SYSTEM)
    return Holiday.objects.get(day=day)


def an_enterprise(customer: Customer | None = None, **fields: object) -> Enterprise:
    """An enterprise with 20 % off the service fee, and the customer as its member."""
    values = {"name": f"企业{next(_numbers)}", "percent_off": Decimal(20), **fields}
    enterprise = Enterprise.objects.create(**values)
    if customer is not None:
        enterprises.add_members(enterprise=enterprise, phones=[customer.phone], actor=SYSTEM)
    return enterprise


def a_paying_enterprise(
    customer: Customer | None = None, balance: str = "100.00", **fields: object
) -> Enterprise:
    """An enterprise with a pre-paid account (without a discount), and the customer as a member that it pays for."""
    values = {"account_kind": "prepaid", "percent_off": Decimal(0), **fields}
    enterprise = an_enterprise(customer, **values)
    if Decimal(balance):
        fund(enterprise, balance)
    return enterprise


def fund(enterprise: Enterprise, amount: str, number: str = "") -> None:
    """Book what an enterprise transferred: one person asks, another approves."""
    asked = enterprise_accounts.request_deposit(
        account=account_of(enterprise=enterprise),
        amount=Decimal(amount),
        number=number or f"B{next(_numbers):08d}",
        actor=ASKER,
        reason="对公转账",
    )
    approvals.approve(asked.pk, Actor("staff", "2", "复核员"))


def agrees(customer: Customer) -> None:
    """Let a customer agree to all that is published, as their app does."""
    versions = [(one.kind, one.version or 0) for one in agreements.open_to(customer)]
    if versions:
        session = sessions.open_session(customer=customer)
        agreements.agree(session=session, versions=versions, address="", agent="")


def an_agreement(kind: str = "privacy", **words: str) -> Agreement:
    """The next published version of an agreement."""
    draft = Agreement.objects.create(kind=kind, **{"title": "隐私政策", "body": "<p>正文</p>", **words})
    return agreements.publish(agreement=draft, by="张三")


def a_coupon_template(**fields: object) -> CouponTemplate:
    """Five yuan off the service fee, for everybody and everywhere."""
    values = {
        "name": f"满减券{next(_numbers)}",
        "kind": "threshold",
        "save_amount": Decimal("5.00"),
        **fields,
    }
    return CouponTemplate.objects.create(**values)


def a_coupon(customer: Customer, at: datetime | None = None, **fields: object) -> Coupon:
    """A claimed coupon of a template of its own."""
    template = a_coupon_template(**fields)
    return coupons.claim(
        customer=customer, template_id=template.pk, request_key=f"claim {next(_numbers)}", at=at
    )


def a_tier(threshold: str = "100.00", bonus: str = "5.00", **fields: object) -> BonusTier:
    """A bonus tier in force."""
    return BonusTier.objects.create(
        **{
            "name": f"tier {next(_numbers)}",
            "threshold": Decimal(threshold),
            "bonus": Decimal(bonus),
            **fields,
        }
    )


def a_notice(**fields: object) -> PaymentNotice:
    """A stored notice that nobody has processed and nobody could believe."""
    moment = now()
    defaults = {
        "channel": "sandbox",
        "event_id": f"event {next(_numbers)}",
        "kind": "payment",
        "number": "R1",
    }
    if "merchant" not in fields:
        defaults["merchant"] = merchant_for("sandbox")
    defaults |= {"headers": "{}", "body": "{}", "received_at": moment, "last_received_at": moment}
    return PaymentNotice.objects.create(**{**defaults, **fields})


def a_started_order(
    *,
    customer: Customer | None = None,
    connector: Connector | None = None,
    preset: str | None = None,
    key: str = "",
    coupon: int | str = "best",
    payer: str | None = None,
) -> Order:
    """An order in STARTING, of a customer who agrees to what is published."""
    who = customer or a_customer()
    agrees(who)
    return orders.start_charge(
        customer=who,
        connector_code=(connector or a_connector()).code,
        request_key=key or f"key {next(_numbers)}",
        preset_amount=Decimal(preset) if preset else None,
        coupon=coupon,
        payer=payer,
    )


def a_charging_order(**fields: object) -> Order:
    """An order whose pile has accepted the start and has reported charging for an hour."""
    order = a_started_order(**fields)  # type: ignore[arg-type]
    accept_start(order)
    see_charging(order, at=now() - timedelta(hours=1))
    order.refresh_from_db()
    return order


def accept_start(order: Order, *, accepted: bool = True, reason: str = "none") -> None:
    """Let the pile answer the start."""
    connector = order.connector
    orders.start_answered(
        StartAnswer(
            pile_code=connector.pile.pile_code,
            connector_no=connector.connector_no,
            transaction_no=order.transaction_no,
            accepted=accepted,
            reason=reason,
        )
    )


def see_charging(
    order: Order, state: ConnectorState = ConnectorState.CHARGING, at: datetime | None = None
) -> None:
    """Let the connector report a state for the order's transaction, and keep it as the last status."""
    moment = at or now()
    ConnectorStatus.objects.filter(connector=order.connector).update(
        state=state, transaction_no=order.transaction_no, reported_at=moment
    )
    orders.connector_changed(
        transaction_no=order.transaction_no,
        connector_code=order.connector.code,
        state=state,
        energy_kwh="0.0000",
        reported_at=moment,
    )


def a_report(order: Order, energies: Mapping[str, str], **changes: object) -> TransactionReport:
    """The record that an honest pile would send for these energies (kWh by class), just ended."""
    tariff = order.frozen_tariff()
    metered = {RateClass(name): Decimal(energy) for name, energy in energies.items()}
    bill = settle(metered, tariff)
    lines = {line.rate_class: line for line in bill.lines}
    periods = {}
    for rate_class, price in tariff.prices.items():
        energy = metered.get(rate_class, Decimal("0.0000"))
        line = lines.get(rate_class)
        amount = line.electricity_fee + line.service_fee if line else Decimal(0)
        periods[rate_class.value] = PeriodReport(
            price=price.total, energy_kwh=energy, loss_energy_kwh=energy, amount=amount
        )
    total = sum(metered.values(), Decimal("0.0000"))
    end = now()
    values: dict[str, object] = {
        "transaction_no": order.transaction_no,
        "pile_code": order.connector.pile.pile_code,
        "connector_no": order.connector.connector_no,
        "start_time": order.charging_at or end - timedelta(hours=1),
        "end_time": end,
        "transaction_time": end,
        "periods": periods,
        "meter_start": Decimal("1000.0000"),
        "meter_end": Decimal("1000.0000") + total,
        "total_energy_kwh": total,
        "total_loss_energy_kwh": total,
        "total_amount": bill.total,
        "vin": "",
        "start_mode": 1,
        "stop_code": "40",
        "physical_card_no": "0" * 16,
    }
    return TransactionReport(**{**values, **changes})  # type: ignore[arg-type]


def a_record(order: Order, energies: Mapping[str, str], **changes: object) -> TransactionRecord:
    """Such a record, stored and not yet settled."""
    return settling.store_record(report=a_report(order, energies, **changes), received_at=now())


def a_settled_order(energy: str = "10.0000", **fields: object) -> Order:
    """A charge that is settled: 10 kWh flat are 8.00 yuan of electricity and 4.00 of service."""
    order = a_charging_order(**fields)
    settling.settle_record(record_id=a_record(order, {"flat": energy}).pk)
    order.refresh_from_db()
    return order


def an_enterprise_charge(connector: Connector | None = None, **fields: object) -> Order:
    """A settled charge of 12.00 yuan that an enterprise (of these fields) paid for its only member."""
    customer = a_customer("0")
    a_paying_enterprise(customer, **fields)  # type: ignore[arg-type]
    return a_settled_order(customer=customer, connector=connector)


COMPANY = {"kind": "company", "name": "上海测试出行有限公司", "tax_no": "91350100M000100Y43"}


def a_title(customer: Customer, **fields: object) -> InvoiceTitle:
    """A company's title."""
    return add_title(customer=customer, values={**COMPANY, **fields})


def an_invoice(*orders: Order, name: str = "上海测试出行有限公司", **fields: object) -> InvoiceApplication:
    """An application over settled orders of one customer, to a company."""
    found = orders or (a_settled_order(),)
    customer = found[0].customer
    values = {
        "title_id": a_title(customer, name=name).pk,
        "kind": "ordinary",
        "applied_by": Actor("customer", str(customer.pk), str(customer)),
        "request_key": f"invoice {next(_numbers)}",
        **fields,
    }
    return invoices.apply(
        customer=customer,
        order_nos=[order.order_no for order in found],
        **values,  # type: ignore[arg-type]
    )


def an_activity(**fields: object) -> Activity:
    """An activity of this week that nobody has published."""
    values = {
        "title": f"活动{next(_numbers)}",
        "text": "<p>先到先得</p>",
        "starts_at": now() - timedelta(days=1),
        "ends_at": now() + timedelta(days=6),
        **fields,
    }
    return Activity.objects.create(**values)


def a_feedback(
    customer: Customer | None = None, text: str = "枪插不进去", key: str = "", **fields: object
) -> Feedback:
    """What a driver wrote, not answered yet."""
    writer = customer or a_customer("0")
    values = {"kind": "device", "actor": Actor("customer", str(writer.pk), str(writer)), **fields}
    return feedback.write(
        customer=writer,
        text=text,
        request_key=key or f"feedback {next(_numbers)}",
        **values,  # type: ignore[arg-type]
    )


ASKER = Actor("staff", "9004711", "张三")
"""Who asks for an approval; no member of staff has this number."""


def an_approval(*, code: str = "some.operation") -> Approval:
    """A request that waits for a second person: that an operation's rule be looser."""
    rule = ApprovalPolicy.objects.create(operation=code, rule=ApprovalRule.ALWAYS)
    payload = {"operation": code, "rule": "never", "threshold": None}
    changes = {"second person": ["always", "never"]}
    return approvals.request(approvals.LOOSEN, rule, payload, ASKER, "小公司只有一人", changes=changes)


def an_abnormal_order(**fields: object) -> Order:
    """An order whose record the audit holds: its meter ran backwards. Its bill would be 12.00 yuan (10 kWh, flat)."""
    order = a_charging_order(**fields)
    backwards = {"meter_start": Decimal("1010.0000"), "meter_end": Decimal("1000.0000")}
    settling.settle_record(record_id=a_record(order, {"flat": "10.0000"}, **backwards).pk)
    order.refresh_from_db()
    return order


def an_energy_difference(order: Order) -> EnergyDifference:
    """A charge that was billed with more than its pile recorded, on a day of its pile."""
    day = EnergyDay.objects.create(
        pile=order.connector.pile, day=business_day(order.created_at), reconciled_at=now(), differences_open=1
    )
    return EnergyDifference.objects.create(
        energy_day=day, kind="billed_differs", subject=order.transaction_no, order=order
    )


def a_channel_difference(out_no: str = "") -> ChannelDifference:
    """A payment that only the channel's bill has, on a day of the sandbox's account."""
    number = out_no or f"R{next(_numbers)}"
    moment = now() - timedelta(days=next(_numbers))
    day = ChannelDay.objects.create(
        merchant=merchant_for("sandbox"),
        day=business_day(moment),
        state="reconciled",
        their_payments=1,
        their_paid=Decimal("1.00"),
        differences_found=1,
        differences_open=1,
    )
    row = ChannelBillRow.objects.create(
        channel_day=day,
        merchant=day.merchant,
        revision=1,
        kind="payment",
        out_no=number,
        out_trade_no=number,
        channel_trade_no="42",
        amount=Decimal("1.00"),
        fee=Decimal(0),
        at=moment,
    )
    return ChannelDifference.objects.create(
        channel_day=day,
        kind="only_theirs",
        trade_kind="payment",
        subject=number,
        out_no=number,
        theirs=row.amount,
        at=moment,
    )


def a_picture(*, size: tuple[int, int] = (8, 6), owner: Actor = SYSTEM, **fields: object) -> StoredFile:
    """A stored PNG picture."""
    data = io.BytesIO()
    Image.new("RGB", size, "navy").save(data, "PNG")
    stored = files.store(kind=kinds.PICTURE, file=data, name="picture.png", owner=owner)
    for name, value in fields.items():
        setattr(stored, name, value)
    stored.save()
    return stored


def messaging(name: str, station: Station | None = None) -> NotificationRule:
    """An account of each kind, a chat robot, a message that waits, an alarm rule, and who is told; called `name`."""
    SmsAccount.objects.create(name=name, provider="console")
    MailAccount.objects.create(name=name, host="127.0.0.1", from_address="post@alpha.test")
    robot = Robot.objects.create(name=name, kind="wecom", url="https://qyapi.weixin.qq.com/?key=1")
    Message.objects.create(medium="mail", to="boss@alpha.test", name=name, subject=name, text=name)
    rule = AlarmRule.objects.create(kind="silent_gun")
    told = NotificationRule.objects.create(name=name)
    told.robots.add(robot)
    for one in (rule, told):
        one.stations.set([station] if station else [])
    return told


def a_report_schedule(name: str) -> ReportSchedule:
    """A report by mail of a new superuser that is due tomorrow at the earliest; called `name`."""
    owner, _new = User.objects.get_or_create(
        username="reporter", defaults={"is_staff": True, "is_superuser": True, "display_name": name}
    )
    return ReportSchedule.objects.create(
        name=name, recipients="boss@example.com", owner=owner, sent_through=business_day(now())
    )


def an_export(**fields: object) -> ExportJob:
    """An export of the list of orders that nobody has written yet."""
    defaults = {"model": "orders.order", "format": "csv", "language": "zh-hans", "actor_kind": "staff"}
    return ExportJob.objects.create(**defaults | {"actor_id": "0", "actor_name": "x"} | fields)


def a_franchisee(station: Station | None = None, *, since: int = 1, **fields: str) -> Franchisee:
    """A franchisee, to whom a station belongs since so many days."""
    number = next(_numbers)
    words = {"name": f"加盟商{number}", "company": f"加盟商{number}有限公司", **fields}
    franchisee = franchisees.create_franchisee(actor=SYSTEM, **words)
    if station is not None:
        first = business_day(now()) - timedelta(days=since)
        franchisees.assign_station(franchisee=franchisee, station=station, starts_on=first, actor=SYSTEM)
    return franchisee


def a_contract(
    franchisee: Franchisee, *, number: str = "", first: int = -30, last: int = 300
) -> FranchiseeContract:
    """A contract that began and ends so many days from today."""
    today = business_day(now())
    return franchisees.sign_contract(
        franchisee=franchisee,
        number=number or f"HT{next(_numbers)}",
        starts_on=today + timedelta(days=first),
        ends_on=today + timedelta(days=last),
        service_share=Decimal(70),
        electricity_share=Decimal(100),
        actor=SYSTEM,
    )


def a_franchisees_account(franchisee: Franchisee, username: str = "") -> User:
    """Somebody who signs in for a franchisee, with the role that such accounts have."""
    return franchisees.open_account(
        franchisee=franchisee,
        username=username or f"franchisee{next(_numbers)}",
        password="correct horse",
        actor=SYSTEM,
    )
