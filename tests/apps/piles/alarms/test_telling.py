"""Who is told of which alarms: once, in time, within limits, and only of what they see."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time, timedelta
from typing import Any

from django.db import connection
from django_tenants.utils import schema_context

from apps.accounts.enums import Scope
from apps.common.time import SHANGHAI, now
from apps.notifications.models import Message, Robot
from apps.piles import services as piles
from apps.piles.alarms import services, telling, watch
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm, AlarmNotice, AlarmRule, NotificationRule, Pile
from apps.sites.services import give_stations
from tests import factories
from tests.staff import a_user

PARAMS = ("level", "kind", "place", "time")
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=SHANGHAI)


def a_rule(*people: Any, robots: Any = (), stations: Any = (), **words: Any) -> NotificationRule:
    words = {"name": "夜班", "active_since": NOON - timedelta(hours=1), "lowest_level": "minor"} | words
    rule = NotificationRule.objects.create(**words)
    rule.people.set(people)
    rule.robots.set(robots)
    rule.stations.set(stations)
    return rule


def raised(
    pile: Pile | None, kind: AlarmKind = AlarmKind.PILE_FAULT, at: datetime = NOON, **words: Any
) -> Alarm:
    code = pile.pile_code if pile else "99999999999999"
    piles.raise_alarm(kind=kind, pile_code=code, **words)
    Alarm.objects.filter(kind=kind, pile_code=code, closed_at=None).update(created_at=at, updated_at=at)
    return Alarm.objects.get(kind=kind, pile_code=code, closed_at=None)


def told(at: datetime = NOON) -> list[tuple[str, str, str]]:
    """New messages after a look at this time: way, to whom, title or values."""
    last = Message.objects.order_by("-id").values_list("id", flat=True).first() or 0
    watch.watch_alarms(at=at)
    rows = Message.objects.filter(pk__gt=last).order_by("id")
    return [(row.medium, row.to, row.subject or "|".join(map(row.params.get, PARAMS))) for row in rows]


def test_each_is_told_once_in_one_message_of_what_they_see(tenant: Any) -> None:
    station = factories.a_station(name="东站")
    here, there = factories.a_pile(station=station, guns=2), factories.a_pile()
    Pile.objects.filter(pk=here.pk).update(name="三号桩")
    limited = a_user(email="east@alpha.test", scope=Scope.STATIONS)
    give_stations(user=limited, stations=[station])
    everybody = a_user(email="all@alpha.test", phone="13800000001", display_name="王五")
    gone = a_user(email="gone@alpha.test", is_active=False)
    nowhere = a_user()  # has neither phone nor address
    robot = Robot.objects.create(name="群", kind="wecom", url="https://qyapi.weixin.qq.com/x")
    off = Robot.objects.create(
        name="旧群", kind="wecom", url="https://qyapi.weixin.qq.com/x", is_active=False
    )
    a_rule(limited, everybody, gone, nowhere, robots=[robot, off], by_sms=True)
    raised(here, connector_no="02", detail={"fault_bits": "0x0001"})
    raised(there, AlarmKind.CLOCK_DRIFT)
    raised(None, AlarmKind.UNBILLED_ENERGY)
    assert told() == [
        ("mail", "east@alpha.test", "【重要】充电桩故障 · 东站"),
        ("mail", "all@alpha.test", "【紧急】3 条告警"),
        ("sms", "+8613800000001", "紧急|无订单用电，另有 2 条|99999999999999|11-27 12:00"),
        ("robot", "群", "【紧急】3 条告警"),
    ]
    text = Message.objects.get(to="east@alpha.test").text
    assert text == "[重要] 充电桩故障 · 东站 · 三号桩 · 02 枪 · 11-27 12:00 · 故障: 急停按钮"
    assert len(Message.objects.get(medium="robot").text.splitlines()) == 3
    assert told() == []
    assert told(NOON + timedelta(days=1)) == []
    raised(here, AlarmKind.PILE_OFFLINE, at=NOON - timedelta(minutes=3))
    assert [line[2] for line in told() if line[0] == "robot"] == ["【重要】充电桩离线 · 东站"]


def test_rules_choose_by_level_kind_station_and_age(tenant: Any) -> None:
    station = factories.a_station()
    here, there = factories.a_pile(station=station), factories.a_pile()
    boss = a_user(email="boss@alpha.test")
    a_rule(boss, name="a", stations=[station], lowest_level="important")
    a_rule(boss, name="b", kinds=["clock_drift"])
    a_rule(boss, name="c", lowest_level="urgent")
    a_rule(boss, name="d", is_active=False)
    a_rule(boss, name="e", active_since=NOON + timedelta(seconds=1))
    a_rule(boss, name="f", delay_minutes=30, only_unhandled=True)
    for pile in (here, there):
        raised(pile)
        raised(pile, AlarmKind.CLOCK_DRIFT)
    watch.watch_alarms(at=NOON)
    sources = Message.objects.order_by("id").values_list("source", "subject")
    assert list(sources) == [
        ("alarms: a", f"【重要】充电桩故障 · {station.name}"),
        ("alarms: b", "【一般】2 条告警"),
    ]
    Message.objects.all().delete()
    # After half an hour those that nobody has looked at go to somebody else.
    services.acknowledge(alarms=Alarm.objects.filter(kind="clock_drift"), actor=factories.SYSTEM)
    assert told(NOON + timedelta(minutes=29)) == []
    assert told(NOON + timedelta(minutes=30)) == [("mail", "boss@alpha.test", "【重要】2 条告警")]
    AlarmRule.objects.create(kind="pile_fault", is_active=False)
    watch.sort_anew(kind="pile_fault")
    a_rule(boss, name="g")
    told()
    assert AlarmNotice.objects.filter(rule__name="g").count() == 2  # what is muted is told by nobody


def test_short_troubles_and_quiet_hours_are_waited_for(tenant: Any) -> None:
    pile = factories.a_pile()
    a_rule(a_user(email="boss@alpha.test"))
    alarm = raised(pile, AlarmKind.PILE_OFFLINE)
    assert told(NOON + timedelta(minutes=2)) == []
    piles.close_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code=pile.pile_code)
    assert told(NOON + timedelta(minutes=5)) == []  # it came back
    alarm = raised(pile, AlarmKind.PILE_OFFLINE)
    assert len(told(NOON + timedelta(minutes=3))) == 1

    NotificationRule.objects.update(quiet_from=time(22), quiet_until=time(7))
    night = NOON + timedelta(hours=11)
    raised(pile, at=night)
    raised(pile, AlarmKind.UNBILLED_ENERGY, at=night)
    assert told(night) == [("mail", "boss@alpha.test", f"【紧急】无订单用电 · {pile.station.name}")]
    assert told(night + timedelta(hours=7)) == []
    assert told(night + timedelta(hours=8)) == [
        ("mail", "boss@alpha.test", f"【重要】充电桩故障 · {pile.station.name}")
    ]
    NotificationRule.objects.update(urgent_always=False)
    AlarmRule.objects.create(kind="battery", level="urgent", quiet_from=time(11), quiet_until=time(13))
    tomorrow = NOON + timedelta(days=1)
    raised(pile, AlarmKind.BATTERY, at=tomorrow)
    raised(pile, AlarmKind.CHARGING_AFTER_FAILURE, at=tomorrow)
    assert len(told(tomorrow)) == 1
    assert AlarmNotice.objects.filter(alarm__kind="battery").count() == 0
    assert len(told(tomorrow + timedelta(hours=1))) == 1
    assert alarm.notices.count() == 1


def test_limits_and_ends(tenant: Any) -> None:
    boss = a_user(email="boss@alpha.test")
    a_rule(boss, limit_per_hour=2, tells_end=True)
    piles_of = [factories.a_pile() for _number in range(4)]
    for pile in piles_of:
        raised(pile)
        told()
    states = Message.objects.order_by("id").values_list("state", flat=True)
    assert [state == "limited" for state in states] == [False, False, True, True]
    NotificationRule.objects.update(limit_per_hour=0)
    piles.close_alarm(kind=AlarmKind.PILE_FAULT, pile_code=piles_of[0].pile_code)
    Alarm.objects.filter(closed_at__isnull=False).update(closed_at=NOON)
    assert told(NOON) == [("mail", "boss@alpha.test", f"【已结束】充电桩故障 · {piles_of[0].station.name}")]
    assert told(NOON) == []


def test_a_test_message_reaches_everybody_of_a_rule(tenant: Any) -> None:
    robot = Robot.objects.create(name="群", kind="wecom", url="https://qyapi.weixin.qq.com/x")
    rule = a_rule(a_user(email="a@alpha.test", phone="13800000001"), a_user(), robots=[robot], by_sms=True)
    assert telling.send_test(rule) == 3
    assert set(Message.objects.values_list("medium", "source")) == {
        (medium, "test: 夜班") for medium in ("mail", "sms", "robot")
    }


def test_two_workers_tell_once(committed: Any) -> None:
    a_rule(a_user(email="boss@alpha.test"), active_since=now() - timedelta(hours=1))
    for _number in range(20):
        piles.raise_alarm(kind=AlarmKind.PILE_FAULT, pile_code=factories.a_pile().pile_code)
    ready = threading.Barrier(4)

    def work(_number: int) -> None:
        try:
            with schema_context("t_alpha"):
                ready.wait(10)
                watch.watch_alarms()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert Message.objects.count() == 1
    assert AlarmNotice.objects.count() == 20
