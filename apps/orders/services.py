"""Starting, following and stopping a charge. Settlement is in settling.py, waiting in watchdog.py.

The moves are those of docs/flows/charging.md. Lock order everywhere: connector → order → wallet → coupon.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Q

from apps.common.errors import DomainError
from apps.common.ids import SYSTEM, Actor, dated_number, transaction_number
from apps.common.schema import current_schema
from apps.common.time import SHANGHAI, now
from apps.coupons import services as coupons
from apps.customers import agreements, inbox
from apps.customers.models import Customer, CustomerState, InboxKind
from apps.orders import payers, unbilled
from apps.orders.enums import OrderSource, OrderState, StopReason
from apps.orders.errors import (
    CustomerBlocked,
    GunsApart,
    NotStartable,
    OneGunOnly,
    OrderNotFound,
    OutsideHours,
    StationClosed,
)
from apps.orders.guns import guns_of, shares
from apps.orders.limits import NO_LIMITS, Limits
from apps.orders.models import Order, ParallelLeg
from apps.orders.moves import begin, move, note
from apps.piles import gateway
from apps.piles import services as piles
from apps.piles.commands import StartCharge, StartParallel, StopCharge
from apps.piles.enums import AlarmKind, CommandKind, CommandState, ConnectorState, PileState
from apps.piles.errors import ConnectorBusy, ConnectorFaulty, ConnectorOffline, PileDisabled
from apps.piles.models import Connector, PileCommand
from apps.piles.reports import StartAnswer, StopAnswer
from apps.piles.selectors import lock_connector
from apps.pricing.errors import FivePricesUnknown, NoPrice
from apps.pricing.selectors import effective_prices
from apps.sites import hours
from apps.sites.enums import StationState
from apps.sites.models import Station
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
BEST, NO_COUPON = "best", "none"
"""What may be asked for instead of a coupon of one's choice."""


def start_charge(
    *,
    customer: Customer,
    connector_code: str,
    request_key: str,
    preset_amount: Decimal | None = None,
    actor: Actor | None = None,
    source: OrderSource = OrderSource.APP,
    further_connectors: Sequence[str] = (),
    coupon: int | str = BEST,
    outside_hours: str = "",
    limits: Limits = NO_LIMITS,
    plate: str = "",
    payer: str | None = None,
    at: datetime | None = None,
) -> Order:
    """Start a charge on a connector, once per customer and `request_key`.

    Under the connector's lock: connector free and online, price known, no debt, money held (`preset_amount` yuan, or
    all that is available up to the tenant's maximum); both tariffs are frozen; after commit the pile is asked to start
    with the hold as its balance. Returns the order in STARTING; what the pile answers moves it on. A repeated request
    returns the first order. With `further_connectors` of the same pile one car charges over several guns: one order,
    one hold, shared out evenly as the guns' balances. `coupon`: the id of one, which is reserved; BEST, chosen at
    settlement; or NO_COUPON. What of `limits` is reached first stops the charge (watchdog.watch_limits); `plate` is for
    parking. `payer` (a Payer) says whose money is held, the driver's or the enterprise's; without it, whose the driver
    chose once (payers.py). Outside the station's opening hours only staff start, with the reason in `outside_hours`.
    Who starts in the app has agreed to what is published (ConsentNeeded). Raises errors of piles, pricing, wallet,
    coupons and payers, CustomerBlocked, StationClosed, OutsideHours, GunsApart, OneGunOnly, KeyReused.
    """
    moment = at or now()
    who = actor or Actor("customer", str(customer.pk), customer.masked_phone)

    codes = [connector_code, *further_connectors]
    try:
        if source == OrderSource.APP:
            agreements.check(customer, agreements.TO_CHARGE)
        order, _ = open_order(
            customer=customer,
            codes=codes,
            request_key=request_key,
            preset_amount=preset_amount,
            coupon=coupon,
            limits=limits,
            plate=plate,
            payer=payer,
            source=source,
            actor=who,
            at=moment,
            outside_hours=outside_hours,
            earlier=lambda _connectors: None,
            asks_pile=True,
        )
    except DomainError:
        # A repeated request finds its own first order in its way, whichever rule says so.
        first = Order.objects.filter(customer=customer, request_key=request_key).first()
        if first is None:
            raise
        guns = [gun.connector.code for gun in guns_of(first)]
        asked = guns, first.preset_amount, first.coupon_choice, first.limits, first.payer
        if asked != (codes, preset_amount, str(coupon), limits, payer or first.payer):
            raise KeyReused from None
        return first
    return order


def open_order(
    *,
    customer: Customer,
    codes: Sequence[str],
    request_key: str,
    source: OrderSource,
    actor: Actor,
    at: datetime,
    earlier: Callable[[list[Connector]], Order | None],
    asks_pile: bool,
    preset_amount: Decimal | None = None,
    coupon: int | str = BEST,
    limits: Limits = NO_LIMITS,
    plate: str = "",
    payer: str | None = None,
    parallel_seq: str = "",
    card_no: str = "",
    vin: str = "",
    outside_hours: str = "",
) -> tuple[Order, bool]:
    """Make an order in STARTING on the guns of `codes`, the main one first, and say whether it is new.

    `earlier` is asked under the connectors' locks and may return an order to be taken instead, or raise.
    `asks_pile`: the pile is sent its start after commit; without, it is the pile that asked and is known to be there.
    Raises as `start_charge` does.
    """
    if customer.state != CustomerState.ACTIVE:
        raise CustomerBlocked
    if len({code[:-2] for code in codes}) > 1 or len(set(codes)) != len(codes):
        raise GunsApart
    for _ in range(NUMBER_TRIES):
        try:
            with transaction.atomic():
                locked = {code: lock_connector(code=code) for code in sorted(codes)}
                connectors = [locked[code] for code in codes]
                if (order := earlier(connectors)) is not None:
                    return order, False
                for connector in connectors:
                    _check_connector(connector, speaks=not asks_pile)
                if asks_pile and len(connectors) > 1 and not connectors[0].pile.takes_parallel:
                    raise OneGunOnly
                is_late = _check_hours(connectors[0].pile.station, actor, outside_hours, at)
                order = _create(
                    customer=customer,
                    connectors=connectors,
                    request_key=request_key,
                    preset_amount=preset_amount,
                    coupon=coupon,
                    limits=limits,
                    plate=plate,
                    payer=payer,
                    source=source,
                    parallel_seq=parallel_seq,
                    card_no=card_no,
                    vin=vin,
                    actor=actor,
                    at=at,
                )
                if is_late:
                    note(order, "started_outside_hours", actor, at, reason=outside_hours.strip())
                if asks_pile:
                    _send_start(order, actor)
        except IntegrityError as error:
            if (reason := _lost_race(error)) is not None:
                raise reason from error
        else:
            log.info("start_requested", order_no=order.order_no, connector_code=codes[0], source=source)
            return order, True
    raise NotStartable


def _send_start(order: Order, actor: Actor) -> None:
    """Send 0x34, or one 0xA4 to each gun, after commit."""
    pile = order.connector.pile
    guns = guns_of(order)
    for gun, balance in zip(guns, shares(order.pile_balance(), len(guns)), strict=True):
        alone = StartCharge(
            transaction_no=gun.transaction_no,
            connector_no=gun.connector.connector_no,
            balance=balance,
            logical_card_no=f"{order.customer_id:016d}",
        )
        command = (
            StartParallel(**asdict(alone), parallel_seq=order.parallel_seq) if order.parallel_seq else alone
        )
        gateway.send(pile=pile, command=command, actor=actor)


def _lost_race(error: IntegrityError) -> Exception | None:
    """Which rule of the database stopped a start; None for a number that another order got in the same second.

    Told by the columns: a tenant's schema is a clone, and the clone's constraints have names of their own.
    """
    text = str(error)
    if "Key (customer_id, request_key)" in text:
        return KeyReused()
    if "one_live" in text or "Key (connector_id)" in text:
        return ConnectorBusy()
    if "Key (order_no)" in text or "Key (transaction_no)" in text:
        return None
    return error


def _check_connector(connector: Connector, *, speaks: bool) -> None:
    pile, status = connector.pile, connector.status
    if pile.station.state != StationState.OPEN:
        raise StationClosed
    if pile.state != PileState.IN_SERVICE:
        raise PileDisabled
    if not speaks and (not pile.is_online or status.state == ConnectorState.OFFLINE):
        raise ConnectorOffline
    if status.state == ConnectorState.FAULT:
        raise ConnectorFaulty
    if status.state == ConnectorState.CHARGING:
        raise ConnectorBusy  # an order that runs without charging yet is found by the database (…_one_live)


def _check_hours(station: Station, actor: Actor, reason: str, at: datetime) -> bool:
    """Return whether a start is outside of the opening hours, which only staff with a reason may do."""
    if hours.is_open(station.opening_hours, at):
        return False
    if actor.kind != "staff" or not reason.strip():
        raise OutsideHours(hours=hours.words(station.opening_hours))
    return True


def _create(
    *,
    customer: Customer,
    connectors: list[Connector],
    request_key: str,
    preset_amount: Decimal | None,
    coupon: int | str,
    limits: Limits,
    plate: str,
    payer: str | None,
    source: OrderSource,
    parallel_seq: str,
    card_no: str,
    vin: str,
    actor: Actor,
    at: datetime,
) -> Order:
    """Hold the money, reserve a chosen coupon and write the order, in STARTING, with two events and further guns."""
    main, *further = connectors
    pile = main.pile
    found = effective_prices(pile_id=pile.pk, station_id=pile.station_id, at=at)
    if found is None:
        raise NoPrice
    version, prices, retail = found
    if prices.uses_five_classes and not pile.five_prices:
        raise FivePricesUnknown  # the pile would charge by other prices, and count deep valley as another class
    found_payer = payers.choose(customer=customer, asked=payer)
    enterprise = found_payer.enterprise
    order = Order(
        order_no=dated_number("C", at=at),
        transaction_no=transaction_number(pile.pile_code, main.connector_no, at=at),
        request_key=request_key,
        source=source,
        customer=customer,
        station_id=pile.station_id,
        connector=main,
        price_version=version,
        tariff=prices.to_json(),
        retail_tariff=retail.to_json(),
        enterprise=enterprise,
        enterprise_rule=enterprise.rule() if enterprise else None,
        enterprise_member=found_payer.member if enterprise else None,
        payer=found_payer.payer,
        coupon_choice=str(coupon),
        preset_amount=preset_amount,
        limit_energy_kwh=limits.energy_kwh,
        limit_minutes=limits.minutes,
        limit_soc_percent=limits.soc_percent,
        plate=plate,
        parallel_seq=parallel_seq or (f"{at.astimezone(SHANGHAI):%y%m%d%H%M%S}" if further else ""),
        card_no=card_no,
        vin=vin,
        created_at=at,
        start_sent_at=at,
    )
    if found_payer.pays and found_payer.member is not None:
        payers.check_coupon(coupon)
        payers.check_place(enterprise=found_payer.member.enterprise, station_id=pile.station_id, at=at)
        hold = payers.hold(
            member=found_payer.member,
            customer=customer,
            order_no=order.order_no,
            amount=preset_amount,
            maximum=hold_maximum(),
            at=at,
        )
    else:
        hold = wallet.open_hold(
            customer=customer, order_no=order.order_no, amount=preset_amount, maximum=hold_maximum(), at=at
        )
    order.hold_amount = hold.amount
    if isinstance(coupon, int):
        order.coupon = coupons.reserve(
            customer=customer, coupon_id=coupon, order_no=order.order_no, station_id=pile.station_id, at=at
        )
    begin(order, actor, at)
    for connector in further:
        number = transaction_number(pile.pile_code, connector.connector_no, at=at)
        ParallelLeg.objects.create(order=order, connector=connector, transaction_no=number)
    return order


def hold_maximum() -> Decimal:
    """The tenant's largest hold, yuan. A request knows its tenant already."""
    tenant = getattr(connection, "tenant", None)
    if not isinstance(tenant, Tenant):
        tenant = tenant_of_schema(current_schema())
    return tenant.hold_maximum if tenant.hold_maximum is not None else Decimal(settings.HOLD_MAXIMUM_YUAN)


# --- What the pile answers and reports --------------------------------------------------------------------


def start_answered(answer: StartAnswer, *, at: datetime | None = None) -> None:
    """Follow a pile's answer to a start (0x33, 0xA3).

    "Success" keeps STARTING until the pile reports charging. "Not plugged in" keeps STARTING too: a second answer may
    come within PLUG_TIMEOUT. Any other refusal fails the order. A success that comes after the order has failed is
    answered with a stop. Of several guns all must accept; one that refuses while another charges ends the charge.
    """
    moment = at or now()
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.START_PARALLEL if answer.is_parallel else CommandKind.START,
        connector_no=answer.connector_no,
        transaction_no=answer.transaction_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
        answer=answer.frame,
    )
    with transaction.atomic():
        order = lock_order(answer.transaction_no, f"{answer.pile_code}{answer.connector_no}")
        if order is None:
            return
        actor = Actor("pile", answer.pile_code, answer.pile_code)
        if order.state == OrderState.STARTING:
            order.start_answered_at = moment
            order.waiting_for_plug = not answer.accepted and answer.reason == "not_plugged"
            if answer.accepted:
                if not order.parallel_seq or _all_accepted(order):
                    note(order, "start_accepted", actor, moment)
            elif order.waiting_for_plug:
                note(order, "waiting_for_plug", actor, moment)
            else:
                fail_start(order, answer.reason, actor, moment)
            order.save()
        elif order.state == OrderState.FAILED and answer.accepted:
            note(order, "start_accepted_too_late", actor, moment)
            send_stop(order, SYSTEM)
        elif order.state == OrderState.CHARGING and order.parallel_seq and not answer.accepted:
            order.stop_requested_at = moment
            order.stop_reason = StopReason.START_FAILED
            move(order, OrderState.STOPPING, "gun_refused", actor, moment, reason=answer.reason)
            order.save()
            send_stop(order, SYSTEM)


def _all_accepted(order: Order) -> bool:
    """Whether every gun of a parallel charge has accepted its start."""
    asked = PileCommand.objects.filter(
        pile_id=order.connector.pile_id,
        kind=CommandKind.START_PARALLEL,
        payload__transaction_no__in=[gun.transaction_no for gun in guns_of(order)],
    )
    return not asked.exclude(state=CommandState.DONE).exists()


def stop_answered(answer: StopAnswer, *, at: datetime | None = None) -> None:
    """Follow a pile's answer to a stop (0x35). The order closes by its record, not by this answer.

    Only a cancelled order whose pile was still waiting for the plug ends here: the pile never started, so no record
    can come, and whatever came all the same would be settled as a late record. Of several guns the last answer counts.
    """
    moment = at or now()
    piles.command_answered(
        pile_code=answer.pile_code,
        kind=CommandKind.STOP,
        connector_no=answer.connector_no,
        accepted=answer.accepted,
        result={"reason": answer.reason},
        answer=answer.frame,
    )
    code = f"{answer.pile_code}{answer.connector_no}"
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(of=["self"])
            .select_related("connector__pile")
            .filter(
                Q(connector__code=code)
                | Q(pk__in=ParallelLeg.objects.filter(connector__code=code, is_live=True).values("order")),
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
        if confirmed and not (order.parallel_seq and _stops_open(order)):
            order.stop_confirmed_at = moment
            if order.state == OrderState.STARTING:
                move(order, OrderState.FAILED, "cancelled", actor, moment)
                order.fail_reason = StopReason.CANCELLED
                give_back(order, at)
        order.save()


def _stops_open(order: Order) -> bool:
    """Whether another gun of a parallel charge has not answered its stop yet."""
    return PileCommand.objects.filter(
        pile_id=order.connector.pile_id,
        kind=CommandKind.STOP,
        payload__transaction_no__in=[gun.transaction_no for gun in guns_of(order)],
        state__in=[CommandState.PENDING, CommandState.SENT],
    ).exists()


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
        order = lock_order(transaction_no, connector_code)
        if order is None:
            if state == ConnectorState.CHARGING:
                unbilled.note_report(connector_code=connector_code, transaction_no=transaction_no)
            return
        actor = Actor("pile", order.connector.pile.pile_code, order.connector.pile.pile_code)
        if state == ConnectorState.CHARGING:
            _charging_seen(order, actor, reported_at, energy_kwh)
            ended = None
        elif order.state in {OrderState.CHARGING, OrderState.STOPPING} and order.ended_at is None:
            ended = reported_at
            facts = {"state": state, "energy_kwh": energy_kwh}
            if any(gun.charges for gun in guns_of(order) if gun.transaction_no != transaction_no):
                note(order, "gun_ended", actor, reported_at, connector=connector_code, **facts)
            else:
                order.ended_at = reported_at
                note(order, "charging_ended", actor, reported_at, **facts)
        else:
            return
        if order.parallel_seq:
            order.legs.filter(transaction_no=transaction_no).update(ended_at=ended)
        order.save()


def _charging_seen(order: Order, actor: Actor, at: datetime, energy_kwh: str) -> None:
    if order.state == OrderState.STARTING and order.stop_requested_at is None:
        order.charging_at = at
        order.waiting_for_plug = False
        move(order, OrderState.CHARGING, "charging_started", actor, at)
        words = {"station": order.station.name}
        if order.own_hold is not None:
            words["amount"] = f"{order.own_hold:.2f}"
        _tell_driver(order, InboxKind.CHARGE_STARTED, **words)
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
    give_back(order, at)
    _tell_driver(order, InboxKind.START_FAILED)
    send_stop(order, SYSTEM)
    log.info("start_failed", order_no=order.order_no, reason=reason)


def _tell_driver(order: Order, kind: InboxKind, **words: str) -> None:
    words["connector"] = order.connector.code
    inbox.post(inbox.News(order.customer_id, kind, order.order_no, words))


def give_back(order: Order, at: datetime | None) -> None:
    """Give the hold and a reserved coupon of a locked order back; the caller saves the order."""
    wallet.release_hold(order_no=order.order_no, at=at)
    if order.coupon_id is not None:
        coupons.release(order_no=order.order_no)
        order.coupon = None


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
    """Send 0x36 for each gun of an order after commit."""
    for gun in guns_of(order):
        command = StopCharge(connector_no=gun.connector.connector_no, transaction_no=gun.transaction_no)
        gateway.send(pile=order.connector.pile, command=command, actor=actor)


def lock_order(transaction_no: str, connector_code: str) -> Order | None:
    """Lock and return the order of a transaction number that a gun names, the main gun or a further one."""
    orders = Order.objects.select_for_update(of=["self"]).select_related("connector__pile")
    order = orders.filter(transaction_no=transaction_no, connector__code=connector_code).first()
    if order is None:
        legs = ParallelLeg.objects.filter(transaction_no=transaction_no, connector__code=connector_code)
        order = orders.filter(pk__in=legs.values("order")).first()
    return order
