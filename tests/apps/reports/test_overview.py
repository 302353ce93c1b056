"""The overview's figures are the sums of the orders behind them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.backoffice.todo import Place
from apps.common.time import SHANGHAI, now
from apps.franchisees.models import FranchiseeStation
from apps.orders.models import Order
from apps.orders.settling import settle_record
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import ConnectorStatus, Pile
from apps.piles.services import raise_alarm
from apps.reports import dashboard, places, rollups, samples, selectors
from apps.reports.selectors import DAY, Change, Sums
from apps.wallet.models import LedgerCheck
from tests import factories
from tests.factories import put_online
from tests.staff import PLATFORM_HOST, a_user, boss, signed_in

AT = datetime(2026, 3, 10, 15, 0, tzinfo=SHANGHAI)


def settled_at(moment: datetime, energy: str = "10.0000", **fields: Any) -> Order:
    order = factories.a_charging_order(**fields)
    settle_record(record_id=factories.a_record(order, {"flat": energy}).pk)
    Order.objects.filter(pk=order.pk).update(settled_at=moment)
    order.refresh_from_db()
    return order


def test_today_is_a_shanghai_day_until_now_against_yesterday_until_the_same_time(tenant: Any) -> None:
    midnight = AT.replace(hour=0)
    for moment, energy in (
        (AT, "99.0000"),  # not yet
        (AT - timedelta(seconds=1), "10.0000"),
        (midnight, "5.0000"),
        (midnight - timedelta(seconds=1), "40.0000"),  # yesterday, later than this time of day
        (AT - timedelta(days=1, seconds=1), "20.0000"),
        (midnight - timedelta(days=1, seconds=1), "80.0000"),  # the day before
    ):
        settled_at(moment, energy)
    found = selectors.today(at=AT)
    assert found.energy == Change(Decimal("15.0000"), Decimal("20.0000"))
    assert found.income == Change(Decimal("18.00"), Decimal("24.00"))
    assert found.orders == Change(2, 1)
    assert (found.energy.percent, found.orders.percent) == (Decimal("-25.0"), Decimal("100.0"))


def test_orders_that_are_not_completed_do_not_count(tenant: Any) -> None:
    factories.a_charging_order()
    assert selectors.today(at=AT).orders == Change(0, 0)
    assert selectors.today(at=AT).orders.percent is None


def test_each_day_has_its_sums_also_the_empty_ones(tenant: Any) -> None:
    orders = [
        settled_at(AT),
        settled_at(AT - timedelta(days=2), "2.5000"),
        settled_at(AT - timedelta(days=2)),
    ]
    settled_at(AT - timedelta(days=14))
    rows = selectors.by_day(last=AT.date(), days=14)
    assert [day for day, _sums in rows] == [AT.date() - timedelta(days=n) for n in range(13, -1, -1)]
    sums = dict(rows)
    assert sums[AT.date()] == Sums(1, Decimal("10.0000"), Decimal("8.00"), Decimal("4.00"))
    assert sums[AT.date() - timedelta(days=2)] == Sums(
        2, Decimal("12.5000"), Decimal("10.00"), Decimal("5.00")
    )
    assert sum(row == Sums() for _day, row in rows) == 12
    assert sum(row.income for _day, row in rows) == sum(order.payable for order in orders)


def test_the_last_second_of_a_day_is_that_day(tenant: Any) -> None:
    settled_at(datetime(2026, 3, 9, 23, 59, 59, tzinfo=SHANGHAI))
    settled_at(datetime(2026, 3, 10, 0, 0, 0, tzinfo=SHANGHAI))
    rows = selectors.by_day(last=AT.date(), days=2)
    assert [row.orders for _day, row in rows] == [1, 1]


def test_guns_by_state_are_those_of_piles_in_service(tenant: Any) -> None:
    pile = factories.a_pile(guns=3)
    first = pile.connectors.get(connector_no="01")
    ConnectorStatus.objects.filter(connector=first).update(
        state=ConnectorState.FAULT, voltage_v=500, current_a=100
    )
    gone = factories.a_pile()
    gone.state = PileState.DISABLED
    gone.save()
    assert {state.value: count for state, count in selectors.gun_states().items() if count} == {
        "fault": 1,
        "idle": 2,
    }
    assert places.guns_by_station() == {
        pile.station_id: {ConnectorState.FAULT: 1, ConnectorState.IDLE: 2},
    }
    assert selectors.gun_states(place=Place(frozenset({gone.station_id})))[ConnectorState.IDLE] == 0
    assert selectors.power_now() == 0
    ConnectorStatus.objects.filter(connector=first).update(state=ConnectorState.CHARGING)
    assert selectors.power_now(place=Place(frozenset({pile.station_id}))) == Decimal(50)


def waiting(client: Any, address: str = "/admin/") -> dict[str, int]:
    return {one.label: one.count for one in client.get(address).context_data["todo"]}


def test_what_waits_is_counted_where_one_looks(tenant: Any) -> None:
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "1.0000"}, transaction_no="8" * 32)
    settle_record(record_id=record.pk)  # no such order: quarantine and an alarm
    raise_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code="1" * 14)
    pile = order.connector.pile
    put_online(pile, ConnectorState.FAULT)
    client = boss()
    found = waiting(client)
    assert {label: count for label, count in found.items() if count} == {
        "故障枪": 1,
        "未关闭告警": 2,
        "隔离记录": 1,
    }
    assert len(found) >= 11
    other = factories.a_pile(station=pile.station)
    for at, wanted in {
        f"station:{pile.station_id}": {"故障枪": 1, "未关闭告警": 1, "隔离记录": 1},
        f"pile:{pile.pk}": {"故障枪": 1, "未关闭告警": 1, "隔离记录": 1},
        f"gun:{order.connector_id}": {"故障枪": 1, "未关闭告警": 1, "隔离记录": 1},
        f"pile:{other.pk}": {},
        f"station:{factories.a_station().pk}": {},
    }.items():
        assert {label: n for label, n in waiting(client, f"/admin/?at={at}").items() if n} == wanted, at
    todo = client.get(f"/admin/?at=station:{pile.station_id}").context_data["todo"]
    fault = next(one for one in todo if one.label == "故障枪")
    assert fault.link.endswith(f"?status__state__exact=fault&pile__station__id__exact={pile.station_id}")
    assert client.get(fault.link).context_data["cl"].result_count == 1
    assert {one.label for one in todo if not one.is_placed} == {
        "待审核钱包退款",
        "待人工转账退款",
        "渠道差异",
        "账务差异",
        "待我复核",
        "待审核发票",
        "待开具发票",
        "待红冲发票",
    }


def test_every_entry_of_what_waits_leads_to_a_list(tenant: Any) -> None:
    factories.a_pile(station=factories.a_station(city="甲市"))
    factories.a_pile(station=factories.a_station(city="甲市"))
    client = boss()
    for address in ("/admin/?at=", "/admin/?at=region:|甲市"):
        context = client.get(address).context_data
        links = [one.link for one in context["todo"]] + [one["link"] for one in context["gun_states"]]
        assert {link: client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_the_newest_check_of_the_ledger_is_the_alarm(tenant: Any) -> None:
    client = boss()
    for differences in (0, 3):
        LedgerCheck.objects.create(started_at=now(), finished_at=now(), differences=differences, asked_by="x")
        assert waiting(client)["账务差异"] == differences
    assert "账务差异" not in waiting(signed_in(a_user("orders.view_order")))


def test_what_waits_stands_before_what_does_not(tenant: Any) -> None:
    raise_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code="1" * 14)
    todo = boss().get("/admin/").context_data["todo"]
    assert (todo[0].label, todo[0].count) == ("未关闭告警", 1)
    assert {item.count for item in todo[1:]} == {0}


def test_stations_come_by_income(tenant: Any) -> None:
    poor, rich, idle = factories.a_station(), factories.a_station(), factories.a_station()
    settled_at(AT - timedelta(hours=1), "1.0000", connector=factories.a_connector(station=poor))
    settled_at(AT - timedelta(hours=1), "9.0000", connector=factories.a_connector(station=rich))
    lines = selectors.station_lines(
        [poor, rich, idle], places.guns_by_station(), selectors.by_station(at=AT), limit=2
    )
    assert [line.station for line in lines] == [rich, poor]
    assert [line.sums.income for line in lines] == [Decimal("10.80"), Decimal("1.20")]
    assert [(line.guns, line.charging, line.faults) for line in lines] == [(1, 1, 0), (1, 1, 0)]


def test_starts_that_succeeded_are_a_share_of_those_that_were_decided(tenant: Any) -> None:
    def started(state: str, at: datetime, reason: str = "") -> None:
        order = factories.a_charging_order()
        Order.objects.filter(pk=order.pk).update(state=state, created_at=at, fail_reason=reason)

    hour = timedelta(hours=1)
    for state, reason in (
        ("charging", ""),
        ("completed", ""),
        ("failed", "start_refused"),
        ("failed", "cancelled"),  # the driver thought better of it
        ("starting", ""),  # nobody knows yet
    ):
        started(state, AT - hour, reason)
    started("completed", AT - hour, "no_answer")  # a late record paid for a start that had failed
    started("charging", AT + hour)
    started("charging", AT - timedelta(days=1, hours=1))
    found = selectors.start_rate(at=AT)
    assert (found.today, found.before, found.points) == (Decimal(50), Decimal(100), Decimal("-50.0"))
    assert selectors.start_rate(at=AT, place=Place(frozenset({0}))) == Change(None, None)
    assert selectors.start_rate(at=AT, place=Place(frozenset({0}))).points is None


def test_charges_fall_into_the_hour_in_which_they_began(tenant: Any) -> None:
    first = settled_at(AT)
    second = settled_at(AT, "4.0000")
    begun = {first: AT.replace(hour=0, minute=59), second: AT.replace(hour=23) - timedelta(days=1)}
    for order, moment in begun.items():
        Order.objects.filter(pk=order.pk).update(charging_at=moment)
    rows = selectors.by_hour(first=AT.date(), last=AT.date())
    assert {hour: (one.orders, one.energy_kwh) for hour, one in enumerate(rows) if one.orders} == {
        0: (1, Decimal("10.0000")),
        23: (1, Decimal("4.0000")),
    }
    assert selectors.by_hour(first=AT.date() + DAY, last=AT.date() + DAY) == [Sums()] * 24


def test_days_that_are_over_are_read_from_the_rollups(tenant: Any, time_machine: Any) -> None:
    """The same figures, whichever days were summed up."""
    order = settled_at(AT - 2 * DAY)
    pile = order.connector.pile
    settled_at(AT - 3 * DAY, "3.0000", connector=factories.a_connector(station=pile.station))
    settled_at(AT, "5.0000")
    Order.objects.update(charging_at=AT - 2 * DAY)
    here = [Place(), Place(frozenset({pile.station_id}))]
    here += [Place(here[1].stations, pile.pk), Place(here[1].stations, pile.pk, gun=order.connector_id)]
    time_machine.move_to(AT, tick=False)

    def shown() -> list[Any]:
        hours = [selectors.by_hour(first=AT.date() - 6 * DAY, last=AT.date(), place=place) for place in here]
        return [selectors.by_day(last=AT.date(), days=7, place=place) for place in here] + hours

    before = shown()
    assert [[str(sums.energy_kwh) for _day, sums in rows[3:]] for rows in before[:4]] == [
        ["3.0000", "10.0000", "0.0000", "5.0000"],
        ["3.0000", "10.0000", "0.0000", "0.0000"],
        ["0.0000", "10.0000", "0.0000", "0.0000"],
        ["0.0000", "10.0000", "0.0000", "0.0000"],
    ]
    for day in (AT.date() - 2 * DAY, AT.date() - 3 * DAY, AT.date()):
        rollups.roll_day(day, at=AT)
        assert shown() == before
    late = settled_at(AT, "1.0000")  # today was summed up before
    assert selectors.by_day(last=AT.date(), days=1)[0][1].energy_kwh == Decimal("6.0000")
    Order.objects.filter(pk=late.pk).update(settled_at=AT - 2 * DAY)
    assert selectors.by_day(last=AT.date(), days=7)[4][1].energy_kwh == Decimal(
        "10.0000"
    )  # as it was summed up


@pytest.mark.parametrize("rolled", [False, True])
def test_a_franchisee_reads_nothing_of_the_days_before_a_station_was_its_own(
    tenant: Any, time_machine: Any, rolled: bool
) -> None:
    order = settled_at(AT - timedelta(hours=1))
    for days in (1, 2, 9):
        connector = factories.a_connector(station=order.connector.pile.station)
        settled_at(AT - days * DAY - timedelta(hours=1), connector=connector)
    Order.objects.update(created_at=F("settled_at"), charging_at=F("settled_at"))
    time_machine.move_to(AT, tick=False)
    if rolled:
        for days in (0, 1, 2, 9):
            rollups.roll_day(AT.date() - days * DAY, at=AT)
    station = order.connector.pile.station
    client = signed_in(factories.a_franchisees_account(factories.a_franchisee(station, since=1)))

    def days_of(context: Any) -> list[int]:
        return [row["sums"].orders for row in context["days"]["rows"]]

    ours, theirs = (one.get("/admin/").context_data for one in (boss(), client))
    assert days_of(ours) == [1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert days_of(theirs) == [1, 1, *[0] * 12]
    assert [row["before"] for row in theirs["spans"][0]["rows"]] == ["0.0", "0.00", "0"]
    assert [row["before"] for row in ours["spans"][0]["rows"]] == ["10.0", "12.00", "1"]
    assert sum(Decimal(row["orders"]) for row in theirs["hours"]["rows"]) == Decimal("0.1")
    figures = {tile["title"]: (tile["value"], tile["change"]) for tile in theirs["figures"]}
    assert figures["今日订单"] == ("1", "+0.0%")  # yesterday is its own
    wall = client.get("/admin/display/data/").json()
    assert wall["days"]["series"]["energy"][-3:] == ["0.0000", "10.0000", "10.0000"]


def test_spans_are_full_days_against_as_many_before() -> None:
    last = AT.date()
    days = {last - n * DAY: Sums(1, Decimal(n), Decimal(2), Decimal(1)) for n in range(60)}
    week, month = selectors.spans(days, last=last)
    assert (week.days, week.now.energy_kwh, week.before.energy_kwh) == (7, Decimal(21), Decimal(70))
    assert (month.days, month.now.orders, month.before.orders) == (30, 30, 30)
    assert month.now.income == Decimal(90)
    assert selectors.spans({}, last=last)[0].now == Sums()


def test_guns_online_are_compared_with_a_day_ago(tenant: Any) -> None:
    here, there = factories.a_pile(guns=2), factories.a_pile(guns=2)
    put_online(here, ConnectorState.OFFLINE)
    samples.sample_online(at=AT - DAY)
    for moment, stations, wanted in (
        (AT, None, (2, 4)),
        (AT + timedelta(minutes=9), [here.station_id], (0, 2)),
        (AT, [there.station_id], (2, 2)),
        (AT + timedelta(minutes=10), None, None),  # nothing was noted then
        (AT, [0], None),
    ):
        assert samples.online_a_day_ago(moment, stations) == wanted
    place = Place(frozenset({here.station_id, there.station_id}))
    tile = dashboard.guns(AT, place, {ConnectorState.IDLE: 4}, is_everywhere=True)["online"]
    assert (tile["value"], tile["change"], tile["note"]) == ("100.0", "+50.0 个百分点", "4 把枪中 4 把在线")


@pytest.mark.parametrize("rolled", [False, True])
def test_a_franchisee_is_told_nothing_of_the_days_before_a_station_was_its_own(
    tenant: Any, time_machine: Any, rolled: bool
) -> None:
    mine, other = factories.a_station(), factories.a_station()
    gun = factories.a_connector(station=mine)
    for days, energy in ((0, "1.0000"), (1, "2.0000"), (2, "4.0000"), (3, "8.0000"), (9, "16.0000")):
        put_online(gun.pile)
        settled_at(AT - days * DAY - timedelta(hours=1), energy, connector=gun)
    put_online(gun.pile)
    moved = factories.a_connector(station=other)
    settled_at(AT - DAY, "32.0000", connector=moved)
    put_online(moved.pile)
    Order.objects.update(charging_at=AT - 2 * DAY, created_at=F("settled_at"))
    Pile.objects.filter(pk=moved.pile_id).update(station=mine)
    time_machine.move_to(AT, tick=False)
    if rolled:
        for days in (1, 2, 3, 9):
            rollups.roll_day(AT.date() - days * DAY, at=AT)

    def told(since: int, key: str = "") -> dict[str, Any]:
        user = factories.a_franchisees_account(factories.a_franchisee(mine, since=since))
        client = signed_in(User.objects.get(pk=user.pk))
        context = client.get("/admin/", {"at": key}).context_data
        FranchiseeStation.objects.all().delete()
        return {
            "days": [
                str(row["sums"].energy_kwh) for row in context["days"]["rows"] if row["sums"].energy_kwh
            ],
            "weeks": [(row["value"], row["before"]) for row in [context["spans"][0]["rows"][0]]],
            "hours": sum(Decimal(row["energy"]) for row in context["hours"]["rows"]),
            "yesterday": [figure["change"] for figure in context["figures"][:1]],
        }

    for key in ("", f"station:{mine.pk}", f"pile:{gun.pile_id}", f"gun:{gun.pk}"):
        assert told(2, key)["days"] == ["1.0000", "2.0000", "4.0000"], key
        assert told(0, key)["days"] == ["1.0000"], key
    whole = told(30)
    assert whole["days"] == ["1.0000", "2.0000", "4.0000", "8.0000", "16.0000"]
    assert (whole["weeks"], whole["yesterday"]) == ([("14.0", "16.0")], ["-50.0%"])
    some = told(2)
    assert (some["weeks"], some["yesterday"]) == ([("6.0", "0.0")], ["-50.0%"])
    assert some["hours"] < whole["hours"]
    assert (told(0)["weeks"], told(0)["yesterday"]) == ([("0.0", "0.0")], [""])
    assert told(30, f"pile:{moved.pile_id}")["days"] == [], "it stood elsewhere"


# --- The tree ---


def test_a_place_is_remembered_and_everything_follows_it(tenant: Any, time_machine: Any) -> None:
    station = factories.a_station(province="浙江省", city="杭州市", district="滨江区")
    pile = factories.a_pile(station=station, guns=2)
    gun, second = pile.connectors.order_by("code")
    other = factories.a_connector(station=factories.a_station(province="上海市", city="上海市"))
    for connector, energy in ((gun, "1.0000"), (second, "2.0000"), (other, "4.0000")):
        settled_at(AT - timedelta(hours=1), energy, connector=connector)
    client = boss()
    time_machine.move_to(AT, tick=False)

    def energy(address: str) -> str:
        return client.get(address).context_data["figures"][0]["value"]

    for at, wanted in {
        "": "7.0",
        "region:浙江省": "3.0",
        "region:浙江省|杭州市|滨江区": "3.0",
        "region:上海市": "4.0",
        f"station:{station.pk}": "3.0",
        f"pile:{pile.pk}": "3.0",
        f"gun:{second.pk}": "2.0",
    }.items():
        assert energy(f"/admin/?at={at}") == wanted, at
        context = client.get("/admin/").context_data
        assert (context["chosen"].key, context["figures"][0]["value"]) == (at, wanted)
        assert str(context["days"]["rows"][0]["sums"].energy_kwh) == f"{wanted}000"
    assert energy("/admin/?part=now&at=") == "7.0"  # a page that renews itself chooses nothing
    assert energy("/admin/") == "2.0"
    Pile.objects.filter(pk=pile.pk).update(state=PileState.RETIRED)
    assert energy("/admin/") == "7.0"


@pytest.mark.parametrize(
    "at",
    ["station:0", "pile:x", "gun:9999999999999999999999", "region:月球", "region:a|b|c|d", "moon:1", "1"],
)
def test_a_place_that_is_not_there_is_not_found(tenant: Any, at: str) -> None:
    client = boss()
    assert client.get("/admin/", {"at": at}).status_code == 404
    assert client.get("/admin/display/", {"at": at}).status_code == 404
    assert client.get("/admin/overview/tree/", {"at": at, "q": "1"}).status_code == 200


def test_the_tree_has_regions_stations_piles_and_guns(tenant: Any, django_assert_num_queries: Any) -> None:
    factories.a_station(name="无地区站")
    deep = factories.a_station(name="江南站", province="浙江省", city="杭州市", district="滨江区")
    flat = factories.a_station(name="外滩站", province="上海市", city="上海市", district="黄浦区")
    pile = factories.a_pile(station=deep, guns=2)
    put_online(factories.a_pile(station=deep), ConnectorState.FAULT)
    factories.a_pile(station=flat, online=False)
    client = boss()
    nodes = client.get(f"/admin/?at=pile:{pile.pk}").context_data["tree"]

    def shape(node: Any) -> Any:
        return (node.title, node.guns, node.tone, [shape(child) for child in node.children])

    assert [shape(node) for node in nodes] == [
        ("未填地区", 0, "neutral", [("无地区站", 0, "neutral", [])]),
        ("上海市", 1, "neutral", [("黄浦区", 1, "neutral", [("外滩站", 1, "neutral", [])])]),
        (
            "浙江省",
            3,
            "danger",
            [("杭州市", 3, "danger", [("滨江区", 3, "danger", [("江南站", 3, "danger", [])])])],
        ),
    ]
    page = client.get("/admin/").content.decode()
    assert f'href="?at=pile:{pile.pk}" aria-current="true"' in page
    branch = f"/admin/overview/tree/?station={deep.pk}"
    client.get(branch)
    with CaptureQueriesContext(connection) as few:
        answer = client.get(branch)
    assert answer.content.decode().count("?at=gun:") == 3
    factories.a_pile(station=deep, guns=3)
    with django_assert_num_queries(len(few)):
        assert client.get(branch).content.decode().count("?at=gun:") == 6


def test_the_tree_is_searched(tenant: Any) -> None:
    station = factories.a_station(name="江南大道站", city="杭州市")
    pile = factories.a_pile(station=station, pile_code="33010800000001", guns=2)
    factories.a_pile(pile_code="44010800000001")
    client = boss()

    def found(words: str) -> str:
        return client.get("/admin/overview/tree/", {"q": words}).content.decode()

    for words in ("江南", "杭州", "330108", "33010800000001", "3301080000000102"):
        assert f"?at=station:{station.pk}" in found(words), words
        assert "440108" not in found(words)
    assert f"?at=gun:{pile.connectors.get(connector_no='02').pk}" in found("3301080000000102")
    assert "未找到" in found("火星")
    assert "<script>" not in found("<script>alert(1)</script>")
    assert "未找到" in found("火\0星")
    for _ in range(31):
        factories.a_station(name="连锁站")
    assert "仅显示前 30 条" in found("连锁")


def test_the_tree_is_for_who_may_see_stations(tenant: Any) -> None:
    pile = factories.a_pile()
    stranger, clerk = signed_in(a_user("orders.view_order")), signed_in(a_user("sites.view_station"))
    assert "tree" not in stranger.get(f"/admin/?at=pile:{pile.pk}").context_data
    assert stranger.get("/admin/overview/tree/?q=1").status_code == 403
    assert clerk.get("/admin/").context_data["tree"][0].guns == 0  # states are for who sees guns
    assert clerk.get(f"/admin/overview/tree/?station={pile.station_id}").status_code == 403
    assert pile.pile_code not in clerk.get(f"/admin/overview/tree/?q={pile.pile_code}").content.decode()


# --- The wall display ---


def test_the_wall_display_shows_the_same_figures_without_controls(tenant: Any, time_machine: Any) -> None:
    order = settled_at(AT - timedelta(hours=1))
    other = settled_at(AT - timedelta(hours=1), "4.0000")
    raise_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code=order.connector.pile.pile_code)
    client = boss()
    time_machine.move_to(AT, tick=False)
    page = client.get("/admin/display/").content.decode()
    assert "数据大屏" in page
    assert not re.search(r"<(a|button|input|form)[ >]", page)
    data = client.get("/admin/display/data/").json()
    assert data["at"] == "2026-03-10 15:00:00"
    assert {tile["title"]: tile["value"] for tile in data["tiles"]} == {
        "今日电量": "14.0",
        "今日营收": "16.80",
        "今日订单": "2",
        "启动成功率": "–",  # they were made by another clock
        "枪在线率": "100.0",
    }
    assert [one["energy"] for one in data["stations"]] == ["10.0", "4.0"]
    assert [one["kind"] for one in data["alarms"]] == ["充电桩离线"]
    assert data["days"]["series"]["energy"][-1] == "14.0000"
    there = client.get(f"/admin/display/data/?at=station:{other.station_id}").json()
    assert (there["place"], there["tiles"][0]["value"], there["alarms"]) == (other.station.name, "4.0", [])
    assert order.customer.nickname not in page
    for permissions, status in (((), 403), (("orders.view_order",), 200)):
        assert signed_in(a_user(*permissions)).get("/admin/display/data/").status_code == status
    plain = signed_in(a_user("orders.view_order")).get("/admin/display/data/").json()
    assert {"guns", "power", "alarms"} & set(plain) == set()


def test_the_overview_asks_as_often_for_many_as_for_one(tenant: Any, django_assert_num_queries: Any) -> None:
    client = boss()
    settled_at(now())
    for address in ("/admin/", "/admin/?part=now&at=", "/admin/display/data/"):
        client.get(address)
        cache.clear()
        with CaptureQueriesContext(connection) as one:
            client.get(address)
        for _ in range(2):
            settled_at(now())
        cache.clear()
        with django_assert_num_queries(len(one)):
            assert client.get(address).status_code == 200


def test_the_page_shows_the_figures_and_the_same_in_its_chart(tenant: Any, time_machine: Any) -> None:
    settled_at(AT - timedelta(hours=1))
    client = boss()
    time_machine.move_to(AT, tick=False)
    answer = client.get("/admin/")
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "工作台" in html
    tiles = {tile["title"]: tile["value"] for tile in answer.context_data["figures"]}
    assert tiles == {"今日电量": "10.0", "今日营收": "12.00", "今日订单": "1", "启动成功率": "–"}
    chart = answer.context_data["days"]["chart"]
    assert chart["labels"][-1] == "03-10"
    assert {name: values[-1] for name, values in chart["series"].items()} == {
        "electricity": "8.00",
        "service": "4.00",
        "energy": "10.0000",
    }
    table = [row["sums"] for row in answer.context_data["days"]["rows"]]
    assert [str(row.energy_kwh) for row in reversed(table)] == chart["series"]["energy"]


@pytest.mark.parametrize(
    ("permissions", "shown"),
    [
        ((), set()),
        (("orders.view_order",), {"figures", "days", "hours", "spans", "stations"}),
        (("piles.view_connector",), {"online", "gun_states"}),
        (("sites.view_station",), {"tree", "tree_states"}),
    ],
)
def test_each_sees_only_their_part(tenant: Any, permissions: tuple[str, ...], shown: set[str]) -> None:
    factories.a_pile()
    context = signed_in(a_user(*permissions)).get("/admin/").context_data
    names = ("figures", "days", "hours", "spans", "stations", "online", "gun_states", "tree", "tree_states")
    assert {name for name in names if context.get(name)} == shown


def test_the_platform_sees_tenants_only(tenant: Any) -> None:
    connection.set_schema_to_public()
    context = signed_in(a_user(superuser=True), PLATFORM_HOST).get("/admin/").context_data
    assert [row["tenant"].code for row in context["tenants"]] == ["alpha", "beta"]
    assert "figures" not in context
