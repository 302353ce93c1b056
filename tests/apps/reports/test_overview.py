"""The overview's figures are the sums of the orders behind them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.common.time import SHANGHAI, now
from apps.orders.models import Order
from apps.orders.settling import settle_record
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import ConnectorStatus
from apps.piles.services import raise_alarm
from apps.reports import selectors
from apps.reports.selectors import Change, Sums
from apps.wallet.models import LedgerCheck
from tests import factories
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
    none = Sums(0, Decimal("0.0000"), Decimal("0.00"), Decimal("0.00"))
    assert sums[AT.date()] == Sums(1, Decimal("10.0000"), Decimal("8.00"), Decimal("4.00"))
    assert sums[AT.date() - timedelta(days=2)] == Sums(
        2, Decimal("12.5000"), Decimal("10.00"), Decimal("5.00")
    )
    assert sum(row == none for _day, row in rows) == 12
    assert sum(row.income for _day, row in rows) == sum(order.payable for order in orders)


def test_the_last_second_of_a_day_is_that_day(tenant: Any) -> None:
    settled_at(datetime(2026, 3, 9, 23, 59, 59, tzinfo=SHANGHAI))
    settled_at(datetime(2026, 3, 10, 0, 0, 0, tzinfo=SHANGHAI))
    rows = selectors.by_day(last=AT.date(), days=2)
    assert [row.orders for _day, row in rows] == [1, 1]


def test_guns_by_state_are_those_of_piles_in_service(tenant: Any) -> None:
    pile = factories.a_pile(guns=3)
    first = pile.connectors.get(connector_no="01")
    ConnectorStatus.objects.filter(connector=first).update(state=ConnectorState.FAULT)
    gone = factories.a_pile()
    gone.state = PileState.DISABLED
    gone.save()
    states = selectors.gun_states()
    assert {state.value: count for state, count in states.items() if count} == {"fault": 1, "idle": 2}
    assert selectors.gun_states(station_ids=[gone.station_id])[ConnectorState.IDLE] == 0


def test_what_waits_is_counted(tenant: Any) -> None:
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "1.0000"}, transaction_no="8" * 32)
    settle_record(record_id=record.pk)  # no such order: quarantine and an alarm
    raise_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code="1" * 14)
    assert selectors.todo() == selectors.Todo(
        faults=0,
        abnormal=0,
        quarantined=1,
        channel_differences=0,
        energy_differences=0,
        alarms=2,
        ledger_differences=0,
        order_refunds=0,
        wallet_refunds=0,
        transfers=0,
    )


def test_the_newest_check_of_the_ledger_is_the_alarm(tenant: Any) -> None:
    for differences in (0, 3):
        LedgerCheck.objects.create(started_at=now(), finished_at=now(), differences=differences, asked_by="x")
        assert selectors.todo().ledger_differences == differences
    assert "账务差异" in boss().get("/admin/").content.decode()
    only_orders = signed_in(a_user("orders.view_order")).get("/admin/").content.decode()
    assert "账务差异" not in only_orders


def test_what_waits_stands_before_what_does_not(tenant: Any) -> None:
    raise_alarm(kind=AlarmKind.PILE_OFFLINE, pile_code="1" * 14)
    todo = boss().get("/admin/").context_data["todo"]
    assert (todo[0]["label"], todo[0]["count"]) == ("未关闭告警", 1)
    assert {item["count"] for item in todo[1:]} == {0}


def test_stations_come_by_income(tenant: Any) -> None:
    poor, rich = factories.a_station(), factories.a_station()
    settled_at(AT - timedelta(hours=1), "1.0000", connector=factories.a_connector(station=poor))
    settled_at(AT - timedelta(hours=1), "9.0000", connector=factories.a_connector(station=rich))
    lines = selectors.stations(at=AT)
    assert [line.station for line in lines] == [rich, poor]
    assert [line.sums.income for line in lines] == [Decimal("10.80"), Decimal("1.20")]
    assert [line.guns for line in lines] == [1, 1]


def test_the_page_shows_the_figures_and_the_same_in_its_chart(tenant: Any, time_machine: Any) -> None:
    settled_at(AT - timedelta(hours=1))
    client = boss()
    time_machine.move_to(AT, tick=False)
    answer = client.get("/admin/")
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "工作台" in html
    tiles = {tile["title"]: tile["value"] for tile in answer.context_data["figures"]}
    assert tiles == {"今日电量": "10.0", "今日营收": "12.00", "今日订单": "1"}
    chart = answer.context_data["days"]["chart"]
    assert chart["days"][-1] == "03-10"
    assert (chart["electricity"][-1], chart["service"][-1], chart["energy"][-1]) == (
        "8.00",
        "4.00",
        "10.0000",
    )
    table = [row["sums"] for row in answer.context_data["days"]["rows"]]
    assert [str(row.energy_kwh) for row in reversed(table)] == chart["energy"]


@pytest.mark.parametrize(
    ("permissions", "shown"),
    [
        ((), set()),
        (("orders.view_order",), {"figures", "days", "stations"}),
        (("piles.view_connector",), {"online", "gun_states"}),
    ],
)
def test_each_sees_only_their_part(tenant: Any, permissions: tuple[str, ...], shown: set[str]) -> None:
    context = signed_in(a_user(*permissions)).get("/admin/").context_data
    assert {
        name for name in ("figures", "days", "stations", "online", "gun_states") if name in context
    } == shown


def test_the_platform_sees_tenants_only(tenant: Any) -> None:
    connection.set_schema_to_public()
    context = signed_in(a_user(superuser=True), PLATFORM_HOST).get("/admin/").context_data
    assert [row["tenant"].code for row in context["tenants"]] == ["alpha", "beta"]
    assert "figures" not in context
