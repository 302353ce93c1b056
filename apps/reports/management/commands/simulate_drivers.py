"""`manage.py simulate_drivers`: demo drivers who charge at a tenant's piles that are online.

Without `--count` at whatever is online; with it only at the piles that `simulate_piles` plays with the same `--count`,
so that a pile which somebody connects on purpose stays free for them.
"""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import uuid4

import requests
import structlog
from django.core.management.base import BaseCommand
from django.db import OperationalError
from django.db.models import QuerySet

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.schema import schema_context
from apps.common.time import now
from apps.customers.models import Customer, CustomerState, Payer
from apps.orders import services as orders
from apps.orders.enums import LIVE, OrderRefundState, OrderState
from apps.orders.models import Order
from apps.piles.enums import ConnectorState
from apps.piles.models import Connector
from apps.piles.selectors import piles_to_play
from apps.reports.demo import driver_app, fleet, paying
from apps.tenancy.management.choosing import schema_named
from apps.wallet import services as wallets
from apps.wallet.enums import ChannelName
from apps.wallet.merchants import available_channels
from apps.wallet.models import Debt, WalletRefund

log = structlog.get_logger(__name__)

AMOUNTS = [Decimal(yuan) for yuan in ("2.00", "3.00", "5.00", "8.00", "12.00")]
TOP_UP = Decimal("100.00")
LOW = Decimal("15.00")
EARLY_TOP_UPS = [Decimal(yuan) for yuan in ("50.00", "100.00", "200.00", "500.00")]
OWES_ON = timedelta(days=3)
TOPS_UP_EARLY = 0.3
"""Share of arrivals with a top-up through a provider before the money is needed."""
STOPS_ITSELF = 0.7
"""Share of charges that run until the amount is used up; drivers end the others."""


class Command(BaseCommand):
    help = "Let demo drivers of a tenant charge: top up, start, sometimes stop, until interrupted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", required=True, help="the tenant's code")
        parser.add_argument(
            "--count", type=int, help="charge only at the first N YKC piles by code; anywhere without it"
        )
        parser.add_argument("--share", type=float, default=0.6, help="share of the guns to keep busy, 0 to 1")
        parser.add_argument("--pause", type=float, default=3, help="seconds between two looks")
        parser.add_argument("--arrivals", type=int, default=1, help="drivers who may come at each look")
        parser.add_argument(
            "--drivers", type=int, default=0, help="make demo drivers until there are so many"
        )

        parser.add_argument(
            "--channel",
            default="",
            choices=["", *ChannelName.values],
            help="what drivers top up with; without it the tenant's providers, or else the sandbox channel",
        )

    def handle(
        self,
        *,
        tenant: str,
        count: int | None,
        share: float,
        pause: float,
        arrivals: int,
        drivers: int,
        channel: str,
        **_options: Any,
    ) -> None:
        schema = schema_named(tenant)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        random = Random()
        self.stdout.write(f"drivers of {tenant} are on their way")
        self.stdout.flush()
        with schema_context(schema):
            _enlist(drivers)
            while not ended.wait(pause * random.uniform(0.5, 1.5)):
                try:
                    _look(random, share, arrivals, [channel] if channel else _channels(), count)
                except OperationalError as error:  # the database restarts: they come back
                    log.warning("drivers_wait", error=str(error).strip())


def _channels() -> list[str]:
    """The tenant's payment providers, if it has any."""
    found = available_channels()
    return [name for name in found if name != ChannelName.SANDBOX] or [ChannelName.SANDBOX]


def _enlist(wanted: int) -> None:
    """Make drivers with wallets; phone numbers of their own range, so that it can be run again."""
    for number in range(max(0, wanted - Customer.objects.filter(wallet__isnull=False).count())):
        customer, _ = Customer.objects.get_or_create(phone=f"+86199{number:08d}")
        wallets.wallet_of(customer=customer)


def _look(random: Random, share: float, arrivals: int, channels: list[str], count: int | None = None) -> None:
    """Let some drivers arrive at the first `count` piles (None: at any), and some of those who charge there leave."""
    theirs = (
        Connector.objects.filter(pile__in=piles_to_play(count=count))
        if count is not None
        else Connector.objects.all()
    )
    running = Order.objects.filter(state__in=LIVE, connector__in=theirs)
    _leave(running)
    online = theirs.filter(pile__is_online=True).exclude(status__state=ConnectorState.OFFLINE)
    missing = int(share * online.count()) - running.count()
    if missing <= 0:
        return
    free = online.filter(status__state__in=[ConnectorState.IDLE, ConnectorState.PLUGGED])
    spare = online.order_by("code").first()  # the gun that `make run` offers for trying
    connectors = [one for one in free.exclude(orders__state__in=LIVE) if one != spare]
    old = Order.objects.filter(debt__gt=0, ended_at__lt=now() - OWES_ON)
    customers = list(
        Customer.objects.filter(state=CustomerState.ACTIVE, wallet__isnull=False)
        .exclude(orders__state__in=LIVE)
        # Who has asked for money back does not charge until there is an answer: a charge would stand in its way.
        .exclude(wallet__refunds__in=WalletRefund.objects.filter(closed_at=None))
        .exclude(orders__refunds__state=OrderRefundState.APPLIED)
        # Who has owed for days will not pay now: the list of debts shows whom to call.
        .exclude(wallet__debts__in=Debt.objects.filter(closed_at=None, order_no__in=old.values("order_no")))
        .order_by("id")[: max(30, arrivals)]
    )
    random.shuffle(connectors)
    random.shuffle(customers)
    for customer, connector in list(zip(customers, connectors, strict=False))[: min(missing, arrivals)]:
        _arrive(random, customer, connector, channels)


def _arrive(random: Random, customer: Customer, connector: Connector, channels: list[str]) -> None:
    driver_app.agree([customer])
    amount, station_id = random.choice(AMOUNTS), connector.pile.station_id
    try:
        at_cost = fleet.pays(customer=customer, station_id=station_id, amount=amount, at=now())
        if not at_cost and not _has_money(random, customer, random.choice(channels)):
            return
        orders.start_charge(
            customer=customer,
            connector_code=connector.code,
            request_key=uuid4().hex,
            preset_amount=amount,
            payer=Payer.ENTERPRISE if at_cost else Payer.WALLET,
            plate=fleet.plate_of(customer) if at_cost else "",
        )
    except requests.RequestException as error:  # the phone has no network
        log.info("top_up_not_paid", error=type(error).__name__)
    except DomainError as error:  # somebody was quicker, or the pile went away
        log.info("driver_turned_away", error_code=error.code, connector_code=connector.code)


def _has_money(random: Random, customer: Customer, channel: str) -> bool:
    """Let a driver top up where little is left, or before; False while the money is on its way."""
    wallet = wallets.wallet_of(customer=customer)
    needs = bool(wallet.debt) or wallet.available < LOW
    by_provider = channel != ChannelName.SANDBOX
    if needs or (by_provider and random.random() < TOPS_UP_EARLY):
        paying.know_at_providers(customer)
        paying.top_up(customer, TOP_UP if needs else random.choice(EARLY_TOP_UPS), channel)
    return not (needs and by_provider)  # it comes with the provider's notice; then the driver comes again


def _leave(running: QuerySet[Order]) -> None:
    """Drivers who do not wait for the end leave some minutes after they came; who that is, the order decides."""
    for order in running.filter(state=OrderState.CHARGING).select_related("customer"):
        mind = Random(order.order_no)
        patience = timedelta(minutes=mind.uniform(1, 6))
        if mind.random() > STOPS_ITSELF and order.charging_at and now() - order.charging_at > patience:
            actor = Actor("customer", str(order.customer_id), order.customer.masked_phone)
            orders.stop_charge(order_no=order.order_no, actor=actor)
