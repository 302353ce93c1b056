"""Orders that wait for something that may never come: an answer, the plug, the first kilowatt, the record.

Everything that a lost message, a dead process or an emptied Redis can leave undone is found here, from what
PostgreSQL knows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import structlog
from django.db import transaction
from django.db.models import F, Q

from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.orders.balance import raise_missed_holds
from apps.orders.enums import OrderState, RecordState, StopReason
from apps.orders.estimate import dearest, spent_at_retail
from apps.orders.guns import OrderGun, guns_of
from apps.orders.models import Order, TransactionRecord
from apps.orders.moves import move, note
from apps.orders.services import (
    PLUG_TIMEOUT,
    START_TIMEOUT,
    connector_changed,
    fail_start,
    send_stop,
    stop_charge,
)
from apps.orders.settling import settle_without_the_rest
from apps.piles.enums import AlarmKind, CommandKind, CommandState, ConnectorState
from apps.piles.models import ConnectorStatus, PileCommand
from apps.piles.services import raise_alarm

log = structlog.get_logger(__name__)

STOP_REPEAT = timedelta(seconds=20)
"""A stop that the pile has not confirmed is sent again after this time."""
RECORD_TIMEOUT = timedelta(minutes=10)
"""A record comes within 30 s of the end and is repeated for five minutes (YKC V1.6, 7.5); then a person looks."""
OFFLINE_TIMEOUT = timedelta(hours=24)
"""A pile that lost its connection in mid-charge may bring its record much later."""

REPORT_PERIOD = timedelta(seconds=15)
"""How often a pile reports while it charges (YKC V1.6, 0x13)."""
SILENCE = timedelta(seconds=60)
"""What a gun has charged since its last word is guessed for no longer than this."""

WATCHED = [OrderState.STARTING, OrderState.CHARGING, OrderState.STOPPING]


def watch_orders(*, at: datetime | None = None) -> int:
    """Look at every order that is under way. Returns how many were changed; one that fails stops no other."""
    moment = at or now()
    changed = 0
    for order_no in list(Order.objects.filter(state__in=WATCHED).values_list("order_no", flat=True)):
        try:
            changed += _watch(order_no, moment)
        except Exception:
            log.exception("watch_failed", order_no=order_no)
    overdue = TransactionRecord.objects.filter(
        state=RecordState.WAITING,
        order__state=OrderState.FAILED,
        received_at__lte=moment - RECORD_TIMEOUT,
    )
    for order_id in list(overdue.values_list("order_id", flat=True).distinct()):
        try:
            changed += _close_without_the_rest(order_id, moment)
        except Exception:
            log.exception("watch_failed", order_id=order_id)
    changed += raise_missed_holds()
    return changed


@transaction.atomic
def _close_without_the_rest(order_id: int, at: datetime) -> bool:
    order = Order.objects.select_for_update().get(pk=order_id)
    if order.state != OrderState.FAILED or not settle_without_the_rest(order, at):
        return False
    order.save()
    return True


def _watch(order_no: str, at: datetime) -> bool:
    with transaction.atomic():
        order = (
            Order.objects.select_for_update(of=["self"], skip_locked=True)
            .select_related("connector__pile", "connector__status")
            .filter(order_no=order_no, state__in=WATCHED)
            .first()
        )
        if order is None:
            return False
        guns = guns_of(order)
        if any(_follow(order, gun, guns) for gun in guns):
            return True
        changed = (
            _watch_start(order, guns, at)
            if order.state == OrderState.STARTING
            else _watch_end(order, guns, at)
        )
        if changed:
            order.save()
        return changed


def _follow(order: Order, gun: OrderGun, guns: list[OrderGun]) -> bool:
    """Catch up on a change of a gun whose task was lost."""
    status = gun.connector.status
    if status.transaction_no != gun.transaction_no or status.reported_at is None:
        return False
    charging = status.state == ConnectorState.CHARGING
    began = charging and order.state == OrderState.STARTING
    over = not any(other.charges for other in guns)
    ended = over and order.state != OrderState.STARTING and order.ended_at is None
    if not (began or ended) or status.state == ConnectorState.OFFLINE:
        return False
    connector_changed(
        transaction_no=gun.transaction_no,
        connector_code=gun.connector.code,
        state=status.state,
        energy_kwh=str(status.energy_kwh),
        reported_at=status.reported_at,
    )
    return True


def _watch_start(order: Order, guns: list[OrderGun], at: datetime) -> bool:
    assert order.start_sent_at is not None
    waited = at - order.start_sent_at
    undelivered = PileCommand.objects.filter(
        pile=order.connector.pile,
        kind__in=[CommandKind.START, CommandKind.START_PARALLEL],
        state=CommandState.UNDELIVERED,
        payload__transaction_no__in=[gun.transaction_no for gun in guns],
    ).exists()
    if undelivered:
        fail_start(order, "undelivered", SYSTEM, at)
    elif order.waiting_for_plug and waited >= PLUG_TIMEOUT:
        fail_start(order, "not_plugged", SYSTEM, at)
    elif waited >= START_TIMEOUT:
        fail_start(order, "timeout", SYSTEM, at)
    else:
        return False
    return True


def _watch_end(order: Order, guns: list[OrderGun], at: datetime) -> bool:
    pile, status = order.connector.pile, order.connector.status
    charging = [gun for gun in guns if gun.charges]
    if pile.is_online and charging:
        return _repeat_stop(order, charging, at)
    since = order.ended_at or order.stop_requested_at
    if pile.is_online and status.state != ConnectorState.OFFLINE:
        if since is None:  # the connector reports another transaction or none: the end was never reported
            order.ended_at = at
            note(order, "charging_ended", Actor("system"), at, state=status.state)
            return True
        overdue = at - since >= RECORD_TIMEOUT
    else:
        last_seen = pile.last_seen_at or order.created_at
        overdue = at - last_seen >= OFFLINE_TIMEOUT
    if not overdue:
        return False
    move(order, OrderState.ABNORMAL, "record_missing", SYSTEM, at)
    raise_alarm(
        kind=AlarmKind.MISSING_RECORD,
        pile_code=pile.pile_code,
        connector_no=order.connector.connector_no,
        subject=order.order_no,
    )
    return True


def _repeat_stop(order: Order, guns: list[OrderGun], at: datetime) -> bool:
    """Send the stop again while the pile goes on charging."""
    if order.state != OrderState.STOPPING:
        return False
    recent = PileCommand.objects.filter(
        Q(created_at__gt=at - STOP_REPEAT),
        pile=order.connector.pile,
        kind=CommandKind.STOP,
        connector_no__in=[gun.connector.connector_no for gun in guns],
    ).exclude(state=CommandState.UNDELIVERED)
    if recent.exists():
        return False
    note(order, "stop_repeated", SYSTEM, at)
    send_stop(order, SYSTEM)
    return True


def watch_limits(*, at: datetime | None = None) -> int:
    """Stop charges that have reached a limit which their pile does not know. Returns how many (product.md rule 3).

    That is a limit that the driver set, and a hold that is used up at retail prices: the pile's own balance is safe
    where every class has its price at the pile (`pricing.tariff.pile_balance`), so this is for those that it cannot
    count. Energy and money are stopped one reporting period early, at present power.
    """
    moment = at or now()
    stopped = 0
    limited = (
        Q(limit_energy_kwh__isnull=False)
        | Q(limit_minutes__isnull=False)
        | Q(limit_soc_percent__isnull=False)
    )
    running = (
        Order.objects.filter(state=OrderState.CHARGING, stop_requested_at=None)
        .filter(limited | ~Q(tariff=F("retail_tariff")))
        .select_related("connector__status", "connector__pile")
    )
    for order in running.iterator(chunk_size=200):  # their tariffs are large
        try:
            stopped += _stop_at_limit(order, moment)
        except Exception:
            log.exception("watch_limits_failed", order_no=order.order_no)
    return stopped


def _stop_at_limit(order: Order, at: datetime) -> bool:
    words = [gun.connector.status for gun in guns_of(order) if gun.charges]
    if not words:
        return False
    soon_kwh = sum((word.power_kw * _hours_ahead(word, at) for word in words), Decimal(0))
    which = order.limits.reached(
        energy_kwh=sum((word.energy_kwh for word in words), Decimal(0)),
        soon_kwh=soon_kwh,
        since=order.charging_at or order.created_at,
        soc_percent=words[0].soc_percent,
        at=at,
    )
    if which:
        log.info("limit_reached", order_no=order.order_no, limit=which)
        stop_charge(order_no=order.order_no, actor=SYSTEM, reason=StopReason.LIMIT_REACHED, at=at)
        return True
    return order.is_retail and _stop_if_used_up(order, words, soon_kwh, at)


def _stop_if_used_up(order: Order, words: list[ConnectorStatus], soon_kwh: Decimal, at: datetime) -> bool:
    soon = soon_kwh * order.frozen_retail_tariff().price_at(at).total
    if dearest(order, words, at) + soon < order.hold_amount:
        return False
    spent = spent_at_retail(order, words, at)
    if spent + soon < order.hold_amount:
        return False
    log.info("hold_used_up", order_no=order.order_no, spent=str(spent), hold=str(order.hold_amount))
    stop_charge(order_no=order.order_no, actor=SYSTEM, reason=StopReason.HOLD_USED, at=at)
    return True


def _hours_ahead(word: ConnectorStatus, at: datetime) -> Decimal:
    """For how long a gun will have charged at its next report since the last one, hours."""
    since = at - word.reported_at if word.reported_at else timedelta()
    ahead = min(max(since, timedelta()), SILENCE) + REPORT_PERIOD
    return Decimal(int(ahead.total_seconds())) / 3600
