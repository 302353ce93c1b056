"""Telling people of alarms, by the notification rules: each rule of each alarm once, and of its end.

What is due at the same moment goes out as one message, so that a station that loses its network is one message and not
forty. The messages are rows of `apps.notifications`, which sends them, tries again and keeps to limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from apps.accounts.models import User
from apps.backoffice import scope, shown
from apps.common.time import now
from apps.notifications.enums import Medium
from apps.notifications.models import Robot
from apps.notifications.services import post
from apps.piles.alarms.models import Alarm, AlarmNotice, NotificationRule
from apps.piles.alarms.rules import ORDER, Rules, is_quiet
from apps.piles.alarms.words import Place, line, places
from apps.piles.enums import AlarmLevel

LINES = 20
OLDEST_END = timedelta(days=7)


def tell(rules: Rules, at: datetime) -> int:
    """Want messages of the open alarms that are due. Returns how many alarms were told, counted for each rule."""
    told = 0
    for rule in _in_use():
        due = _due(rule, rules, at)
        if due:
            _send(rule, due, begins=True)
            AlarmNotice.objects.bulk_create(
                AlarmNotice(alarm=alarm, rule=rule, at=at) for alarm, _where in due
            )
        told += len(due)
    return told


def tell_ends(at: datetime) -> int:
    """Want messages of alarms that ended after they were told. Returns how many."""
    told = 0
    for rule in _in_use(tells_end=True):
        notices = list(
            AlarmNotice.objects.filter(
                rule=rule, end_told_at=None, alarm__closed_at__gt=at - OLDEST_END
            ).select_related("alarm")
        )
        if not notices or (is_quiet(rule.quiet_from, rule.quiet_until, at) and not rule.urgent_always):
            continue
        found = places([notice.alarm for notice in notices])
        _send(rule, [(notice.alarm, found[notice.alarm.pile_code]) for notice in notices], begins=False)
        AlarmNotice.objects.filter(pk__in=[notice.pk for notice in notices]).update(end_told_at=at)
        told += len(notices)
    return told


def _in_use(**more: bool) -> list[NotificationRule]:
    rows = NotificationRule.objects.filter(is_active=True, **more).order_by("id")
    return list(rows.prefetch_related("stations", "people", "robots"))


def _due(rule: NotificationRule, rules: Rules, at: datetime) -> list[tuple[Alarm, Place]]:
    """Open alarms that this rule has to tell now, worst first."""
    levels = ORDER[: ORDER.index(rule.lowest_level) + 1]
    rows = Alarm.objects.filter(
        closed_at=None,
        sorted_at__isnull=False,
        is_muted=False,
        level__in=levels,
        created_at__gte=rule.active_since or rule.created_at,
        created_at__lte=at - timedelta(minutes=rule.delay_minutes),
    ).exclude(Exists(AlarmNotice.objects.filter(alarm=OuterRef("pk"), rule=rule)))
    if rule.kinds:
        rows = rows.filter(kind__in=rule.kinds)
    if rule.only_unhandled:
        rows = rows.filter(acknowledged_at=None)
    alarms = list(rows.order_by("id"))
    where = places(alarms)
    wanted = {station.pk for station in rule.stations.all()}
    rule_is_quiet = is_quiet(rule.quiet_from, rule.quiet_until, at)
    due = []
    for alarm in alarms:
        place = where[alarm.pile_code]
        if wanted and place.station_id not in wanted:
            continue
        if rule_is_quiet and not (rule.urgent_always and alarm.level == AlarmLevel.URGENT):
            continue
        holds = rules.of(alarm.kind, place.station_id)
        if is_quiet(holds.quiet_from, holds.quiet_until, at):
            continue
        if alarm.created_at > at - timedelta(minutes=holds.wait_minutes):
            continue
        due.append((alarm, place))
    return sorted(due, key=lambda one: (ORDER.index(one[0].level), one[0].pk))


def _send(rule: NotificationRule, alarms: Sequence[tuple[Alarm, Place]], *, begins: bool) -> None:
    with translation.override(settings.LANGUAGE_CODE):
        for person in rule.people.all():
            if not person.is_active:
                continue
            seen = [(alarm, place) for alarm, place in alarms if scope.sees_station(person, place.station_id)]
            if seen:
                _to_person(rule, person, seen, begins=begins)
        for robot in rule.robots.all():
            if robot.is_active:
                _to_robot(rule, robot, alarms, begins=begins)


def _to_person(
    rule: NotificationRule, person: User, alarms: Sequence[tuple[Alarm, Place]], *, begins: bool
) -> None:
    if rule.by_mail and person.email:
        post(
            medium=Medium.MAIL,
            to=person.email,
            name=str(person),
            subject=title(alarms, begins=begins),
            text=text(alarms),
            **_limits(rule),
        )
    if rule.by_sms and person.phone:
        post(
            medium=Medium.SMS,
            to=_e164(person.phone),
            name=str(person),
            template="alarm",
            params=sms_values(alarms, begins=begins),
            **_limits(rule),
        )


def _to_robot(
    rule: NotificationRule, robot: Robot, alarms: Sequence[tuple[Alarm, Place]], *, begins: bool
) -> None:
    post(
        medium=Medium.ROBOT,
        robot=robot,
        subject=title(alarms, begins=begins),
        text=text(alarms),
        **_limits(rule),
    )


def _limits(rule: NotificationRule) -> dict[str, object]:
    return {"source": f"alarms: {rule.name}", "limit_per_hour": rule.limit_per_hour}


def title(alarms: Sequence[tuple[Alarm, Place]], *, begins: bool) -> str:
    """Return what stands above a message: the worst level, the kind or the number, and the station."""
    worst, place = alarms[0]
    stations = {where.station for _alarm, where in alarms}
    if len(alarms) == 1:
        what = str(worst.get_kind_display())
    else:
        words = ngettext("%(number)s alarm", "%(number)s alarms", len(alarms))
        what = words % {"number": len(alarms)}
    where = place.station if len(stations) == 1 else ""
    head = worst.get_level_display() if begins else pgettext("alarm", "ended")
    return f"【{head}】" + " · ".join(part for part in (what, where) if part)


def text(alarms: Sequence[tuple[Alarm, Place]]) -> str:
    """Return the lines of a message."""
    lines = [line(alarm, place) for alarm, place in alarms[:LINES]]
    if len(alarms) > LINES:
        lines.append(_("… and %(number)s more") % {"number": len(alarms) - LINES})
    return "\n".join(lines)


def sms_values(alarms: Sequence[tuple[Alarm, Place]], *, begins: bool) -> dict[str, str]:
    """Return the values of the "alarm" template: of the worst one, with the number of the others."""
    worst, place = alarms[0]
    kind = str(worst.get_kind_display())
    if len(alarms) > 1:
        kind = _("%(kind)s and %(number)s more") % {"kind": kind, "number": len(alarms) - 1}
    level = str(worst.get_level_display()) if begins else pgettext("alarm", "ended")
    return {
        "level": level,
        "kind": kind,
        "place": place.words(worst),
        "time": shown.minute(worst.created_at),
    }


def send_test(rule: NotificationRule) -> int:
    """Want one test message to everybody whom the rule tells, outside of its limits. Returns how many."""
    words = {
        "subject": _("Test message"),
        "text": _("The notification rule “%(name)s” reaches you.") % {"name": rule.name},
    }
    source = f"test: {rule.name}"
    sent = 0
    for person in rule.people.filter(is_active=True):
        if rule.by_mail and person.email:
            post(medium=Medium.MAIL, to=person.email, name=str(person), source=source, **words)
            sent += 1
        if rule.by_sms and person.phone:
            values = {
                "level": _("test"),
                "kind": _("Test message"),
                "place": rule.name,
                "time": shown.minute(now()),
            }
            post(
                medium=Medium.SMS,
                to=_e164(person.phone),
                name=str(person),
                source=source,
                template="alarm",
                params=values,
            )
            sent += 1
    for robot in rule.robots.filter(is_active=True):
        post(medium=Medium.ROBOT, robot=robot, source=source, **words)
        sent += 1
    return sent


def _e164(phone: str) -> str:
    return phone if phone.startswith("+") else f"+86{phone}"
