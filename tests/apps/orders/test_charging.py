"""The moves of an order, each as it can happen at a pile."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.common.errors import DomainError
from apps.common.ids import Actor
from apps.common.time import SHANGHAI, now
from apps.customers.models import CustomerState
from apps.orders import services, settling, watchdog
from apps.orders.enums import MOVES, OrderState, RecordState, Verdict
from apps.orders.errors import IllegalMove, OutsideHours
from apps.orders.ledger_check import differences
from apps.orders.models import Order, TransactionRecord
from apps.orders.moves import move
from apps.piles.enums import ConnectorState
from apps.piles.models import Alarm, Pile, PileCommand
from apps.piles.reports import StopAnswer, TransactionReport
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites.enums import StationState
from apps.sites.models import Station
from apps.wallet.models import Debt, Hold
from apps.wallet.services import wallet_of
from tests import factories, oracle

pytestmark = pytest.mark.usefixtures("tenant")
DRIVER = Actor("customer", "1")


def money(customer):
    wallet = wallet_of(customer=customer)
    return wallet.available, wallet.held, wallet.debt


def kinds(order):
    return [event.kind for event in order.events.all()]


def commands(order):
    return [
        (row.kind, row.state) for row in PileCommand.objects.filter(pile=order.connector.pile).order_by("id")
    ]


def answer_stop(order, *, accepted=True, reason="none"):
    services.stop_answered(
        StopAnswer(
            pile_code=order.connector.pile.pile_code,
            connector_no=order.connector.connector_no,
            accepted=accepted,
            reason=reason,
        )
    )
    order.refresh_from_db()


def settle(order, energies, **changes):
    record = factories.a_record(order, energies, **changes)
    settling.settle_record(record_id=record.pk)
    order.refresh_from_db()
    record.refresh_from_db()
    return record


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


# --- starting


def test_a_start_holds_all_money_freezes_prices_and_asks_the_pile():
    customer, connector = factories.a_customer("80.00"), factories.a_connector()
    order = factories.a_started_order(customer=customer, connector=connector)
    assert order.state == OrderState.STARTING
    assert order.hold_amount == Decimal("80.00")
    assert order.frozen_tariff() == order.frozen_retail_tariff() == factories.TARIFF
    assert order.transaction_no[:16] == connector.code
    assert len(order.transaction_no) == 32
    assert money(customer) == (Decimal("0.00"), Decimal("80.00"), Decimal("0.00"))
    command = PileCommand.objects.get()
    assert (command.kind, command.payload["balance"], command.payload["transaction_no"]) == (
        "start",
        "80.00",
        order.transaction_no,
    )
    assert kinds(order) == ["created", "start_requested"]


def test_a_start_takes_few_queries(django_assert_num_queries):
    """Lock, consent, connector, price, enterprise, wallet, hold, journal, order, events, command; two savepoints.

    The connector is read once more behind its lock: who waited sees the station that its pile was moved to.
    """
    customer, connector = factories.a_customer("80.00"), factories.a_connector()
    factories.a_started_order(customer=customer, connector=factories.a_connector(), preset="1.00")
    with django_assert_num_queries(15):
        services.start_charge(
            customer=customer, connector_code=connector.code, request_key="k", coupon="best"
        )


def test_a_preset_amount_is_held_and_no_more():
    customer = factories.a_customer("80.00")
    order = factories.a_started_order(customer=customer, preset="30.00")
    assert order.hold_amount == Decimal("30.00")
    assert money(customer) == (Decimal("50.00"), Decimal("30.00"), Decimal("0.00"))


def test_without_preset_the_tenants_maximum_is_held():
    customer = factories.a_customer("1000.00")
    order = factories.a_started_order(customer=customer)
    assert order.hold_amount == Decimal("300.00")


def test_the_same_request_again_returns_the_first_order_and_holds_once():
    customer, connector = factories.a_customer("80.00"), factories.a_connector()
    first = factories.a_started_order(customer=customer, connector=connector, key="k")
    again = factories.a_started_order(customer=customer, connector=connector, key="k")
    assert again == first
    assert Hold.objects.count() == 1
    assert PileCommand.objects.count() == 1


def test_a_key_is_not_for_another_request():
    customer = factories.a_customer("80.00")
    factories.a_started_order(customer=customer, key="k", preset="10.00")
    assert refused(customer, factories.a_connector(), key="k", preset="10.00") == "idempotency.key_reused"


def refused(customer, connector, *, key="refused", preset=None):
    """The code with which a start is refused; nothing may have moved."""
    before = money(customer), Order.objects.count(), PileCommand.objects.count()
    with pytest.raises(DomainError) as caught:
        factories.a_started_order(customer=customer, connector=connector, key=key, preset=preset)
    assert (money(customer), Order.objects.count(), PileCommand.objects.count()) == before
    assert str(caught.value)
    return caught.value.code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (ConnectorState.OFFLINE, "piles.offline"),
        (ConnectorState.FAULT, "piles.fault"),
        (ConnectorState.CHARGING, "piles.busy"),
    ],
)
def test_a_connector_that_cannot_charge_is_refused(state, code):
    connector = factories.a_connector()
    factories.put_online(connector.pile, state)
    assert refused(factories.a_customer(), connector) == code


def test_other_refusals():
    customer, connector = factories.a_customer("5.00"), factories.a_connector()
    assert refused(customer, connector, preset="5.01") == "wallet.insufficient"
    assert refused(customer, connector, preset="300.01") == "wallet.amount"
    assert refused(customer, connector, preset="-1") == "wallet.amount"
    assert refused(factories.a_customer("0"), connector) == "wallet.insufficient"
    assert refused(factories.a_customer(state=CustomerState.BLOCKED), connector) == "orders.blocked"
    assert refused(customer, factories.a_connector(priced=False)) == "pricing.no_price"
    assert refused(customer, factories.a_connector(online=False)) == "piles.offline"
    Pile.objects.filter(pk=connector.pile_id).update(state="disabled")
    assert refused(customer, connector) == "piles.disabled"
    closed = factories.a_connector()
    closed.pile.station.state = StationState.CLOSED
    closed.pile.station.save()
    assert refused(customer, closed) == "orders.station_closed"


NIGHT = datetime(2026, 11, 28, 23, 30, tzinfo=SHANGHAI)  # a Saturday


def start_at(connector, moment, **changes):
    words = {
        "customer": factories.a_customer(),
        "connector_code": connector.code,
        "preset_amount": Decimal(10),
    }
    return services.start_charge(**words | {"request_key": "k", "at": moment} | changes)


def test_nobody_starts_outside_the_opening_hours_and_charges_go_on(time_machine):
    time_machine.move_to(NIGHT - timedelta(hours=2), tick=False)
    first, second = factories.a_pile(guns=2).connectors.order_by("code")
    Station.objects.filter(pk=first.pile.station_id).update(opening_hours="1-5 06:00-24:00; 6,7 08:00-22:00")
    running = start_at(first, NIGHT - timedelta(hours=2))
    factories.accept_start(running)
    factories.see_charging(running)
    time_machine.move_to(NIGHT, tick=False)
    with pytest.raises(OutsideHours) as caught:
        start_at(second, NIGHT)
    assert "08:00-22:00" in str(caught.value)
    assert Hold.objects.count() == Order.objects.count() == 1
    assert (
        start_at(first, NIGHT, customer=running.customer) == running
    )  # asked again: its own order, as always
    settle(running, {"flat": "5.0000"})
    running.refresh_from_db()
    assert running.state == OrderState.COMPLETED
    time_machine.move_to(NIGHT + timedelta(hours=9), tick=False)
    assert start_at(second, NIGHT + timedelta(hours=9)).state == OrderState.STARTING


def test_staff_start_outside_the_opening_hours_with_a_reason(time_machine):
    time_machine.move_to(NIGHT, tick=False)
    connector = factories.a_connector()
    Station.objects.filter(pk=connector.pile.station_id).update(opening_hours="08:00-22:00")
    clerk = Actor("staff", "7", "王芳")
    for actor, reason in ((clerk, " "), (DRIVER, "please"), (None, "please")):
        with pytest.raises(OutsideHours):
            start_at(connector, NIGHT, actor=actor, outside_hours=reason)
    order = start_at(connector, NIGHT, actor=clerk, outside_hours=" 救援车辆 ")
    event = order.events.get(kind="started_outside_hours")
    assert (event.actor_name, event.data) == ("王芳", {"reason": "救援车辆"})


def test_a_station_round_the_clock_is_never_closed(time_machine):
    time_machine.move_to(NIGHT, tick=False)
    assert start_at(factories.a_connector(), NIGHT).state == OrderState.STARTING


def test_a_pile_that_cannot_count_deep_valley_does_not_charge_by_it():
    customer, connector = factories.a_customer(), factories.a_connector(priced=False)
    deep = ClassPrice(Decimal("0.10000"), Decimal("0.20000"))
    five = Tariff({**factories.TARIFF.prices, RateClass.DEEP_VALLEY: deep}, (RateClass.DEEP_VALLEY,) * 48)
    factories.a_price(five, pile=connector.pile)
    assert refused(customer, connector) == "pricing.five_rate_classes"
    Pile.objects.update(five_prices=True)
    order = factories.a_started_order(customer=customer, connector=connector)
    assert Tariff.from_json(order.tariff) == five


def test_a_second_driver_is_refused_while_the_first_charges():
    order = factories.a_started_order()
    assert refused(factories.a_customer(), order.connector) == "piles.busy"


def test_a_debt_blocks_the_next_start_and_is_paid_by_the_next_top_up():
    customer = factories.a_customer("10.00")
    order = factories.a_charging_order(customer=customer)
    settle(order, {"peak": "10.0000"})  # 18.00
    assert (order.payable, order.debt) == (Decimal("18.00"), Decimal("8.00"))
    assert refused(customer, factories.a_connector()) == "wallet.debt"
    factories.top_up(customer, "20.00")
    assert money(customer) == (Decimal("12.00"), Decimal("0.00"), Decimal("0.00"))
    assert Debt.objects.get().closed_at is not None
    assert factories.a_started_order(customer=customer).hold_amount == Decimal("12.00")


# --- what the pile answers


def test_an_accepted_start_waits_for_charging():
    order = factories.a_started_order()
    factories.accept_start(order)
    order.refresh_from_db()
    assert order.state == OrderState.STARTING
    factories.see_charging(order)
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING
    assert kinds(order) == ["created", "start_requested", "start_accepted", "charging_started"]
    assert commands(order) == [("start", "done")]


@pytest.mark.parametrize("reason", ["fault", "already_charging", "offline", "wrong_pile", "other"])
def test_a_refused_start_fails_gives_back_and_sends_a_stop(reason):
    customer = factories.a_customer("50.00")
    order = factories.a_started_order(customer=customer)
    factories.accept_start(order, accepted=False, reason=reason)
    order.refresh_from_db()
    assert (order.state, order.fail_reason) == (OrderState.FAILED, reason)
    assert money(customer) == (Decimal("50.00"), Decimal("0.00"), Decimal("0.00"))
    assert commands(order) == [("start", "refused"), ("stop", "pending")]


def test_not_plugged_in_waits_for_a_second_answer():
    order = factories.a_started_order()
    factories.accept_start(order, accepted=False, reason="not_plugged")
    order.refresh_from_db()
    assert (order.state, order.waiting_for_plug) == (OrderState.STARTING, True)
    factories.accept_start(order)
    order.refresh_from_db()
    assert (order.state, order.waiting_for_plug) == (OrderState.STARTING, False)
    factories.see_charging(order)
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING


def watch(order, seconds):
    watchdog.watch_orders(at=order.created_at + timedelta(seconds=seconds))
    order.refresh_from_db()


def test_a_plug_that_never_comes_fails_after_60_seconds():
    order = factories.a_started_order()
    factories.accept_start(order, accepted=False, reason="not_plugged")
    watch(order, 59)
    assert order.state == OrderState.STARTING
    watch(order, 61)
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "not_plugged")


def test_a_start_without_charging_fails_after_90_seconds():
    order = factories.a_started_order()
    factories.accept_start(order)
    watch(order, 89)
    assert order.state == OrderState.STARTING
    watch(order, 91)
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "timeout")
    assert Hold.objects.get().state == "released"
    assert commands(order)[-1] == ("stop", "pending")


def test_charging_after_a_failed_start_is_stopped_with_an_alarm():
    order = factories.a_started_order()
    watch(order, 91)
    factories.see_charging(order)
    order.refresh_from_db()
    assert order.state == OrderState.FAILED
    assert Alarm.objects.get().kind == "charging_after_failure"
    assert [kind for kind, _ in commands(order)] == ["start", "stop", "stop"]


def test_a_late_success_is_answered_with_a_stop():
    order = factories.a_started_order()
    watch(order, 91)
    factories.accept_start(order)
    order.refresh_from_db()
    assert order.state == OrderState.FAILED
    assert [kind for kind, _ in commands(order)] == ["start", "stop", "stop"]


def test_the_watchdog_finds_charging_whose_report_was_lost():
    order = factories.a_started_order()
    status = order.connector.status
    status.state, status.transaction_no, status.reported_at = "charging", order.transaction_no, now()
    status.save()
    watch(order, 95)
    assert order.state == OrderState.CHARGING


# --- stopping


def test_a_stop_is_confirmed_by_the_pile_and_closed_by_the_record():
    order = factories.a_charging_order()
    services.stop_charge(order_no=order.order_no, actor=DRIVER)
    order.refresh_from_db()
    assert (order.state, order.stop_confirmed_at) == (OrderState.STOPPING, None)
    answer_stop(order)
    assert order.state == OrderState.STOPPING
    assert order.stop_confirmed_at is not None
    settle(order, {"flat": "0.0100"})
    assert order.state == OrderState.COMPLETED


def test_stopping_twice_sends_one_stop():
    order = factories.a_charging_order()
    for _ in range(2):
        services.stop_charge(order_no=order.order_no, actor=DRIVER)
    assert [kind for kind, _ in commands(order)] == ["start", "stop"]


def test_a_cancelled_start_is_stopping_until_the_record():
    order = factories.a_started_order()
    factories.accept_start(order)
    services.stop_charge(order_no=order.order_no, actor=DRIVER)
    order.refresh_from_db()
    assert (order.state, order.stop_reason) == (OrderState.STOPPING, "cancelled")
    answer_stop(order)
    settle(order, {})
    assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("0.00"))
    assert money(order.customer) == (Decimal("100.00"), Decimal("0.00"), Decimal("0.00"))


def test_cancelling_while_the_pile_waits_for_the_plug_gives_the_money_back():
    order = factories.a_started_order()
    factories.accept_start(order, accepted=False, reason="not_plugged")
    services.stop_charge(order_no=order.order_no, actor=DRIVER)
    order.refresh_from_db()
    assert order.state == OrderState.STARTING
    answer_stop(order, accepted=False, reason="not_charging")
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "cancelled")
    assert money(order.customer) == (Decimal("100.00"), Decimal("0.00"), Decimal("0.00"))


def test_a_pile_that_charges_although_cancelled_is_billed():
    """The fraud: cancel between start and charging while the pile goes on."""
    order = factories.a_started_order()
    factories.accept_start(order)
    services.stop_charge(order_no=order.order_no, actor=DRIVER)
    order.refresh_from_db()
    factories.see_charging(order)
    watchdog.watch_orders(at=now() + timedelta(seconds=30))
    assert [kind for kind, _ in commands(order)] == ["start", "stop", "stop"]
    settle(order, {"peak": "10.0000"})
    assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("18.00"))


def test_somebody_elses_order_cannot_be_stopped():
    order = factories.a_charging_order()
    with pytest.raises(DomainError) as caught:
        services.stop_charge(order_no=order.order_no, actor=DRIVER, customer=factories.a_customer())
    assert caught.value.code == "orders.not_found"


# --- records


def test_a_record_is_billed_to_the_fen_and_the_rest_given_back():
    customer = factories.a_customer("100.00")
    order = factories.a_charging_order(customer=customer)
    energies = {"peak": "12.3456", "valley": "7.0001", "sharp": "0.0003"}
    record = settle(order, energies)
    prices = {"sharp": (150000, 80000), "peak": (120000, 60000), "valley": (30500, 30500)}
    units = {"peak": 123456, "valley": 70001, "sharp": 3}
    electricity, service = oracle.fees(units, prices)
    assert (order.electricity_fee, order.service_fee) == (Decimal(electricity) / 100, Decimal(service) / 100)
    assert (order.electricity_fee, order.service_fee) == (Decimal("16.95"), Decimal("9.55"))
    assert (order.state, order.verdict, record.state) == (
        OrderState.COMPLETED,
        Verdict.OK,
        RecordState.SETTLED,
    )
    assert order.paid_principal == Decimal("26.50")
    assert money(customer) == (Decimal("73.50"), Decimal("0.00"), Decimal("0.00"))
    assert [line.rate_class for line in order.lines.all()] == ["sharp", "peak", "valley"]


def test_a_record_settles_once_however_often_it_is_tried():
    order = factories.a_charging_order()
    record = settle(order, {"flat": "0.0100"})
    settling.settle_record(record_id=record.pk)
    settling.settle_pending()
    again = settling.store_record(report=TransactionReport.from_json(record.report), received_at=now())
    assert again == record
    order.refresh_from_db()
    assert order.payable == Decimal("0.01")


def test_a_record_that_differs_from_the_first_is_quarantined():
    order = factories.a_charging_order()
    settle(order, {"flat": "0.0100"})
    second = settle(order, {"flat": "0.0200"})
    assert (second.state, second.reason) == (RecordState.QUARANTINED, "differs_from_first")
    assert order.payable == Decimal("0.01")
    assert Alarm.objects.get().kind == "differing_record"


def test_an_unknown_record_is_kept():
    order = factories.a_charging_order()
    record = settle(order, {"flat": "1.0000"}, transaction_no="9" * 32)
    assert (record.state, record.reason) == (RecordState.QUARANTINED, "unknown_transaction")
    assert order.state == OrderState.CHARGING


def test_a_record_from_another_connector_is_kept():
    order = factories.a_charging_order()
    record = settle(order, {"flat": "1.0000"}, connector_no="02")
    assert (record.state, record.reason) == (RecordState.QUARANTINED, "other_connector")


def test_a_late_record_of_a_failed_order_is_paid_from_available_money():
    customer = factories.a_customer("10.00")
    order = factories.a_started_order(customer=customer)
    watch(order, 91)
    assert order.state == OrderState.FAILED
    settle(order, {"peak": "10.0000"})
    assert (order.state, order.paid_principal, order.debt) == (
        OrderState.COMPLETED,
        Decimal("10.00"),
        Decimal("8.00"),
    )
    assert money(customer) == (Decimal("0.00"), Decimal("0.00"), Decimal("8.00"))


def test_a_record_days_late_settles():
    order = factories.a_charging_order()
    end = order.charging_at + timedelta(hours=1)
    report = factories.a_report(order, {"flat": "30.0000"}, end_time=end)
    record = settling.store_record(report=report, received_at=end + timedelta(days=5))
    settling.settle_record(record_id=record.pk)
    order.refresh_from_db()
    assert (order.state, order.verdict) == (OrderState.COMPLETED, Verdict.FLAGGED)
    assert [finding["code"] for finding in order.findings] == ["arrived_late"]


def test_a_record_that_ends_before_it_starts_is_flagged_and_settled():
    order = factories.a_charging_order()
    settle(order, {"flat": "5.0000"}, end_time=now() - timedelta(hours=5))
    assert order.state == OrderState.COMPLETED
    assert "end_before_start" in [finding["code"] for finding in order.findings]


def test_an_absurd_record_is_held_with_the_money_and_a_proposal():
    customer = factories.a_customer("100.00")
    order = factories.a_charging_order(customer=customer)
    record = settle(order, {"peak": "50.0000"}, start_time=now() - timedelta(minutes=1))
    assert (order.state, order.verdict, record.state) == (OrderState.ABNORMAL, Verdict.HELD, RecordState.HELD)
    assert money(customer) == (Decimal("0.00"), Decimal("100.00"), Decimal("0.00"))
    proposal = order.events.get(kind="held_for_review").data["proposal"]
    assert proposal == {"electricity_fee": "60.00", "service_fee": "30.00"}


def test_a_poisoned_record_stops_no_other():
    order = factories.a_charging_order()
    bad = factories.a_record(order, {"flat": "0.0100"}, transaction_no="8" * 32)
    TransactionRecord.objects.filter(pk=bad.pk).update(
        report={"nonsense": True}, transaction_no=order.transaction_no
    )
    good = factories.a_charging_order()
    factories.a_record(good, {"flat": "0.0100"})
    assert settling.settle_pending() == 1
    good.refresh_from_db()
    assert good.state == OrderState.COMPLETED


# --- waiting for the record


def test_a_record_that_never_comes_makes_the_order_abnormal_and_settles_when_it_does():
    order = factories.a_charging_order()
    factories.see_charging(order, ConnectorState.IDLE)
    order.refresh_from_db()
    assert order.ended_at is not None
    watch(order, 300)
    assert order.state == OrderState.CHARGING
    watch(order, 700)
    assert order.state == OrderState.ABNORMAL
    assert Alarm.objects.get().kind == "missing_record"
    settle(order, {"flat": "0.0100"})
    assert order.state == OrderState.COMPLETED
    assert Alarm.objects.get().closed_at is not None


def test_an_offline_pile_has_a_day_to_bring_its_record():
    order = factories.a_charging_order()
    Pile.objects.filter(pk=order.connector.pile_id).update(is_online=False)
    watch(order, 23 * 3600)
    assert order.state == OrderState.CHARGING
    watch(order, 25 * 3600)
    assert order.state == OrderState.ABNORMAL


# --- the table


@pytest.mark.parametrize("before", OrderState)
@pytest.mark.parametrize("after", OrderState)
def test_only_the_moves_of_the_table_are_possible(before, after):
    order = factories.a_started_order()
    order.state = before
    if after in MOVES[before]:
        move(order, after, "test", DRIVER, now())
        assert order.state == after
    else:
        with pytest.raises(IllegalMove):
            move(order, after, "test", DRIVER, now())
        assert order.state == before
