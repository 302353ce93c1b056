"""Guns at which one start after another fails: drivers go away and tell nobody."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F, Window
from django.db.models.functions import RowNumber

from apps.common.time import now
from apps.orders.enums import OrderState, StopReason
from apps.orders.models import Order
from apps.piles.alarms.rules import THRESHOLDS, Rules
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, Connector
from apps.piles.services import close_alarms, raise_alarm

KIND = AlarmKind.START_FAILURES
RECENT = timedelta(hours=6)
"""A gun that nobody has tried since is not looked at again."""
OLDEST = timedelta(days=2)
NOT_THE_GUNS_FAULT = {"", "not_plugged", StopReason.CANCELLED.value, "undelivered"}
"""The driver's, or that of a pile that is offline, which has an alarm of its own."""
UNDECIDED = {OrderState.PENDING, OrderState.STARTING}


def watch_starts(*, at: datetime | None = None) -> None:
    """Open an alarm for guns with too many failed starts in a row (alarm rules say how many); close it after a charge.

    Starts that failed for want of a plug, were cancelled or never reached the pile count neither way.
    """
    moment = at or now()
    tried = Order.objects.filter(state=OrderState.FAILED, created_at__gt=moment - RECENT)
    known = set(
        Alarm.objects.filter(kind=KIND, closed_at=None).values_list("pile_code", "connector_no", "subject")
    )
    codes = [f"{pile_code}{connector_no}" for pile_code, connector_no, _subject in known]
    ids = set(tried.values_list("connector_id", flat=True))
    ids |= set(Connector.objects.filter(code__in=codes).values_list("pk", flat=True))
    if not ids:
        return
    rules = Rules.load()
    failures = _streaks(sorted(ids), moment)
    guns = Connector.objects.filter(pk__in=ids).order_by("pk")
    for pk, pile_code, connector_no, station_id in guns.values_list(
        "pk", "pile__pile_code", "connector_no", "pile__station_id"
    ):
        place = (pile_code, connector_no, "")
        if failures.get(pk, 0) < rules.of(KIND, station_id).threshold:
            if place in known:
                close_alarms(kind=KIND, places=[place])
        elif place not in known:
            facts = {"failures": failures[pk]}
            raise_alarm(kind=KIND, pile_code=pile_code, connector_no=connector_no, detail=facts)


def _streaks(ids: list[int], at: datetime) -> dict[int, int]:
    """Return {connector id: number of its latest starts that failed, without a charge between them}."""
    rank = Window(RowNumber(), partition_by=F("connector_id"), order_by=F("id").desc())
    rows = (
        Order.objects.filter(connector_id__in=ids, created_at__gt=at - OLDEST)
        .exclude(state__in=UNDECIDED)
        .exclude(state=OrderState.FAILED, fail_reason__in=NOT_THE_GUNS_FAULT)
        .annotate(rank=rank)
        .filter(rank__lte=THRESHOLDS[KIND].largest)
        .order_by("connector_id", "rank")
        .values_list("connector_id", "rank", "state")
    )
    streaks: dict[int, int] = {}
    for connector_id, place, state in rows:
        if state == OrderState.FAILED and streaks.get(connector_id, 0) == place - 1:
            streaks[connector_id] = place
    return streaks
