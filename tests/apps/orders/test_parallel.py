"""One car over two guns: one order, one hold, one bill."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from apps.common.errors import DomainError
from apps.common.time import now
from apps.orders import services, settling, watchdog
from apps.orders.enums import OrderState, RecordState
from apps.orders.guns import guns_of, shares
from apps.orders.ledger_check import differences
from apps.orders.models import Order, ParallelLeg, TransactionRecord
from apps.orders.selectors import progress
from apps.piles.enums import CommandKind, CommandState, ConnectorState
from apps.piles.models import Alarm, ConnectorStatus, PileCommand
from apps.piles.reports import StartAnswer, StopAnswer
from apps.piles.services import parallel_seen
from apps.wallet.services import wallet_of
from tests import factories
from tests.staff import boss

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.fixture(autouse=True)
def ledger_is_clean(tenant):
    yield
    assert differences() == []


def start(balance="80.00", **fields):
    """An order over both guns of a pile, in STARTING."""
    pile = factories.a_pile(guns=2, parallel=True)
    first, second = pile.connectors.order_by("code")
    return services.start_charge(
        customer=factories.a_customer(balance),
        connector_code=first.code,
        further_connectors=[second.code],
        request_key="k",
        **fields,
    )


def answer(order, place, *, accepted=True, reason="none"):
    gun = guns_of(order)[place]
    services.start_answered(
        StartAnswer(
            pile_code=order.connector.pile.pile_code,
            connector_no=gun.connector.connector_no,
            transaction_no=gun.transaction_no,
            accepted=accepted,
            reason=reason,
            is_parallel=True,
        )
    )
    order.refresh_from_db()


def answer_stop(order, place, *, accepted=True, reason="none"):
    services.stop_answered(
        StopAnswer(
            pile_code=order.connector.pile.pile_code,
            connector_no=guns_of(order)[place].connector.connector_no,
            accepted=accepted,
            reason=reason,
        )
    )
    order.refresh_from_db()


def see(order, place, state=ConnectorState.CHARGING, at=None):
    gun = guns_of(order)[place]
    moment = at or now()
    ConnectorStatus.objects.filter(connector=gun.connector).update(
        state=state, transaction_no=gun.transaction_no, reported_at=moment
    )
    services.connector_changed(
        transaction_no=gun.transaction_no,
        connector_code=gun.connector.code,
        state=state,
        energy_kwh="0.0000",
        reported_at=moment,
    )
    order.refresh_from_db()


def record(order, place, energies):
    gun = guns_of(order)[place]
    stored = factories.a_record(
        order, energies, transaction_no=gun.transaction_no, connector_no=gun.connector.connector_no
    )
    settling.settle_record(record_id=stored.pk)
    order.refresh_from_db()
    stored.refresh_from_db()
    return stored


def charging():
    order = start()
    for place in range(2):
        answer(order, place)
        see(order, place, at=now() - timedelta(hours=1))
    return order


def kinds(order):
    return [event.kind for event in order.events.order_by("id")]


def test_each_gun_is_sent_its_start_with_its_share_of_the_hold():
    order = start("80.01")
    commands = list(PileCommand.objects.order_by("id"))
    assert [row.kind for row in commands] == [CommandKind.START_PARALLEL] * 2
    assert [row.payload["balance"] for row in commands] == ["40.01", "40.00"]
    assert {row.payload["parallel_seq"] for row in commands} == {order.parallel_seq}
    leg = ParallelLeg.objects.get()
    assert [row.payload["transaction_no"] for row in commands] == [order.transaction_no, leg.transaction_no]
    assert leg.transaction_no.startswith(leg.connector.code)
    assert (order.state, order.hold_amount) == (OrderState.STARTING, Decimal("80.01"))
    assert wallet_of(customer=order.customer).held == Decimal("80.01")


def test_shares_add_up():
    assert shares(Decimal("100.00"), 3) == [Decimal("33.34"), Decimal("33.33"), Decimal("33.33")]


def test_both_guns_must_accept_and_the_first_that_charges_is_enough():
    order = start()
    answer(order, 0)
    assert "start_accepted" not in kinds(order)
    answer(order, 1)
    assert kinds(order).count("start_accepted") == 1
    see(order, 1)
    assert order.state == OrderState.CHARGING


def test_a_gun_that_refuses_fails_the_order_and_stops_both():
    order = start()
    answer(order, 0)
    answer(order, 1, accepted=False, reason="fault")
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "fault")
    assert PileCommand.objects.filter(kind=CommandKind.STOP).count() == 2
    assert wallet_of(customer=order.customer).available == Decimal("80.00")
    assert not ParallelLeg.objects.filter(is_live=True).exists()


def test_a_gun_that_refuses_while_the_other_charges_ends_the_charge():
    order = start()
    answer(order, 0)
    see(order, 0)
    answer(order, 1, accepted=False, reason="other")
    assert (order.state, order.stop_reason) == (OrderState.STOPPING, "start_failed")
    assert PileCommand.objects.filter(kind=CommandKind.STOP).count() == 2


def test_energies_of_both_guns_are_added_and_billed_once():
    order = charging()
    first = record(order, 1, {"flat": "10.0004", "peak": "0.0003"})
    assert (first.state, order.state) == (RecordState.WAITING, OrderState.CHARGING)
    assert not ParallelLeg.objects.get().is_live
    record(order, 0, {"flat": "5.0003"})
    assert (order.state, order.energy_kwh) == (OrderState.COMPLETED, Decimal("15.0010"))
    lines = {line.rate_class: line for line in order.lines.all()}
    assert (lines["flat"].electricity_fee, lines["flat"].service_fee) == (Decimal("12.00"), Decimal("6.00"))
    assert lines["flat"].energy_kwh == Decimal("15.0007")
    assert (lines["peak"].electricity_fee, lines["peak"].service_fee) == (Decimal("0.00"), Decimal("0.00"))
    assert order.payable == Decimal("18.00")
    assert set(TransactionRecord.objects.values_list("state", flat=True)) == {RecordState.SETTLED}
    assert wallet_of(customer=order.customer).available == Decimal("62.00")


def test_the_page_of_an_order_shows_the_records_of_both_guns():
    order = charging()
    records = {record(order, place, {"flat": "1.0000"}).pk for place in range(2)}
    shown = boss().get(f"/admin/orders/order/{order.pk}/change/").context_data["records"]
    assert {row["record"].pk for row in shown} == records


def test_rounding_is_of_the_sum_not_of_each_gun():
    order = charging()
    record(order, 0, {"flat": "0.0100"})
    record(order, 1, {"flat": "0.0100"})
    # 0.0200 kWh x 0.8 = 0.016 -> 0.02, x 0.4 = 0.008 -> 0.01; two bills of 0.0100 kWh would be 0.02 and 0.00.
    assert (order.electricity_fee, order.service_fee) == (Decimal("0.02"), Decimal("0.01"))


def test_the_end_of_one_gun_is_not_the_end_of_the_charge():
    order = charging()
    see(order, 1, ConnectorState.IDLE)
    assert order.ended_at is None
    assert ParallelLeg.objects.get().ended_at is not None
    see(order, 0, ConnectorState.IDLE)
    assert order.ended_at is not None
    assert kinds(order)[-2:] == ["gun_ended", "charging_ended"]


def test_a_stop_goes_to_each_gun():
    order = charging()
    services.stop_charge(order_no=order.order_no, actor=factories.SYSTEM)
    stops = PileCommand.objects.filter(kind=CommandKind.STOP).order_by("id")
    assert [row.payload["transaction_no"] for row in stops] == [gun.transaction_no for gun in guns_of(order)]
    answer_stop(order, 0)
    assert order.stop_confirmed_at is None
    answer_stop(order, 1)
    assert order.stop_confirmed_at is not None


def test_a_cancelled_start_that_waits_for_plugs_ends_with_the_last_answer():
    order = start()
    answer(order, 0, accepted=False, reason="not_plugged")
    services.stop_charge(order_no=order.order_no, actor=factories.SYSTEM)
    answer_stop(order, 0, accepted=False, reason="not_charging")
    assert order.state == OrderState.STARTING
    answer_stop(order, 1, accepted=False, reason="not_charging")
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "cancelled")
    assert wallet_of(customer=order.customer).available == Decimal("80.00")


def test_a_record_that_never_comes_leaves_the_order_to_a_person_and_a_late_one_settles_it():
    order = charging()
    record(order, 0, {"flat": "5.0000"})
    see(order, 0, ConnectorState.IDLE)
    see(order, 1, ConnectorState.IDLE)
    assert watchdog.watch_orders(at=now() + timedelta(minutes=9)) == 0
    assert watchdog.watch_orders(at=now() + timedelta(minutes=11)) == 1
    order.refresh_from_db()
    assert order.state == OrderState.ABNORMAL
    assert Alarm.objects.get(closed_at=None).kind == "missing_record"
    record(order, 1, {"flat": "5.0000"})
    assert (order.state, order.payable) == (OrderState.COMPLETED, Decimal("12.00"))
    assert not Alarm.objects.filter(closed_at=None).exists()


def test_a_lost_event_of_the_second_gun_is_caught_up():
    order = start()
    gun = guns_of(order)[1]
    ConnectorStatus.objects.filter(connector=gun.connector).update(
        state=ConnectorState.CHARGING, transaction_no=gun.transaction_no, reported_at=now()
    )
    assert watchdog.watch_orders() == 1
    order.refresh_from_db()
    assert order.state == OrderState.CHARGING


def test_a_start_that_reached_one_gun_only_fails():
    order = start()
    PileCommand.objects.filter(connector_no="02").update(state=CommandState.UNDELIVERED)
    assert watchdog.watch_orders() == 1
    order.refresh_from_db()
    assert (order.state, order.fail_reason) == (OrderState.FAILED, "undelivered")


def test_a_failed_start_with_a_record_of_one_gun():
    order = start()
    answer(order, 1, accepted=False, reason="fault")
    stored = record(order, 0, {})
    assert (stored.state, order.state) == (RecordState.WAITING, OrderState.FAILED)
    assert watchdog.watch_orders(at=now() + timedelta(minutes=9)) == 0
    assert watchdog.watch_orders(at=now() + timedelta(minutes=11)) == 1
    stored.refresh_from_db()
    order.refresh_from_db()
    assert (stored.state, order.state) == (RecordState.SETTLED, OrderState.FAILED)


def test_a_failed_start_whose_record_cannot_be_read_stops_no_other():
    orders = [start(), start()]
    for order in orders:
        answer(order, 1, accepted=False, reason="fault")
    broken, good = [record(order, 0, {}) for order in orders]
    TransactionRecord.objects.filter(pk=broken.pk).update(report={})
    assert watchdog.watch_orders(at=now() + timedelta(minutes=11)) == 1
    states = [TransactionRecord.objects.get(pk=stored.pk).state for stored in (broken, good)]
    assert states == [RecordState.WAITING, RecordState.SETTLED]


def test_a_failed_start_that_charged_all_the_same_is_a_persons_to_decide():
    order = start()
    answer(order, 1, accepted=False, reason="fault")
    stored = record(order, 0, {"flat": "3.0000"})
    assert watchdog.watch_orders(at=now() + timedelta(minutes=11)) == 1
    stored.refresh_from_db()
    order.refresh_from_db()
    assert (stored.state, order.state) == (RecordState.HELD, OrderState.ABNORMAL)


def test_a_record_of_a_gun_under_the_number_of_the_other():
    order = charging()
    leg = ParallelLeg.objects.get()
    stored = factories.a_record(order, {"flat": "1.0000"}, transaction_no=leg.transaction_no)
    settling.settle_record(record_id=stored.pk)
    stored.refresh_from_db()
    assert (stored.state, stored.reason) == (RecordState.QUARANTINED, "other_connector")


def test_a_gun_that_is_taken_takes_no_other_charge():
    order = charging()
    factories.put_online(order.connector.pile)
    for gun in guns_of(order):
        with pytest.raises(DomainError) as error:
            factories.a_started_order(connector=gun.connector)
        assert error.value.code == "piles.busy"


def test_the_database_keeps_two_charges_off_one_gun():
    order = charging()
    leg = ParallelLeg.objects.get()
    other = factories.a_started_order()
    with pytest.raises(IntegrityError, match="connector_one_live"), transaction.atomic():
        ParallelLeg.objects.create(order=order, connector=other.connector, transaction_no="1" * 32)
    copy = Order.objects.get(pk=other.pk)
    copy.pk, copy.order_no, copy.transaction_no, copy.request_key = None, "C1", "2" * 32, "other"
    copy.connector = leg.connector
    with pytest.raises(IntegrityError, match="connector_one_live"), transaction.atomic():
        copy.save(force_insert=True)


@pytest.mark.parametrize("further", ["same", "other"])
def test_guns_must_be_two_of_one_pile(further):
    connector = factories.a_connector()
    code = connector.code if further == "same" else factories.a_connector().code
    with pytest.raises(DomainError) as error:
        services.start_charge(
            customer=factories.a_customer(),
            connector_code=connector.code,
            further_connectors=[code],
            request_key="k",
        )
    assert error.value.code == "orders.guns_apart"
    assert Order.objects.count() == 0


def test_a_pile_must_be_known_to_charge_one_car_over_several_guns():
    first, second = factories.a_pile(guns=2).connectors.order_by("code")
    customer = factories.a_customer("80.00")
    both = {"connector_code": first.code, "further_connectors": [second.code]}
    with pytest.raises(DomainError) as error:
        services.start_charge(customer=customer, request_key="k", **both)
    assert error.value.code == "orders.one_gun_only"
    assert Order.objects.count() == 0
    parallel_seen(pile_code=first.pile.pile_code)
    assert len(guns_of(services.start_charge(customer=customer, request_key="k", **both))) == 2


def test_a_repeated_request_returns_the_order_and_with_other_guns_is_refused():
    order = start()
    again = {"customer": order.customer, "connector_code": order.connector.code, "request_key": "k"}
    second = guns_of(order)[1].connector.code
    assert services.start_charge(**again, further_connectors=[second]) == order
    with pytest.raises(DomainError) as error:
        services.start_charge(**again)
    assert error.value.code == "idempotency.key_reused"


def test_the_live_picture_adds_both_guns():
    order = charging()
    for gun, energy in zip(guns_of(order), ("3.0000", "4.5000"), strict=True):
        ConnectorStatus.objects.filter(connector=gun.connector).update(
            energy_kwh=Decimal(energy), amount_yuan=Decimal("2.0000"), voltage_v=400, current_a=100
        )
    seen = progress(order=Order.objects.get(pk=order.pk))
    assert (seen.energy_kwh, seen.amount, seen.power_kw) == (Decimal("7.5000"), Decimal("4.0000"), 80)
    assert (seen.voltage_v, seen.current_a) == (400, 200)
