"""Rollups hold what the ledger booked, to the fen, however often they are rolled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from apps.common.ids import Actor
from apps.common.schema import run_in_schema
from apps.common.time import SHANGHAI, business_day
from apps.franchisees import services as franchisees
from apps.orders import refunds
from apps.orders.ledger_check import differences as books_differ
from apps.orders.models import Order, ParallelLeg
from apps.orders.settling import settle_record
from apps.piles.models import Pile
from apps.reports import finance, rollups
from apps.reports.enums import CustomerKind, Period
from apps.reports.finance import Group, Question, Sums
from apps.reports.models import FIGURES, RolledPeriod, Rollup
from apps.wallet import ledger
from apps.wallet.enums import AccountKind, JournalKind
from tests import factories

DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=SHANGHAI)
WANG, LI = Actor("staff", "1", "王芳"), Actor("staff", "2", "李强")
_keys = itertools.count(1)


@pytest.fixture
def clock(tenant: Any, time_machine: Any) -> Callable[[datetime], None]:
    """Sets the time; the world begins on the day before."""
    time_machine.move_to(NOON - timedelta(days=1), tick=False)
    return lambda moment: time_machine.move_to(moment, tick=False)


def yuan(text: str) -> Decimal:
    return Decimal(text)


def settled(energy: str = "10.0000", **fields: Any) -> Order:
    """An hour of 10 kWh flat until now: 8.00 electricity, 4.00 service."""
    order = factories.a_charging_order(**fields)
    settle_record(record_id=factories.a_record(order, {"flat": energy}).pk)
    order.refresh_from_db()
    assert order.state == "completed"
    factories.put_online(order.connector.pile)
    return order


def book_fee(amount: str) -> None:
    with transaction.atomic():
        ledger.post(
            key=f"fee {next(_keys)}",
            kind=JournalKind.CHANNEL_FEE,
            wallet=None,
            reference="FEE",
            lines=[
                ledger.debit(AccountKind.CHANNEL_FEE, yuan(amount), "sandbox"),
                ledger.credit(AccountKind.CHANNEL_CLEARING, yuan(amount), "sandbox"),
            ],
        )


def give_back(order: Order, electricity: str, service: str) -> None:
    asked = refunds.apply(
        order_no=order.order_no,
        electricity=yuan(electricity),
        service=yuan(service),
        reason="x",
        applied_by=WANG,
        request_key=f"k{next(_keys)}",
    )
    refunds.approve(refund_no=asked.refund_no, reviewer=LI)


def rows() -> list[str]:
    """What was rolled of DAY."""
    with connection.cursor() as cursor:
        cursor.execute(
            """select (to_jsonb(r) - 'id')::text from reports_rollup r
                where period = 'day' and rolled_day = %s order by 1""",
            [DAY],
        )
        return [text for (text,) in cursor.fetchall()]


def by(group: Group, first: date = DAY, last: date = DAY, **narrowed: Any) -> dict[str, Sums]:
    found = finance.report(Question(first, last, group, **narrowed))
    return {row.label: row.sums for row in found.rows}


def total(first: date = DAY, last: date = DAY, **narrowed: Any) -> Sums:
    return finance.report(Question(first, last, **narrowed)).total


def clean(first: date = DAY, last: date = DAY) -> bool:
    return rollups.differences(first=first, last=last) == []


def test_a_day_is_what_the_ledger_booked_whatever_it_is_grouped_by(clock: Any) -> None:
    east, west = factories.a_station(name="东"), factories.a_station(name="西")
    one, two, three = (factories.a_connector(station=place) for place in (east, west, west))
    owing, member, lucky = (factories.a_customer(balance) for balance in ("5.00", "100.00", "100.00"))
    factories.an_enterprise(member)  # 20 % off the service fee
    factories.a_coupon(lucky)  # five yuan off the service fee
    old = settled(connector=three)  # on the day before
    clock(NOON)
    settled(customer=owing, connector=one)  # 12.00, of which 7.00 are a debt
    refunded = settled(customer=member, connector=two)  # 8.00 + 3.20
    settled(customer=lucky, connector=three, energy="20.0000")  # 16.00 + 3.00
    factories.a_charging_order(connector=one)  # goes on
    factories.top_up(owing, "10.00")  # pays the debt
    give_back(refunded, "1.00", "0.50")
    give_back(old, "8.00", "4.00")  # booked today, whenever it was charged
    assert books_differ() == []
    book_fee("1.00")
    rollups.roll_day(DAY)
    assert clean()
    found = total()
    assert (found.orders, found.energy_kwh) == (3, yuan("40.0000"))
    assert (found.electricity_fee, found.service_fee) == (yuan("32.00"), yuan("16.00"))
    assert (found.enterprise_discount, found.coupon_discount) == (yuan("0.80"), yuan("5.00"))
    assert (found.payable, found.refunded, found.due) == (yuan("42.20"), yuan("13.50"), yuan("28.70"))
    assert (found.debt, found.recovered_principal) == (yuan("7.00"), yuan("7.00"))
    assert (found.settled, found.outstanding) == (yuan("28.70"), yuan("0.00"))
    assert (found.channel_fee, found.net) == (yuan("1.00"), yuan("27.70"))
    assert found.platform_borne + found.station_borne == found.discounts
    for group in Group:
        parts = by(group).values()
        for name in rollups.FIGURES:
            whole = sum(getattr(part, name) for part in parts)
            if name == "available_s" and group in (Group.SOURCE, Group.CUSTOMER):
                continue  # how long guns were there has neither
            assert whole == getattr(found, name), (group, name)
    stations = by(Group.STATION)
    assert list(stations) == ["西", "东"]  # by what is due
    assert (stations["东"].due, stations["西"].due) == (yuan("12.00"), yuan("16.70"))
    assert {name: sums.orders for name, sums in by(Group.CUSTOMER).items()} == {"个人客户": 2, "企业客户": 1}
    assert {name: sums.orders for name, sums in by(Group.GUN).items()} == {
        one.code: 1,
        two.code: 1,
        three.code: 1,
    }
    assert total(customer_kind=CustomerKind.ENTERPRISE).due == yuan("9.70")
    assert total(stations={east.pk}).due == yuan("12.00")
    assert total(stations=()).orders == 0


def test_a_day_can_be_rolled_as_often_as_one_likes_and_later_days_leave_it_alone(clock: Any) -> None:
    clock(NOON)
    order = settled()
    book_fee("0.60")
    clock(NOON + timedelta(hours=13))
    rollups.roll_day(DAY)
    before = rows()
    assert rollups.roll_day(DAY) == rollups.Rolled(DAY, 1, 4)
    assert rows() == before
    clock(NOON + timedelta(days=2))
    give_back(order, "8.00", "4.00")
    Pile.objects.update(station=factories.a_station())  # how long guns were there is kept
    rollups.roll(first=DAY, last=DAY + timedelta(days=9))
    assert rows() == before
    assert (total().due, total(last=DAY + timedelta(days=2)).due) == (yuan("12.00"), yuan("0.00"))
    assert clean(last=DAY + timedelta(days=2))


def test_a_fee_is_shared_out_to_the_fen(clock: Any) -> None:
    clock(NOON)
    orders = [settled(customer=factories.a_customer("100.00")) for _ in range(3)]
    book_fee("1.00")
    rollups.roll_day(DAY)
    shares = [by(Group.GUN)[order.connector.code].channel_fee for order in orders]
    assert shares == [yuan("0.34"), yuan("0.33"), yuan("0.33")]
    book_fee("-2.00")  # the channel gives back more
    rollups.roll_day(DAY)
    shares = [by(Group.GUN)[order.connector.code].channel_fee for order in orders]
    assert shares == [yuan("-0.34"), yuan("-0.33"), yuan("-0.33")]
    assert clean()


def test_a_fee_that_no_payment_bears_is_nobodys_but_in_the_total(clock: Any) -> None:
    factories.a_pile()
    clock(NOON)
    book_fee("0.31")
    rollups.roll_day(DAY)
    assert clean()
    for group in Group:
        assert sum(sums.channel_fee for sums in by(group).values()) == yuan("0.31"), group
    for group in (Group.PILE, Group.GUN):
        page = finance.report(Question(DAY, DAY, group), limit=5)
        assert {row.label: row.sums.channel_fee for row in page.rows}["未归属"] == yuan("0.31")
    assert by(Group.STATION)["未归属"].channel_fee == yuan("0.31")
    assert total(source="app").channel_fee == 0


def test_time_charging_belongs_to_the_hours_in_which_guns_were_used(clock: Any) -> None:
    gun = factories.a_connector()
    spare = factories.a_connector(station=gun.pile.station)
    Pile.objects.update(created_at=NOON - timedelta(days=30))
    clock(NOON - timedelta(days=1) + timedelta(hours=12, minutes=30))  # half past midnight
    order = settled(connector=gun)  # since half past eleven
    ParallelLeg.objects.create(
        order=order, connector=spare, transaction_no="9" * 32, is_live=False, ended_at=order.ended_at
    )
    clock(NOON)
    rollups.roll_day(DAY - timedelta(days=1))
    rollups.roll_day(DAY)
    hours = by(Group.HOUR, DAY - timedelta(days=1))
    assert {label: (sums.orders, sums.charging_s) for label, sums in hours.items() if sums.charging_s} == {
        "00:00–01:00": (0, 3600),
        "23:00–24:00": (1, 3600),
    }
    assert [sums.charging_s for sums in by(Group.GUN, DAY - timedelta(days=1)).values()] == [3600, 3600]
    yesterday, today = total(DAY - timedelta(days=1), DAY - timedelta(days=1)), total()
    assert (yesterday.orders, yesterday.charging_s, yesterday.available_s) == (0, 3600, 2 * 86_400)
    assert (today.orders, today.charging_s, today.available_s) == (1, 3600, 86_400)  # until noon
    assert today.utilisation == yuan("4.2")
    # A pile whose clock is years behind moves nothing.
    Order.objects.filter(pk=order.pk).update(
        charging_at=None, started_at=NOON - timedelta(days=900), ended_at=NOON - timedelta(days=899)
    )
    rollups.roll_day(DAY)
    assert total().charging_s == 0


def test_a_month_is_the_same_read_as_one_row_or_by_its_days(clock: Any) -> None:
    clock(NOON - timedelta(days=40))
    gun = factories.a_connector()
    for back in (40, 35, 12, 2):
        clock(NOON - timedelta(days=back))
        settled(connector=gun)
    late = NOON + timedelta(hours=3)
    clock(late)
    assert rollups.roll_due() == 41
    months = RolledPeriod.objects.filter(period=Period.MONTH).order_by("day")
    assert list(months.values_list("day", "through")) == [
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 28)),
        (date(2026, 3, 1), date(2026, 3, 7)),
    ]
    asked = [Question(date(2026, 1, 30), DAY, group) for group in Group]
    summed = [finance.report(question) for question in asked]
    Rollup.objects.filter(period=Period.MONTH).exclude(day=date(2026, 2, 1)).update(orders=99)
    assert finance.report(asked[2]).total.orders == 3 + 99  # the running month is read as a row
    RolledPeriod.objects.filter(period=Period.MONTH).delete()
    by_days = [finance.report(question) for question in asked]
    assert [(one.rows, one.total) for one in by_days] == [(one.rows, one.total) for one in summed]
    assert [row.label for row in by_days[1].rows] == ["2026-01", "2026-02", "2026-03"]
    assert rollups.roll_due() == 1  # only today, and the months again
    assert months.count() == 3
    rollups.roll_day(date(2026, 2, 3))  # as a late record would
    assert [row.day.month for row in months] == [1, 3]
    assert finance.report(asked[2]).total.orders == 3
    assert rollups.roll_due_months() == [date(2026, 2, 1)]


def test_days_nobody_summed_up_are_named(clock: Any) -> None:
    settled()
    clock(NOON)
    settled()
    rollups.roll_day(DAY - timedelta(days=1))
    found = finance.report(Question(DAY - timedelta(days=5), DAY + timedelta(days=3)))
    assert (found.total.orders, found.missing) == (1, [DAY])


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": DAY, "last": DAY - timedelta(days=1)},
        {"first": DAY - timedelta(days=800), "last": DAY},
        {"first": DAY, "last": DAY, "group": Group.GUN, "source": "app"},
    ],
)
def test_what_cannot_be_asked_says_so(wrong: dict[str, Any]) -> None:
    with pytest.raises((finance.BadRange, finance.NotTogether)):
        Question(**wrong)


def test_a_wrong_figure_is_found(clock: Any) -> None:
    clock(NOON)
    settled()
    rollups.roll_day(DAY)
    Rollup.objects.filter(grain="hour", orders=1).update(service_fee=yuan("4.01"))
    assert rollups.differences(first=DAY, last=DAY) == [
        rollups.Difference(DAY, "service_fee (hour)", yuan("4.01"), yuan("4.00"))
    ]
    rollups.roll_day(DAY)
    assert clean()


def test_several_may_roll_the_same_day_at_once_while_charges_are_settled(committed: Any) -> None:
    orders = [factories.a_charging_order() for _ in range(4)]
    records = [factories.a_record(order, {"flat": "10.0000"}).pk for order in orders]
    day = business_day(orders[0].created_at)

    def in_thread(function: Callable[[], Any]) -> Any:
        try:
            return run_in_schema(committed.schema_name, function)
        finally:
            connection.close()

    work: list[Callable[[], Any]] = []
    for record in records:
        work += [lambda record=record: settle_record(record_id=record), lambda: rollups.roll_day(day)]
    work += [rollups.roll_due_months, lambda: rollups.roll_day(day)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(in_thread, work))
    last = max(business_day(order.settled_at) for order in Order.objects.all() if order.settled_at)
    rollups.roll(first=day, last=last)
    assert rollups.differences(first=day, last=last) == []
    assert finance.report(Question(day, last)).total.orders == 4


def test_franchisees_sums_are_the_same_by_months_and_by_days(clock: Callable[[datetime], None]) -> None:
    """A station that changes hands in the midst of a month, one that does at its end, and one of our own."""
    first, second = factories.a_franchisee(), factories.a_franchisee()
    stations = [factories.a_station() for _ in range(3)]
    guns = [factories.a_connector(station=station) for station in stations]
    ends = [(stations[0], date(2026, 4, 9)), (stations[1], date(2026, 4, 30))]
    for station, last in ends:
        words = {"station": station, "actor": WANG}
        franchisees.assign_station(franchisee=first, starts_on=date(2026, 1, 1), ends_on=last, **words)
        franchisees.assign_station(franchisee=second, starts_on=last + timedelta(days=1), **words)
    for day in (date(2026, 3, 20), date(2026, 4, 9), date(2026, 4, 10), date(2026, 5, 2)):
        clock(datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI))
        for number, gun in enumerate(guns, 1):
            factories.put_online(gun.pile)
            settled(energy=f"{number}0.0000", connector=gun)
        book_fee("0.03")
    clock(datetime(2026, 6, 20, 12, tzinfo=SHANGHAI))
    rollups.roll(first=date(2026, 3, 1), last=date(2026, 6, 20))
    assert RolledPeriod.objects.filter(period=Period.MONTH).count() >= 3
    question = Question(date(2026, 3, 1), date(2026, 6, 20), Group.FRANCHISEE)
    found = finance.report(question)
    kwh = {row.key: row.sums.energy_kwh for row in found.rows}
    assert kwh == {first.pk: yuan("80"), second.pk: yuan("40"), None: yuan("120")}
    everything = finance.report(Question(question.first, question.last, Group.DAY)).total
    assert found.total == everything
    for name in FIGURES:
        assert sum(getattr(row.sums, name) for row in found.rows) == getattr(everything, name), name
    for row in found.rows[:]:
        if row.key is not None:
            for group in Group:
                asked = Question(question.first, question.last, group, franchisee=row.key)
                narrowed = finance.report(asked)
                assert narrowed.total == row.sums, group
                assert sum(one.sums.energy_kwh for one in narrowed.rows) == row.sums.energy_kwh, group
