"""What the clock does about alarms: find what nobody reports, sort by the rules, tell people.

One worker at a time for each tenant; telling is one transaction, so that nothing is told twice or forgotten.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from apps.common.schema import current_schema
from apps.common.time import now
from apps.piles.alarms import telling
from apps.piles.alarms.models import Alarm
from apps.piles.alarms.raising import close_alarms, raise_alarm, raise_alarms
from apps.piles.alarms.rules import Rules
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import ConnectorStatus, Pile

log = structlog.get_logger(__name__)

COOLER = 3
"""A battery's alarm ends so many degrees below its threshold, or it would come and go."""


def watch_alarms(*, at: datetime | None = None) -> None:
    """Do all of it, unless another worker is at it: first find and sort, then tell, each in a transaction."""
    moment = at or now()
    rules = Rules.load()
    with transaction.atomic():
        if not _alone():
            return
        watch_temperatures(rules)
        watch_silent_guns(rules, moment)
        sort(rules, moment)
    with transaction.atomic():
        if _alone():
            telling.tell(rules, moment)
            telling.tell_ends(moment)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(hashtext(%s))", [f"alarms:{current_schema()}"])
        return bool(cursor.fetchone()[0])


def watch_temperatures(rules: Rules) -> None:
    """Raise an alarm where a battery is hotter than its station allows while it is charged; end those that cooled."""
    kind = AlarmKind.OVER_TEMPERATURE
    lowest = rules.lowest_threshold(kind) - COOLER
    warm = ConnectorStatus.objects.filter(
        state=ConnectorState.CHARGING, battery_temp_c__gte=lowest
    ).values_list(
        "connector__pile__pile_code",
        "connector__connector_no",
        "connector__pile__station_id",
        "battery_temp_c",
    )
    stay = set()
    known = _open_places(kind)
    for pile_code, connector_no, station_id, degrees in warm.order_by("connector_id"):
        threshold = rules.of(kind, station_id).threshold
        place = (pile_code, connector_no, "")
        if degrees >= threshold - COOLER:
            stay.add(place)
        if degrees >= threshold and place not in known:
            facts = {"degrees": degrees, "threshold": threshold}
            raise_alarm(kind=kind, pile_code=pile_code, connector_no=connector_no, detail=facts)
    close_alarms(kind=kind, places=known - stay)


def watch_silent_guns(rules: Rules, at: datetime) -> None:
    """Raise an alarm for guns that have said nothing for long although their pile is online; end it when they do."""
    kind = AlarmKind.SILENT_GUN
    since = at - timedelta(minutes=rules.lowest_threshold(kind))
    login = F("connector__pile__last_login_at")
    guns = (
        ConnectorStatus.objects.filter(
            Q(reported_at__lt=since) | Q(reported_at=None),
            connector__pile__is_online=True,
            connector__pile__protocol="ykc",  # others report on changes only
            connector__pile__state=PileState.IN_SERVICE,
            connector__pile__last_login_at__lt=since,
        )
        .annotate(last=Coalesce("reported_at", login), login=login)
        .values_list(
            "connector__pile__pile_code",
            "connector__connector_no",
            "connector__pile__station_id",
            "last",
            "login",
        )
    )
    silent = set()
    fresh: dict[tuple[str, int], list[str]] = {}
    known = _open_places(kind)
    for pile_code, connector_no, station_id, last, login_at in guns.order_by("connector_id"):
        minutes = rules.of(kind, station_id).threshold
        heard = max(last, login_at)
        if heard >= at - timedelta(minutes=minutes):
            continue
        silent.add((pile_code, connector_no, ""))
        if (pile_code, connector_no, "") not in known:
            fresh.setdefault((connector_no, minutes), []).append(pile_code)
    for (connector_no, minutes), codes in sorted(fresh.items()):
        raise_alarms(kind=kind, pile_codes=codes, connector_no=connector_no, detail={"minutes": minutes})
    close_alarms(kind=kind, places=known - silent)


def _open_places(kind: AlarmKind) -> set[tuple[str, str, str]]:
    rows = Alarm.objects.filter(kind=kind, closed_at=None)
    return set(rows.values_list("pile_code", "connector_no", "subject"))


def sort(rules: Rules, at: datetime) -> int:
    """Give alarms that nobody has looked at yet the level of their rule. Returns how many.

    Those that are being raised again or closed at this moment wait for the next time.
    """
    fresh = list(
        Alarm.objects.select_for_update(skip_locked=True)
        .filter(closed_at=None, sorted_at=None)
        .order_by("id")
        .values_list("pk", "kind", "pile_code", "detail")
    )
    if not fresh:
        return 0
    codes = {pile_code for _pk, _kind, pile_code, _detail in fresh}
    stations = dict(Pile.objects.filter(pile_code__in=codes).values_list("pile_code", "station_id"))
    judged: dict[tuple[str, bool], list[int]] = {}
    for pk, kind, pile_code, detail in fresh:
        verdict = rules.of(kind, stations.get(pile_code)).judge(detail)
        judged.setdefault(verdict, []).append(pk)
    for (level, is_muted), ids in sorted(judged.items()):
        Alarm.objects.filter(pk__in=ids).update(level=level, is_muted=is_muted, sorted_at=at)
    return len(fresh)


def sort_anew(*, kind: str) -> None:
    """Have open alarms of a kind sorted again: a rule has changed."""
    Alarm.objects.filter(kind=kind, closed_at=None).update(sorted_at=None)
