"""Starting, following and stopping a charge. Settlement is in settling.py, waiting in watchdog.py.

The moves are those of docs/flows/charging.md. Lock order everywhere: connector → order → wallet.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction

from apps.common.ids import SYSTEM, Actor, dated_number, transaction_number
from apps.common.schema import current_schema
from apps.common.time import now
from apps.customers.models import Customer, CustomerState
from apps.orders.enums import OrderSource, OrderState, StopReason
from apps.orders.errors import CustomerBlocked, NotStartable, OrderNotFound, StationClosed
from apps.orders.models import Order
from apps.orders.moves import begin, move, note
from apps.piles import gateway
from apps.piles import services as piles
from apps.piles.commands import StartCharge, StopCharge
from apps.piles.enums import AlarmKind, CommandKind, ConnectorState, PileState
from apps.piles.errors import ConnectorBusy, ConnectorFaulty, ConnectorOffline, PileDisabled
from apps.piles.models import Connector
from apps.piles.reports import StartAnswer, StopAnswer
from apps.piles.selectors import lock_connector
from apps.pricing.errors import NoPrice
from apps.pricing.selectors import effective_version
from apps.sites.models import StationState
from apps.tenancy.models import Tenant
from apps.tenancy.selectors import tenant_of_schema
from apps.wallet import services as wallet
from apps.wallet.errors import KeyReused

log = structlog.get_logger(__name__)

START_TIMEOUT = timedelta(seconds=90)
"""A pile that does not charge within 90 s of 0x34 has failed to start (YKC V1.6, 7.3)."""
PLUG_TIMEOUT = timedelta(seconds=60)
"""How long a pile that said "not plugged in" waits for the plug (YKC V1.6, 7.3)."""
NUMBER_TRIES = 5


def start_charge(
    *,
    customer: Customer,
    connector_code: str,
    request_key: str,
    preset_amount: Decimal | None = None,
    actor: Actor | None = None,
    source: OrderSource = OrderSource.APP,
    at: datetime | None = None,
) -> Order:
    """Start a charge on a connector, once per customer and `request_key`.

    Under the connector's lock: connector free and online, price known, no debt, money held (`preset_amount` yuan, or
    all that is available up to the tenant's maximum); both tariffs are frozen; after commit the pile is asked to start
    with the hold as its balance. Returns the order in STARTING; what the pile answers moves it on. A repeated request
    returns the first order. Raises errors of piles, pricing and wallet, CustomerBlocked, StationClosed, KeyReused.
    """
    moment = at or now()
    who = actor or Actor("customer", str(customer.pk), customer.masked_phone)
    if customer.state != CustomerState.ACTIVE:
        raise CustomerBlocked
    for _ in range(NUMBER_TRIES):
        try:
            with transaction.atomic():
                connector = lock_connector(code=connector_code)
                order = _same_request(customer, request_key, connector, preset_amount)
                if order is not None:
                    return order
                _check_connector(connector)
                order = _create(
                    customer=customer,
                    connector=connector,
                    request_key=request_key,
                    preset_amount=preset_amount,
                    source=source,
                    actor=who,
                    at=moment,
                )
                command = StartCharge(
                    transaction_no=order.transaction_no,
                    connector_no=connector.connector_no,
                    balance=order.hold_amount,
                    logical_card_no=f"{customer.pk:016d}",
                )
                gateway.send(pile=connector.pile, command=command, actor=who)
        except IntegrityError as error:
            if (reason := _lost_race(error)) is not None:
                raise reason from error
        else:
            log.info("start_requested", order_no=order.order_no, connector_code=connector.code)
            return order
    raise NotStartable


def _lost_race(error: IntegrityError) -> Exception | None:
    """Which rule of the database stopped a start; None for a number that another order got in the same second."""
    text = str(error)
    if "order_request_unique" in text:
        return KeyReused()
    if "order_one_live" in text:
        return ConnectorBusy()
    if "order_no" in text or "transaction_no" in text:
        return None
    return error


def _same_request(
    customer: Customer, request_key: str, connector: Connector, preset_amount: Decimal | None
) -> Order | None:
    order = Order.objects.filter(customer=customer, request_key=request_key).first()
    if order is not None and (order.connector_id, order.preset_amount) != (connector.pk, preset_amount):
        raise KeyReused
    return order


def _check_connector(connector: Connector) -> None:
    pile, status = connector.pile, connector.status
    if pile.station.state != StationState.OPEN:
        raise StationClosed
    if pile.state != PileState.IN_SERVICE:
        raise PileDisabled
    if not pile.is_online or status.state == ConnectorState.OFFLINE:
        raise ConnectorOffline
    if status.state == ConnectorState.FAULT:
        raise ConnectorFaulty
    if status.state == ConnectorState.CHARGING:
        raise ConnectorBusy  # an order that runs without charging yet is found by the database (order_one_live)


def _create(
    *,
    customer: Customer,
    connector: Connector,
    request_key: str,
    preset_amount: Decimal | None,
    source: OrderSource,
    actor: Actor,
    at: datetime,
) -> Order:
    """Hold the money and write the order, in STARTING, with its first two events."""
    pile = connector.pile
    version = effective_version(pile_id=pile.pk, station_id=pile.station_id, at=at)
    if version is None:
        raise NoPrice
    tariff = version.to_tariff().to_json()
    order = Order(
        order_no=dated_number("C", at=at),
        transaction_no=transaction_number(pile.pile_code, connector.connector_no, at=at),
        request_key=request_key,
        source=source,
        customer=customer,
        station_id=pile.station_id,
        connector=connector,
        price_version=version,
        tariff=tariff,
        retail_tariff=tariff,
        preset_amount=preset_amount,
        created_at=at,
        start_sent_at=at,
    )
    hold = wallet.open_hold(
        customer=customer, order_no=order.order_no, amount=preset_amount, maximum=_hold_maximum(), at=at
    )
    order.hold_amount = hold.amount
    begin(order, actor, at)
    return order


def _hold_maximum() -> Decimal:
    """The tenant's largest hold, yuan. A request knows its tenant already."""
    tenant = getattr(connection, "tenant", None)
    if not isinstance(tenant, Tenant):
        tenant = tenant_of_schema(current_schema())
    return tenant.hold_maximum if tenant.hold_maximum is not None else Decimal(settings.HOLD_MAXIMUM_YUAN)


# --- What the pile answers and reports --------------------------------------------------------------------


def start_answered(answer: StartAnswer, *, at: datetime | None = None) -> None:
    """Follow a pile's answer to a start (0x33).

    "Success" keeps STARTING until the pile reports charging. "Not plugged in" keeps STARTING too: a second answer may
    come within PLUG_TIMEOUT. Any other refusal fails the order. A success that comes after the order has failed is
    answered with a stop.
    """
    moment = at or now()
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.START,
        connector_no=answer.connector_no,
        transaction_no=answer.transaction_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
    )
    with transaction.atomic():
        order = _lock(answer.transaction_no, f"{answer.pile_code}{answer.connector_no}")
        if order is None:
            return
        actor = Actor("pile", answer.pile_code, answer.pile_code)
        if order.state == OrderState.STARTING:
            order.start_answered_at = moment
            order.waiting_for_plug = not answer.accepted and answer.reason == "not_plugged"
            if answer.accepted:
                note(order, "start_accepted", actor, moment)
            elif order.waiting_for_plug:
                note(order, "waiting_for_plug", actor, moment)
            else:
                fail_start(order, answer.reason, actor, moment)
            order.save()
        elif order.state == OrderState.FAILED and answer.accepted:
            note(order, "start_accepted_too_late", actor, moment)
            send_stop(order, SYSTEM)


def stop_answered(answer: StopAnswer, *, at: datetime | None = None) -> None:
    """Follow a pile's answer to a stop (0x35). The order closes by its record, not by this answer.

    Only a cancelled order whose pile was still waiting for the plug ends here: the pile never started, so no record
    can come, and whatever came all the same would be settled as a late record.
    """
    moment = at or now()
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.STOP,
        connector_no=answer.connector_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
    )
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(of=["self"])
            .select_related("connector__pile")
            .filter(
                connector__code=f"{answer.pile_code}{answer.connector_no}",
                state__in=[OrderState.STARTING, OrderState.STOPPING],
                stop_requested_at__isnull=False,
            )
            .order_by("-id")
            .first()
        )
        if order is None:
            return
        actor = Actor("pile", answer.pile_code, answer.pile_code)
        confirmed = answer.accepted or answer.reason == "not_charging"
        note(order, "stop_confirmed" if confirmed else "stop_refused", actor, moment, reason=answer.reason)
        if confirmed:
            order.stop_confirmed_at = moment
            if order.state == OrderState.STARTING:
                move(order, OrderState.FAILED, "cancelled", actor, moment)
                order.fail_reason = StopReason.CANCELLED
                wallet.release_hold(order_no=order.order_no, at=at)
        order.save()


def connector_changed(
    *,
    transaction_no: str,
    connector_code: str,
    state: str,
    energy_kwh: str,
    reported_at: datetime,
) -> None:
    """Follow what a connector reports for a transaction (0x13): charging began, or is over.

    A pile that charges for an order which has failed is stopped and an alarm raised.
    """
    with transaction.atomic():
        order = _lock(transaction_no, connector_code)
        if order is None:
            return
        actor = Actor("pile", order.connector.pile.pile_code, order.connector.pile.pile_code)
        if state == ConnectorState.CHARGING:
            _charging_seen(order, actor, reported_at, energy_kwh)
        elif order.state in {OrderState.CHARGING, OrderState.STOPPING} and order.ended_at is None:
            order.ended_at = reported_at
            note(order, "charging_ended", actor, reported_at, state=state, energy_kwh=energy_kwh)
        else:
            return
        order.save()


def _charging_seen(order: Order, actor: Actor, at: datetime, energy_kwh: str) -> None:
    if order.state == OrderState.STARTING and order.stop_requested_at is None:
        order.charging_at = at
        order.waiting_for_plug = False
        move(order, OrderState.CHARGING, "charging_started", actor, at)
    elif (
        order.state == OrderState.STARTING
    ):  # cancelled while the pile waited for the plug, and plugged in after all
        order.charging_at = at
        order.waiting_for_plug = False
        move(order, OrderState.STOPPING, "charging_although_cancelled", actor, at)
        send_stop(order, SYSTEM)
    elif order.state in {OrderState.CHARGING, OrderState.STOPPING}:
        order.ended_at = None  # a short gap was no end
    elif order.state == OrderState.FAILED:
        note(order, "charging_after_failure", actor, at, energy_kwh=energy_kwh)
        piles.raise_alarm(
            kind=AlarmKind.CHARGING_AFTER_FAILURE,
            pile_code=order.connector.pile.pile_code,
            connector_no=order.connector.connector_no,
            subject=order.order_no,
        )
        send_stop(order, SYSTEM)


def fail_start(order: Order, reason: str, actor: Actor, at: datetime) -> None:
    """Give up a start: FAILED, the hold given back, and a stop sent in case the pile starts all the same.

    The order is locked and in STARTING; the caller saves it. A record that comes later is settled.
    """
    move(order, OrderState.FAILED, "start_failed", actor, at, reason=reason)
    order.fail_reason = reason
    order.waiting_for_plug = False
    wallet.release_hold(order_no=order.order_no, at=at)
    send_stop(order, SYSTEM)
    log.info("start_failed", order_no=order.order_no, reason=reason)


# --- Stopping ---------------------------------------------------------------------------------------------


def stop_charge(
    *,
    order_no: str,
    actor: Actor,
    customer: Customer | None = None,
    reason: StopReason = StopReason.CUSTOMER,
    at: datetime | None = None,
) -> Order:
    """Ask the pile to stop. The order closes later, when its record arrives.

    Before charging has begun this is a cancellation. Asking again, or after the end, changes nothing. With `customer`
    given only their own orders are found. Raises OrderNotFound.
    """
    moment = at or now()
    with transaction.atomic():
        orders = Order.objects.select_for_update(of=["self"]).select_related("connector__pile")
        if customer is not None:
            orders = orders.filter(customer=customer)
        order = orders.filter(order_no=order_no).first()
        if order is None:
            raise OrderNotFound
        if order.state not in {OrderState.STARTING, OrderState.CHARGING} or order.stop_requested_at:
            return order
        order.stop_requested_at = moment
        if order.state == OrderState.CHARGING:
            order.stop_reason = reason
            move(order, OrderState.STOPPING, "stop_requested", actor, moment, reason=reason)
        else:
            order.stop_reason = StopReason.CANCELLED
            if order.waiting_for_plug:  # nothing runs yet: the pile's answer decides (stop_answered)
                note(order, "cancel_requested", actor, moment)
            else:
                move(order, OrderState.STOPPING, "cancel_requested", actor, moment)
        order.save()
        send_stop(order, actor)
    return order


def send_stop(order: Order, actor: Actor) -> None:
    """Send 0x36 for an order's connector after commit."""
    command = StopCharge(connector_no=order.connector.connector_no, transaction_no=order.transaction_no)
    gateway.send(pile=order.connector.pile, command=command, actor=actor)


def _lock(transaction_no: str, connector_code: str) -> Order | None:
    return (
        Order.objects.select_for_update(of=["self"])
        .select_related("connector__pile")
        .filter(transaction_no=transaction_no, connector__code=connector_code)
        .first()
    )
