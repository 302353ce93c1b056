"""Writes the demo business, through the same services that run the real one.

History ends when the demo tenant was opened, so a second run finds all of it. One charge is one transaction: a run that
was killed goes on where it stopped. Nothing of it reaches a connected pile: `quiet` hands commands to nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from channels.layers import channel_layers
from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.schema import schema_context
from apps.common.time import SHANGHAI, business_day
from apps.customers.models import Customer, Payer
from apps.orders import abnormal
from apps.orders import services as orders
from apps.orders.enums import OrderState
from apps.orders.errors import EnterpriseLimit
from apps.orders.models import Order
from apps.orders.settling import settle_record, store_record
from apps.piles import drivers
from apps.piles.enums import ConnectorState
from apps.piles.errors import ConnectorBusy
from apps.piles.models import Connector, ConnectorStatus, Pile
from apps.piles.reports import StartAnswer, StopAnswer, TransactionReport
from apps.piles.services import create_piles
from apps.pricing.models import PriceAssignment, PriceTemplate
from apps.pricing.services import add_version, assign, create_template
from apps.reports import rollups
from apps.reports.demo import (
    asking,
    driver_app,
    fleet,
    franchising,
    hosting,
    paying,
    reconciling,
    refunding,
    signing,
    telling,
)
from apps.reports.demo.offers import claim_some, offers
from apps.reports.demo.places import SURNAMES, TENANTS, DemoStation, DemoTenant, tariff
from apps.reports.demo.plan import DRIVERS, FIRST_OLDER_DRIVER, Charge, Gun, charges_of, record_of
from apps.sites.models import Station
from apps.tenancy.errors import UnknownTenant
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import tenant_of_code
from apps.tenancy.services import create_tenant, ensure_platform
from apps.wallet import books, recharges
from apps.wallet import services as wallets
from apps.wallet.errors import EnterpriseShort

Progress = Callable[[str], None]

SEEDER = Actor("command", name="seed_demo")
RECENT_DAYS = 4
"""Days of the small set, today's part included: about 200 charges of both tenants."""
TOP_UP = Decimal("500.00")
TOP_UP_BEFORE = timedelta(minutes=3)
ENOUGH = Decimal("150.00")
LAST_DRIVER = FIRST_OLDER_DRIVER + DRIVERS - 1
FAILED_DRIVER, HELD_DRIVER, OWING_DRIVER = 91, 92, 93
REFUND_DRIVERS = (94, 95, 96)


@dataclass
class Result:
    """What a run has added."""

    tenants: int = 0
    stations: int = 0
    piles: int = 0
    orders: int = 0


def seed(*, codes: list[str], days: int, password: str, progress: Progress, close: bool = False) -> Result:
    """Make the demo tenants of `codes` and their last `days` days of charges; what is there already is left alone.

    Closed business days take no charges any more and are passed over. With `close`, the days before the tenants were
    opened are closed at the end.
    """
    result = Result()
    ensure_platform()
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        _staff("admin", password, name="平台管理员")
        signing.seed_sign_in()
    chosen = [tenant for tenant in TENANTS if tenant.code in codes]
    with quiet():
        for wanted in chosen:
            tenant = _tenant(wanted, result)
            with schema_context(settings.PUBLIC_SCHEMA_NAME):
                hosting.terms(tenant, wanted.package)
            with schema_context(tenant.schema_name):
                _staff("admin", password, name="管理员")
                _staff("reviewer", password, name="复核员")  # whom four-eyes operations need beside
                _business(wanted, tenant.created_at, result)
                driver_app.seed_driver_app()
                _customers(tenant.created_at)
                offers(station_no=wanted.stations[-1].station_no, opened_at=tenant.created_at)
                fleet.seed_fleet({number: _customer(number) for number in fleet.FLEET}, SEEDER)
                paying.seed_merchants(wanted.code)
                signing.seed_sign_in(wanted.code)
                telling.seed_telling(wanted.code)
                paying.seed_tiers()
                franchising.seed_franchisee(wanted, password)
                paying.know_at_providers(_customer(1))
        with ExitStack() as written:
            for wanted in chosen:
                with schema_context(tenant_of_code(wanted.code).schema_name):
                    written.enter_context(books.being_written())
            _history(chosen, days, result, progress)
        for wanted in chosen if close else []:
            tenant = tenant_of_code(wanted.code)
            with schema_context(tenant.schema_name):
                last = business_day(tenant.created_at) - timedelta(days=1)
                closed = books.close_days(until=min(last, books.closable_until()), actor=SEEDER)
            progress(f"{wanted.code}: {len(closed)} business days closed")
        for wanted in chosen:
            with schema_context(tenant_of_code(wanted.code).schema_name):
                rollups.roll_what_differs()
    for wanted in chosen:
        hosting.told(tenant_of_code(wanted.code))
    return result


class NobodyDriver:
    """Takes every command and hands it to no pile: what is seeded is over already."""

    def deliver(self, *, schema: str, pile_code: str, message: dict[str, Any]) -> str:
        """Say that the message was handed over."""
        return ""


@contextmanager
def quiet() -> Iterator[None]:
    """In this process, for a while, keep commands from piles and wake no watchers of live orders."""
    before = settings.PILE_DRIVERS, settings.CHANNEL_LAYERS
    settings.PILE_DRIVERS = dict.fromkeys(settings.PILE_DRIVERS, f"{__name__}.{NobodyDriver.__name__}")
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    drivers.driver_for.cache_clear()
    backends, channel_layers.backends = channel_layers.backends, {}
    try:
        yield
    finally:
        settings.PILE_DRIVERS, settings.CHANNEL_LAYERS = before
        channel_layers.backends = backends
        drivers.driver_for.cache_clear()


# --- Who and where ----------------------------------------------------------------------------------------


def _tenant(wanted: DemoTenant, result: Result) -> Tenant:
    try:
        return tenant_of_code(wanted.code)
    except UnknownTenant:
        result.tenants += 1
        host = f"{wanted.code}.{settings.TENANT_DOMAIN}"
        return create_tenant(code=wanted.code, name=wanted.name, hostname=host)


def _staff(username: str, password: str, *, name: str) -> None:
    if not User.objects.filter(username=username).exists():
        User.objects.create_superuser(username, password=password, display_name=name)


def _business(wanted: DemoTenant, opened_at: datetime, result: Result) -> None:
    for place in wanted.stations:
        station, created = Station.objects.get_or_create(
            station_no=place.station_no,
            defaults={
                "name": place.name,
                "province": place.province,
                "city": place.city,
                "district": place.district,
                "area_code": place.area_code,
                "address": place.address,
                "latitude": Decimal(place.latitude),
                "longitude": Decimal(place.longitude),
                "parking_note": place.parking_note,
                "service_phone": "400-820-0000",
                **place.filing,
            },
        )
        result.stations += created
        for block in place.blocks:
            result.piles += sum(
                create_piles(
                    station=station,
                    first_code=block.first_code,
                    count=block.count,
                    gun_count=block.guns,
                    kind=block.kind,
                    power_kw=block.power_kw,
                    actor=SEEDER,
                )
            )
        _prices(place, station, opened_at)


def _prices(place: DemoStation, station: Station, opened_at: datetime) -> None:
    """Two versions: the service fee fell by five fen, ten days before the tenant was opened."""
    if PriceAssignment.objects.filter(station=station).exists():
        return
    with transaction.atomic():
        template = PriceTemplate.objects.filter(name=place.tariff).first()
        if template is None:
            first = create_template(name=place.tariff, tariff=tariff(place.tariff), actor=SEEDER)
            cheaper = tariff(place.tariff, service_off=Decimal("0.05"))
            versions = [first, add_version(template=first.template, tariff=cheaper, actor=SEEDER)]
        else:
            versions = list(template.versions.order_by("number"))
        midnight = opened_at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
        for version, days in zip(versions, (400, 10), strict=True):
            assign(version=version, station=station, starts_at=midnight - timedelta(days=days), actor=SEEDER)


def _customers(opened_at: datetime) -> None:
    known = set(Customer.objects.values_list("phone", flat=True))
    chance = Random("drivers")
    for number in [*range(1, LAST_DRIVER + 1), FAILED_DRIVER, HELD_DRIVER, OWING_DRIVER, *REFUND_DRIVERS]:
        nickname = chance.choice(SURNAMES) + chance.choice(("先生", "女士", "师傅"))
        if _phone(number) not in known:
            joined = opened_at - timedelta(days=31 + chance.randrange(300))
            Customer.objects.create(phone=_phone(number), nickname=nickname, created_at=joined)
    driver_app.agree(Customer.objects.filter(phone__startswith=_phone(0)[:-4]))


def _phone(driver: int) -> str:
    return f"+861380000{driver:04d}"


def _history(chosen: list[DemoTenant], days: int, result: Result, progress: Progress) -> None:
    for back in range(days - 1, -1, -1):
        for wanted in chosen:
            tenant = tenant_of_code(wanted.code)
            day = business_day(tenant.created_at) - timedelta(days=back)
            with schema_context(tenant.schema_name):
                result.orders += _day(wanted, day, tenant.created_at, recent=back < RECENT_DAYS)
        progress(f"seeding charges: day {days - back} of {days}, {result.orders} added")
    for wanted in chosen:
        tenant = tenant_of_code(wanted.code)
        with schema_context(tenant.schema_name):
            result.orders += _special_cases(tenant.created_at)
            reviewer = User.objects.get(username="reviewer")
            _ask_for_approval(reviewer)
            admin = User.objects.get(username="admin")
            staff = Actor("staff", str(admin.pk), str(admin))
            second = Actor("staff", str(reviewer.pk), str(reviewer))
            fleet.book_top_up(second, staff)
            fleet.give_one_back(second, staff)
            drivers = [_customer(number) for number in REFUND_DRIVERS]
            refunding.seed_refunds(drivers, tenant.created_at, staff)
            asking.seed_asking(tenant.created_at, staff)
            reconciling.reconcile_days(until=tenant.created_at, days=days)


# --- What happened ----------------------------------------------------------------------------------------


def _day(wanted: DemoTenant, day: date, until: datetime, *, recent: bool) -> int:
    """Write the charges of one day that were over by `until`; return how many are new."""
    rows = Connector.objects.filter(
        pile__station__station_no__in=[place.station_no for place in wanted.stations]
    )
    told = rows.order_by("code").values_list("code", "power_kw", "pile__station__opening_hours")
    guns = [Gun(code, power, opening_hours) for code, power, opening_hours in told]
    planned = charges_of(tenant=wanted.code, day=day, count=wanted.charges_per_day, guns=guns, recent=recent)
    known = set(
        Order.objects.filter(request_key__startswith=f"seed:{day}:").values_list("request_key", flat=True)
    )
    closed = books.closed_through()
    added = 0
    for charge in planned:
        is_open = closed is None or business_day(charge.starts_at - TOP_UP_BEFORE) > closed
        if is_open and charge.key not in known and charge.ends_at < until - timedelta(minutes=10):
            added += _charge(charge)
    return added


def _charge(charge: Charge) -> bool:
    """Write one charge from start to settlement; False when its gun or the company's money is in real use.

    Money and coupon come before it, in transactions of their own: a start locks its connector before the wallet.
    """
    at_cost = charge.driver in fleet.FLEET and _is_paid(charge)
    if at_cost:
        customer = _customer(charge.driver)
    else:
        customer = _with_money(charge.driver, charge.key, charge.starts_at)
        claim_some(customer, charge.key, charge.starts_at)
    try:
        with transaction.atomic():
            _goes(charge, customer, at_cost=at_cost)
    except (ConnectorBusy, EnterpriseLimit, EnterpriseShort):
        return False  # the gun, or the company's money, is in real use just now
    return True


def _goes(charge: Charge, customer: Customer, *, at_cost: bool) -> None:
    """From start to settlement."""
    order = _start(
        customer,
        charge.gun,
        charge.key,
        charge.starts_at,
        preset_amount=charge.preset_amount,
        at_cost=at_cost,
    )
    _runs(order, charge.gun, charge.starts_at)
    if charge.stopped_by_driver:
        actor = Actor("customer", str(customer.pk), customer.masked_phone)
        orders.stop_charge(order_no=order.order_no, actor=actor, at=charge.ends_at - timedelta(seconds=4))
        answer = StopAnswer(pile_code=charge.gun.code[:14], connector_no=charge.gun.code[14:], accepted=True)
        orders.stop_answered(answer, at=charge.ends_at - timedelta(seconds=2))
    report = record_of(
        transaction_no=order.transaction_no,
        gun=charge.gun,
        begin=_begin(charge.starts_at),
        end=charge.ends_at,
        average_kw=charge.average_kw,
        tariff=order.frozen_tariff(),
        stopped_by_driver=charge.stopped_by_driver,
        limit=None if _goes_beyond(charge, order) else order.pile_balance(),
    )
    _ends(order, charge.gun, report)


def _is_paid(charge: Charge) -> bool:
    station = Station.objects.get(piles__connectors__code=charge.gun.code)
    return fleet.pays(
        customer=_customer(charge.driver),
        station_id=station.pk,
        amount=charge.preset_amount,
        at=charge.starts_at,
    )


def _goes_beyond(charge: Charge, order: Order) -> bool:
    """Of one driver the pile gives more than the company's limit left to be held, so that nothing is left of it."""
    return charge.driver == fleet.SPENT and order.payer == Payer.ENTERPRISE and charge.preset_amount is None


def _special_cases(until: datetime) -> int:
    """One start that the pile refused, one record that a person has to look at, one driver who owes money."""
    pile = Pile.objects.filter(kind="dc").order_by("pile_code").first()
    assert pile is not None
    connector = pile.connectors.order_by("code").first()
    assert connector is not None
    gun = Gun(connector.code, connector.power_kw)
    known = set(
        Order.objects.filter(request_key__startswith="seed:case:").values_list("request_key", flat=True)
    )
    added = 0
    for number, (name, case) in enumerate({"failed": _failed, "held": _held, "owing": _owing}.items(), 1):
        key = f"seed:case:{name}"
        if key not in known:
            # In the small hours of two weeks ago: apart from every charge of the small set.
            begin = until - timedelta(days=RECENT_DAYS + 10, hours=2 * number)
            closed = books.closed_through()
            if closed is not None and business_day(begin - TOP_UP_BEFORE) <= closed:
                continue
            try:
                case(gun, key, begin)
                added += 1
            except ConnectorBusy:
                continue
    return added


def _failed(gun: Gun, key: str, begin: datetime) -> None:
    customer = _with_money(FAILED_DRIVER, key, begin)
    with transaction.atomic():
        order = _start(customer, gun, key, begin)
        orders.start_answered(
            StartAnswer(
                pile_code=gun.code[:14],
                connector_no=gun.code[14:],
                transaction_no=order.transaction_no,
                accepted=False,
                reason="fault",
            ),
            at=begin + timedelta(seconds=3),
        )


def _held(gun: Gun, key: str, begin: datetime) -> None:
    """More energy in ten minutes than the gun can give."""
    customer = _with_money(HELD_DRIVER, key, begin)
    with transaction.atomic():
        order = _start(customer, gun, key, begin)
        _runs(order, gun, begin)
        report = record_of(
            transaction_no=order.transaction_no,
            gun=gun,
            begin=_begin(begin),
            end=begin + timedelta(minutes=10),
            average_kw=gun.power_kw * 3,
            tariff=order.frozen_tariff(),
        )
        _ends(order, gun, report)


def _owing(gun: Gun, key: str, begin: datetime) -> None:
    """The pile went on after the hold was used up."""
    customer = _customer(OWING_DRIVER)
    _top_up(customer, Decimal("20.00"), key, begin)
    with transaction.atomic():
        order = _start(customer, gun, key, begin)
        _runs(order, gun, begin)
        report = record_of(
            transaction_no=order.transaction_no,
            gun=gun,
            begin=_begin(begin),
            end=begin + timedelta(minutes=50),
            average_kw=Decimal(60),
            tariff=order.frozen_tariff(),
        )
        _ends(order, gun, report)


def _ask_for_approval(person: User) -> None:
    """The record that a person has to look at: one did, and a second one has to agree. Asked for once."""
    order = Order.objects.filter(request_key="seed:case:held", state=OrderState.ABNORMAL).first()
    if order is None or Approval.objects.filter(object_kind="orders.order", object_id=str(order.pk)).exists():
        return
    abnormal.request_settlement(
        order_no=order.order_no,
        actor=Actor("staff", str(person.pk), str(person)),
        reason="已与场站核对电表读数，电量属实",
    )


# --- Steps of a charge ------------------------------------------------------------------------------------


def _start(
    customer: Customer,
    gun: Gun,
    key: str,
    begin: datetime,
    *,
    preset_amount: Decimal | None = None,
    at_cost: bool = False,
) -> Order:
    """Start as the driver did then, when the pile was online and idle, whatever it is now."""
    # Locked, in the order of those that set piles offline: piles come and go while the demo is seeded.
    pile = Pile.objects.filter(connectors__code=gun.code)
    row = ConnectorStatus.objects.filter(connector__code=gun.code)
    pile_was_online = pile.select_for_update(no_key=True, of=["self"]).get().is_online
    state_was = row.select_for_update(no_key=True, of=["self"]).get().state
    if not pile_was_online:
        pile.update(is_online=True)
    if state_was in {ConnectorState.OFFLINE, ConnectorState.FAULT}:
        row.update(state=ConnectorState.IDLE)
    order = orders.start_charge(
        customer=customer,
        connector_code=gun.code,
        request_key=key,
        preset_amount=preset_amount,
        payer=Payer.ENTERPRISE if at_cost else Payer.WALLET,
        plate=fleet.plate_of(customer) if at_cost else "",
        at=begin,
    )
    if not pile_was_online:
        pile.update(is_online=False)
    if state_was in {ConnectorState.OFFLINE, ConnectorState.FAULT}:
        row.update(state=state_was)
    return order


def _begin(start: datetime) -> datetime:
    """When current flows after a start."""
    return start + timedelta(seconds=12)


def _runs(order: Order, gun: Gun, start: datetime) -> None:
    answer = StartAnswer(
        pile_code=gun.code[:14],
        connector_no=gun.code[14:],
        transaction_no=order.transaction_no,
        accepted=True,
    )
    orders.start_answered(answer, at=start + timedelta(seconds=3))
    orders.connector_changed(
        transaction_no=order.transaction_no,
        connector_code=gun.code,
        state=ConnectorState.CHARGING,
        energy_kwh="0.0000",
        reported_at=_begin(start),
    )


def _ends(order: Order, gun: Gun, report: TransactionReport) -> None:
    assert report.end_time is not None
    received_at = report.end_time + timedelta(seconds=2)
    orders.connector_changed(
        transaction_no=order.transaction_no,
        connector_code=gun.code,
        state=ConnectorState.PLUGGED,
        energy_kwh=str(report.total_energy_kwh),
        reported_at=report.end_time,
    )
    record = store_record(report=report, received_at=received_at)
    settle_record(record_id=record.pk, at=received_at)


def _customer(driver: int) -> Customer:
    return Customer.objects.get(phone=_phone(driver))


def _with_money(driver: int, key: str, before: datetime) -> Customer:
    """Return a driver who has topped up where little was left."""
    customer = _customer(driver)
    if wallets.wallet_of(customer=customer).available < ENOUGH:
        _top_up(customer, TOP_UP, key, before)
    return customer


def _top_up(customer: Customer, amount: Decimal, key: str, before: datetime) -> None:
    at = before - TOP_UP_BEFORE
    recharge = recharges.create_recharge(
        customer=customer, amount=amount, channel="sandbox", request_key=key, at=at
    )
    recharges.pay_sandbox(customer=customer, recharge_no=recharge.recharge_no, at=at)
