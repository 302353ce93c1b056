"""Energy that nobody pays for: found with its figures, never where somebody does pay or will."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache

from apps.common.schema import current_schema
from apps.common.time import now
from apps.orders import settling, tasks, unbilled
from apps.orders.enums import LIVE, OrderState, StopReason
from apps.orders.models import Order, TransactionRecord
from apps.orders.unbilled import Case, GunFacts, Reading, judge, meter_step
from apps.piles.enums import AlarmKind, CardOnPile, CommandKind, ConnectorState
from apps.piles.models import Alarm, Connector, ConnectorStatus, OfflineCard, Pile, PileCommand
from apps.tenancy.models import Tenant
from tests import broker, factories

NUMBER = "32010600000001" + "01" + "2611231500000001"
MOMENT = now()


# --- Rules ------------------------------------------------------------------------------------------------


def facts(**changes) -> GunFacts:
    values = {
        "transaction_no": NUMBER,
        "reported_at": MOMENT,
        "charge_minutes": 5,
        "last_login_at": MOMENT - timedelta(hours=1),
        "order_state": None,
        "has_live_order": False,
    }
    return GunFacts(**values | changes)


@pytest.mark.parametrize("state", list(OrderState))
def test_a_gun_with_an_order_is_paid_for_while_the_order_lives(state):
    billed = state in LIVE or state == OrderState.SETTLING
    assert judge(facts(order_state=state)) == (Case.BILLED if billed else Case.ENDED)


@pytest.mark.parametrize(
    ("changes", "case"),
    [
        ({}, Case.NO_ORDER),
        ({"transaction_no": ""}, Case.NO_ORDER),
        ({"transaction_no": "0" * 32, "has_live_order": True}, Case.BILLED),
        ({"has_live_order": True}, Case.OTHER_ORDER),
        ({"charge_minutes": 61}, Case.OFFLINE_SESSION),
        ({"charge_minutes": 60}, Case.NO_ORDER),
        ({"charge_minutes": 61, "transaction_no": ""}, Case.NO_ORDER),
        ({"charge_minutes": 61, "last_login_at": None}, Case.NO_ORDER),
    ],
)
def test_a_gun_without_an_order_of_its_number(changes, case):
    assert judge(facts(**changes)) == case


def reading(start: str, end: str, hours: int = 0, connector_no: str = "01") -> Reading:
    begun = MOMENT + timedelta(hours=hours)
    return Reading(NUMBER, connector_no, begun, begun + timedelta(hours=1), Decimal(start), Decimal(end))


@pytest.mark.parametrize(
    ("before", "after", "others", "step"),
    [
        (reading("100", "110"), reading("110", "115", 1), [], None),
        (reading("100", "110"), reading("111", "115", 1), [], None),  # what a pile uses itself
        (reading("100", "110"), reading("111.01", "115", 1), [], "1.01"),
        (reading("100", "110"), reading("113", "115", 31), [], None),  # 30 h idle
        (reading("100", "110"), reading("0.001", "5", 1), [], None),  # begins anew with each charge
        (reading("0", "0"), reading("20", "25", 1), [], None),  # a record without a meter
        (reading("100", "110"), reading("130", "135", 1), [reading("110", "130", 1, "02")], "20"),
        (reading("100", "110"), reading("130", "135", 1), [reading("110", "129", 1, "02")], None),  # shared
        (reading("100", "110"), reading("130", "135", 1), [reading("111", "129", 1)], "20"),
    ],
)
def test_steps_of_a_meter(before, after, others, step):
    assert meter_step(before, after, others) == (None if step is None else Decimal(step))


# --- Guns -------------------------------------------------------------------------------------------------


@pytest.fixture
def gun(tenant) -> Connector:
    """A gun of a pile that has been logged in for an hour."""
    cache.clear()
    connector = factories.a_connector()
    Pile.objects.filter(pk=connector.pile_id).update(last_login_at=now() - timedelta(hours=1))
    return connector


def reports(gun: Connector, count: int, *, first: int = 0, state=ConnectorState.CHARGING, **changes) -> int:
    """The gun says `count` times that it delivers, the watch looks each time; alarms raised or renewed."""
    raised = 0
    for index in range(first, first + count):
        moment = now() + timedelta(seconds=15 * index)
        values = {
            "transaction_no": NUMBER,
            "energy_kwh": Decimal(index + 1),
            "voltage_v": Decimal(400),
            "current_a": Decimal(100),
            "charge_minutes": 1,
        }
        ConnectorStatus.objects.filter(connector=gun).update(
            state=state, reported_at=moment, **values | changes
        )
        raised += unbilled.watch_unbilled(at=moment)
    return raised


def alarm() -> Alarm:
    return Alarm.objects.get(kind=AlarmKind.UNBILLED_ENERGY)


def policy(**fields) -> None:
    Tenant.objects.filter(schema_name=current_schema()).update(**fields)


def stops() -> list[PileCommand]:
    return list(PileCommand.objects.filter(kind=CommandKind.STOP))


def test_two_reports_are_let_pass_and_the_alarm_is_renewed_now_and_then(gun):
    assert reports(gun, 2) == 0
    moment = now() + timedelta(seconds=16)
    assert unbilled.watch_unbilled(at=moment) == 0  # the same report again
    assert reports(gun, 1, first=2) == 1
    assert (alarm().subject, alarm().connector_no, alarm().count) == (NUMBER, "01", 1)
    assert alarm().detail == {
        "case": "no_order",
        "unpaid_kwh": "3.0000",
        "energy_kwh": "3.0000",
        "power_kw": "40.0",
        "minutes": "1",
        "stopped": "False",
    }
    assert reports(gun, 3, first=3) == 0
    assert reports(gun, 1, first=6) == 1
    assert (alarm().count, alarm().detail["energy_kwh"]) == (2, "7.0000")
    assert stops() == []


def test_a_report_that_the_change_told_of_counts(gun):
    moment = now()
    ConnectorStatus.objects.filter(connector=gun).update(
        state=ConnectorState.CHARGING, transaction_no=NUMBER, reported_at=moment, energy_kwh=1
    )
    factories.orders.connector_changed(
        transaction_no=NUMBER,
        connector_code=gun.code,
        state=ConnectorState.CHARGING,
        energy_kwh="1.0000",
        reported_at=moment,
    )
    assert reports(gun, 2, first=1) == 1


def test_current_without_charging_is_energy_too(gun):
    assert reports(gun, 3, state=ConnectorState.PLUGGED, transaction_no="", current_a=Decimal("1.1")) == 1
    assert alarm().subject == ""
    assert reports(gun, 9, state=ConnectorState.PLUGGED, transaction_no="", current_a=Decimal("1.0")) == 0


def test_a_live_order_is_no_matter(gun):
    order = factories.a_charging_order(connector=gun)
    assert reports(gun, 5, transaction_no=order.transaction_no) == 0
    assert reports(gun, 3) == 1  # another number than the order's
    assert alarm().detail["case"] == "other_order"


def test_energy_after_the_end_of_an_order_counts_what_was_not_paid(gun):
    order = factories.a_charging_order(connector=gun)
    settling.settle_record(record_id=factories.a_record(order, {"flat": "5.0000"}).pk)
    assert reports(gun, 3, first=10, transaction_no=order.transaction_no) == 1
    found = alarm().detail
    assert (found["case"], found["unpaid_kwh"]) == ("ended", "8.0000")
    assert (found["order"], found["order_state"]) == (order.order_no, "completed")


@pytest.mark.parametrize("state", [OrderState.FAILED, OrderState.ABNORMAL])
def test_an_order_that_failed_or_waits_pays_for_nothing(gun, state):
    order = factories.a_started_order(connector=gun)
    Order.objects.filter(pk=order.pk).update(state=state)
    assert reports(gun, 3, transaction_no=order.transaction_no) == 1
    assert (alarm().detail["case"], alarm().detail["unpaid_kwh"]) == ("ended", "3.0000")


def test_a_pile_that_just_came_back_and_an_old_word_say_nothing(gun):
    Pile.objects.update(last_login_at=now() + timedelta(seconds=10))
    assert reports(gun, 4) == 0
    Pile.objects.update(last_login_at=now() - timedelta(hours=1), is_online=False)
    assert reports(gun, 4, first=4) == 0
    Pile.objects.update(is_online=True)
    assert unbilled.watch_unbilled(at=now() + timedelta(minutes=5)) == 0
    assert not Alarm.objects.exists()


def test_the_tenant_may_have_it_stopped(gun):
    policy(stops_unbilled_energy=True)
    assert reports(gun, 3) == 1
    (stop,) = stops()
    assert (stop.connector_no, stop.reason, stop.payload["transaction_no"]) == (
        "01",
        StopReason.UNBILLED,
        NUMBER,
    )
    assert alarm().detail["stopped"] == "True"


@pytest.mark.parametrize(("too", "expected"), [(False, 0), (True, 1)])
def test_a_charge_by_card_that_began_offline_is_stopped_only_if_the_tenant_says_so(gun, too, expected):
    policy(stops_unbilled_energy=True, stops_offline_sessions=too)
    assert reports(gun, 3, charge_minutes=90) == 1
    assert alarm().detail["case"] == "offline_session"
    assert len(stops()) == expected


def test_a_pile_with_cards_of_its_own_may_charge_what_began_offline(gun):
    policy(stops_unbilled_energy=True)
    OfflineCard.objects.create(pile=gun.pile, logical_no="1", physical_no="1", state=CardOnPile.STORED)
    assert reports(gun, 9, charge_minutes=90) == 0
    assert not Alarm.objects.exists()
    assert stops() == []
    policy(stops_offline_sessions=True)
    cache.clear()
    assert reports(gun, 3, first=9, charge_minutes=90) == 1
    assert len(stops()) == 1


# --- Meters -----------------------------------------------------------------------------------------------


def session(gun: Connector, hours_ago: int, meter: str, kwh: str) -> str:
    """A charge with its record, worked off; its transaction number."""
    order = factories.a_charging_order(connector=gun)
    begun = now() - timedelta(hours=hours_ago)
    record = factories.a_record(
        order,
        {"flat": kwh},
        start_time=begun,
        end_time=begun + timedelta(minutes=30),
        meter_start=Decimal(meter),
        meter_end=Decimal(meter) + Decimal(kwh),
    )
    settling.settle_record(record_id=record.pk)
    ConnectorStatus.objects.filter(connector=gun).update(state=ConnectorState.IDLE)
    unbilled.records_worked_off(record_ids=[record.pk])
    return order.transaction_no


def test_a_meter_that_went_on_between_two_records(gun):
    first = session(gun, 9, "1000", "20.0000")
    session(gun, 7, "1020.5", "10.0000")
    assert not Alarm.objects.filter(kind=AlarmKind.UNBILLED_ENERGY).exists()
    last = session(gun, 2, "1060.5", "10.0000")
    assert alarm().subject == last
    figures = alarm().detail
    assert (figures["case"], figures["unpaid_kwh"]) == ("meter_step", "30.0000")
    assert figures["record_before"] != first
    # The record in between comes late, from the pile's memory.
    session(gun, 5, "1030.5", "30.0000")
    assert alarm().closed_at is not None


def test_with_the_broker_away_the_other_records_are_looked_at_all_the_same(gun):
    other = factories.a_connector()
    session(other, 9, "1000", "20.0000")
    numbers = [session(gun, 3, "5000", "10.0000"), session(other, 2, "1060.5", "10.0000")]
    Alarm.objects.all().delete()
    Pile.objects.update(last_login_at=now() - timedelta(days=1))
    Pile.objects.filter(pk=gun.pile_id).update(last_login_at=now() - timedelta(minutes=9))
    records = TransactionRecord.objects.filter(transaction_no__in=numbers)
    with broker.dead():
        unbilled.records_worked_off(record_ids=list(records.values_list("pk", flat=True)))
    assert alarm().subject == numbers[1]


def test_records_of_piles_that_came_back_wait_in_one_message(gun):
    Pile.objects.update(last_login_at=now() - timedelta(minutes=9))
    with broker.in_memory():
        session(gun, 9, "1000", "20.0000")
        session(gun, 2, "1060.5", "10.0000")
    ids = sorted(TransactionRecord.objects.values_list("pk", flat=True))
    with broker.in_memory() as queue:
        unbilled.records_worked_off(record_ids=ids)
        (check,) = [message for message in queue.messages() if message["task"] == "orders.check_meter"]
    assert check["args"] == ids
    assert not Alarm.objects.filter(kind=AlarmKind.UNBILLED_ENERGY).exists()
    tasks.check_meter(*ids)
    assert Alarm.objects.filter(kind=AlarmKind.UNBILLED_ENERGY).count() == 1


def test_a_pile_that_came_back_gets_time_to_send_its_records(gun):
    session(gun, 9, "1000", "20.0000")
    Pile.objects.update(last_login_at=now() - timedelta(minutes=9))
    before = now()
    with broker.in_memory() as queue:
        session(gun, 2, "1060.5", "10.0000")
        (check,) = [message for message in queue.messages() if message["task"] == "orders.check_meter"]
    assert check["args"] == [TransactionRecord.objects.latest("pk").pk]
    wait = datetime.fromisoformat(check["eta"]) - before
    assert timedelta(minutes=10) <= wait < timedelta(minutes=11)
    assert not Alarm.objects.filter(kind=AlarmKind.UNBILLED_ENERGY).exists()
