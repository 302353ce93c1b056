"""How alarms are sorted, found by the clock, and what staff do with them."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from apps.accounts.enums import Scope
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, now
from apps.orders import start_failures
from apps.orders.models import Order
from apps.piles import services as piles
from apps.piles.alarms import services, watch, words
from apps.piles.alarms.rules import Rules, is_quiet
from apps.piles.enums import AlarmKind, AlarmState
from apps.piles.errors import AlarmClosed, NotOfThisStation
from apps.piles.models import Alarm, AlarmEvent, AlarmRule, ConnectorStatus, Pile
from apps.sites.services import give_stations
from tests import factories
from tests.staff import a_user

ME = Actor("staff", "7", "李四")


def a_rule(*stations: Any, **words_of: Any) -> AlarmRule:
    rule = AlarmRule.objects.create(**words_of)
    rule.stations.set(stations)
    return rule


def raised(pile: Pile, kind: AlarmKind = AlarmKind.PILE_FAULT, **words_of: Any) -> Alarm:
    piles.raise_alarm(kind=kind, pile_code=pile.pile_code, **words_of)
    return Alarm.objects.get(kind=kind, pile_code=pile.pile_code, closed_at=None)


def levels() -> dict[str, tuple[str, bool]]:
    watch.watch_alarms()
    rows = Alarm.objects.filter(closed_at=None)
    return {row.kind + row.pile_code[-2:]: (row.level, row.is_muted) for row in rows}


@pytest.mark.parametrize(
    ("clock", "quiet"),
    [("21:59", False), ("22:00", True), ("23:59", True), ("00:00", True), ("06:59", True), ("07:00", False)],
)
def test_quiet_hours_pass_midnight(clock: str, quiet: bool) -> None:
    at = datetime.combine(now().date(), time.fromisoformat(clock), SHANGHAI)
    assert is_quiet(time(22), time(7), at) is quiet
    assert is_quiet(time(7), time(22), at) is not quiet
    assert not is_quiet(None, None, at)


def test_the_rule_of_the_station_counts_before_that_of_all(tenant: Any) -> None:
    """Levels, what is muted, and fault bits; what rules change is sorted anew."""
    station = factories.a_station()
    here = factories.a_pile(station=station, pile_code="32010600000011")
    there = factories.a_pile(pile_code="32010600000012")
    for pile in (here, there):
        raised(pile, detail={"fault_bits": "0x1001"})
        raised(pile, AlarmKind.UNBILLED_ENERGY)
        raised(pile, AlarmKind.CLOCK_DRIFT)
    assert levels() == {
        **dict.fromkeys(("pile_fault11", "pile_fault12"), ("important", False)),
        **dict.fromkeys(("unbilled_energy11", "unbilled_energy12"), ("urgent", False)),
        **dict.fromkeys(("clock_drift11", "clock_drift12"), ("minor", False)),
    }
    a_rule(kind="pile_fault", level="minor", urgent_bits=0x0001)
    a_rule(station, kind="pile_fault", level="important", ignored_bits=0x1001)
    a_rule(kind="pile_fault", level="important")  # the older one counts
    a_rule(station, kind="clock_drift", is_active=False)
    for kind in ("pile_fault", "clock_drift"):
        watch.sort_anew(kind=kind)
    assert levels() == {
        "pile_fault11": ("important", True),
        "pile_fault12": ("urgent", False),
        **dict.fromkeys(("unbilled_energy11", "unbilled_energy12"), ("urgent", False)),
        "clock_drift11": ("important", True),
        "clock_drift12": ("minor", False),
    }
    # Other faults of the same alarm are judged again.
    raised(here, detail={"fault_bits": "0x1003"})
    assert levels()["pile_fault11"] == ("important", False)
    assert (
        words.faults(0x1003) == ["急停按钮动作", "无可用整流模块", "门打开"] or len(words.faults(0x1003)) == 3
    )
    assert words.faults(0xA000) == ["0xA000"]


def test_a_hot_battery_raises_an_alarm_until_it_has_cooled(tenant: Any) -> None:
    station = factories.a_station()
    strict, usual = factories.a_connector(station=station), factories.a_connector()
    a_rule(station, kind="over_temperature", level="urgent", threshold=45)

    def degrees(of_strict: int, of_usual: int, state: str = "charging") -> set[str]:
        for gun, value in ((strict, of_strict), (usual, of_usual)):
            ConnectorStatus.objects.filter(connector=gun).update(state=state, battery_temp_c=value)
        watch.watch_alarms()
        rows = Alarm.objects.filter(kind=AlarmKind.OVER_TEMPERATURE, closed_at=None)
        return set(rows.values_list("pile_code", flat=True))

    mine, other = strict.pile.pile_code, usual.pile.pile_code
    assert degrees(44, 59) == set()
    assert degrees(45, 59) == {mine}
    assert degrees(43, 60) == {mine, other}  # it cools, and is not cool yet
    assert degrees(42, 61) == {mine, other}
    assert degrees(41, 58) == {other}
    alarm = Alarm.objects.get(kind=AlarmKind.OVER_TEMPERATURE, pile_code=other)
    assert (alarm.detail, alarm.count) == ({"degrees": 60, "threshold": 60}, 1)
    assert degrees(80, 80, state="idle") == set()


def test_a_gun_that_says_nothing_while_its_pile_is_online_raises_an_alarm(tenant: Any) -> None:
    pile = factories.a_pile(guns=2)
    quiet, _loud = pile.connectors.order_by("code")
    at = now()

    def silent(minutes: int, *, login: int = 600) -> set[str]:
        Pile.objects.filter(pk=pile.pk).update(last_login_at=at - timedelta(minutes=login))
        ConnectorStatus.objects.filter(connector=quiet).update(reported_at=at - timedelta(minutes=minutes))
        watch.watch_alarms(at=at)
        rows = Alarm.objects.filter(kind=AlarmKind.SILENT_GUN, closed_at=None)
        return set(rows.values_list("connector_no", flat=True))

    assert silent(14) == set()
    assert silent(16) == {"01"}
    assert silent(17) == {"01"}
    assert Alarm.objects.get(kind=AlarmKind.SILENT_GUN).count == 1
    assert silent(1) == set()
    assert silent(16, login=10) == set()  # it has just come back
    a_rule(pile.station, kind="silent_gun", threshold=60)
    assert silent(59) == set()
    assert silent(61) == {"01"}
    ConnectorStatus.objects.filter(connector=quiet).update(reported_at=None)
    assert silent(61) == {"01"}
    Pile.objects.filter(pk=pile.pk).update(is_online=False)  # that has an alarm of its own
    assert silent(61) == set()


def test_clocks_follow_the_threshold_of_their_station(tenant: Any) -> None:
    strict, usual = factories.a_pile(), factories.a_pile()
    a_rule(strict.station, kind="clock_drift", threshold=30)

    def drifting(seconds: str) -> set[str]:
        moment = now()
        piles.clocks_reported([(one.pile_code, Decimal(seconds), moment) for one in (strict, usual)])
        rows = Alarm.objects.filter(kind=AlarmKind.CLOCK_DRIFT, closed_at=None)
        return set(rows.values_list("pile_code", flat=True))

    assert drifting("30.0") == set()
    assert drifting("-31.0") == {strict.pile_code}
    assert drifting("181.0") == {strict.pile_code, usual.pile_code}
    assert drifting("60.0") == {strict.pile_code}
    assert drifting("2.0") == set()


def test_starts_that_fail_one_after_another_raise_an_alarm(tenant: Any) -> None:
    gun = factories.a_connector()

    def after(*reasons: str) -> list[tuple[str, Any]]:
        """Of starts that failed for these reasons; "ok" is one that charged."""
        for reason in reasons:
            order = factories.a_started_order(connector=gun)
            state = "completed" if reason == "ok" else "failed"
            Order.objects.filter(pk=order.pk).update(
                state=state, fail_reason="" if reason == "ok" else reason
            )
            factories.put_online(gun.pile)
        start_failures.watch_starts()
        rows = Alarm.objects.filter(kind=AlarmKind.START_FAILURES, closed_at=None)
        return list(rows.values_list("connector_no", "detail"))

    assert after("timeout", "device_fault") == []
    assert after("not_plugged", "cancelled", "undelivered") == []  # not the gun's fault, and no charge either
    assert after("timeout") == [("01", {"failures": 3})]
    assert after("not_plugged") == [("01", {"failures": 3})]
    assert after("ok") == []
    assert after("timeout", "timeout") == []
    a_rule(gun.pile.station, kind="start_failures", threshold=2)
    assert after() == [("01", {"failures": 2})]
    start_failures.watch_starts(at=now() + timedelta(days=3))  # nobody has tried since
    assert not Alarm.objects.filter(kind=AlarmKind.START_FAILURES, closed_at=None).exists()


def test_staff_acknowledge_assign_note_and_close(tenant: Any) -> None:
    pile, other = factories.a_pile(), factories.a_pile()
    alarm, second = raised(pile), raised(other)
    assert alarm.state == AlarmState.OPEN
    assert services.acknowledge(alarms=[second, alarm], actor=ME, note="去看看") == [alarm, second]
    assert services.acknowledge(alarms=[alarm], actor=ME) == []
    alarm.refresh_from_db()
    assert alarm.state == AlarmState.ACKNOWLEDGED

    stranger = a_user(scope=Scope.STATIONS)
    give_stations(user=stranger, stations=[other.station])
    with pytest.raises(NotOfThisStation):
        services.assign(alarm=alarm, person=stranger, actor=ME)
    keeper = a_user(display_name="王五")
    services.assign(alarm=alarm, person=keeper, actor=ME)
    services.add_note(alarm=alarm, actor=ME, note="换了模块")
    alarm.refresh_from_db()
    assert (alarm.state, alarm.assigned_to) == (AlarmState.ASSIGNED, keeper)
    services.close(alarm=alarm, actor=ME, note="好了")
    alarm.refresh_from_db()
    assert (alarm.state, alarm.closed_by) == (AlarmState.CLOSED, "李四")
    for deed in (
        lambda: services.close(alarm=alarm, actor=ME, note="又"),
        lambda: services.assign(alarm=alarm, person=keeper, actor=ME),
    ):
        with pytest.raises(AlarmClosed):
            deed()
    assert list(
        AlarmEvent.objects.filter(alarm=alarm).values_list("deed", "actor_name", "person", "note")
    ) == [
        ("acknowledged", "李四", "", "去看看"),
        ("assigned", "李四", "王五", ""),
        ("noted", "李四", "", "换了模块"),
        ("closed", "李四", "", "好了"),
    ]
    again = raised(pile)  # the cause is still there
    assert (again.pk != alarm.pk, again.state) == (True, AlarmState.OPEN)
    piles.close_alarm(kind=AlarmKind.PILE_FAULT, pile_code=pile.pile_code)
    again.refresh_from_db()
    assert (again.state, again.closed_by) == (AlarmState.CLOSED, "")


def test_rules_of_all_kinds_are_read_in_two_questions(tenant: Any, django_assert_num_queries: Any) -> None:
    for number in range(3):
        a_rule(factories.a_station(), kind="pile_offline", wait_minutes=number)
    with django_assert_num_queries(2):
        rules = Rules.load()
        assert [rules.of("pile_offline", None).wait_minutes, rules.of("pile_fault", 1).wait_minutes] == [3, 0]
