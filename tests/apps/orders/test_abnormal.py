"""Orders that wait for a person: every way to close them, the second person, and what stays exact."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from apps.backoffice import approvals, diff
from apps.backoffice.approvals import approve
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.errors import AlreadyDecided, AlreadyRequested, ObjectChanged, ReasonMissing, SamePerson
from apps.backoffice.models import Approval, ApprovalPolicy, AuditEntry
from apps.common.ids import Actor
from apps.common.time import now
from apps.orders import abnormal, watchdog
from apps.orders.abnormal import (
    request_adjustment,
    request_closing,
    request_force_end,
    request_recompute,
    request_settlement,
)
from apps.orders.enums import OrderState, RecordState
from apps.orders.errors import (
    EnergyInvalid,
    NotAbnormal,
    NotEndable,
    NothingToBill,
    OrderNotFound,
    StillCharging,
)
from apps.orders.ledger_check import differences
from apps.orders.models import BillingPolicy, Order, OrderEvent, TransactionRecord
from apps.orders.settling import settle_record
from apps.orders.wording import finding_words
from apps.piles.enums import ConnectorState
from apps.piles.models import Pile, PileCommand, Telemetry
from apps.piles.partitions import ensure_partitions
from apps.wallet.enums import HoldState
from apps.wallet.models import Hold
from tests import factories
from tests.apps.backoffice.test_approvals import at_once
from tests.staff import a_user, signed_in

ZHANG, WANG = Actor("staff", "9001", "张三"), Actor("staff", "9002", "王芳")
QUEUE = "/admin/orders/abnormalorder/"
BY_ZHANG = {"actor": ZHANG, "reason": "现场核对过"}


def fresh(order: Order) -> Order:
    return Order.objects.get(pk=order.pk)


def last_decision(order: Order) -> OrderEvent:
    return OrderEvent.objects.filter(order=order, data__has_key="requested_by").latest("id")


def hold_of(order: Order) -> Hold:
    return Hold.objects.get(order_no=order.order_no)


def lose_pile(order: Order, *, at: Any = None) -> None:
    Pile.objects.filter(connectors=order.connector_id).update(
        is_online=False, last_seen_at=(at or now()) - timedelta(days=2)
    )


def a_lost_order(**fields: object) -> Order:
    """An order whose record never came."""
    order = factories.a_charging_order(**fields)
    lose_pile(order)
    watchdog.watch_orders()
    found = fresh(order)
    assert found.state == OrderState.ABNORMAL
    return found


# --- Settle as proposed -----------------------------------------------------------------------------------


def test_it_is_settled_as_proposed_when_a_second_person_approves(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    asked = request_settlement(order_no=order.order_no, **BY_ZHANG)
    assert (asked.state, asked.amount) == (ApprovalState.PENDING, Decimal("12.00"))
    assert asked.changes == {
        "state": ["abnormal", "completed"],
        "energy (kWh)": [None, {"flat": "10.0000"}],
        "electricity_fee": [None, "8.00"],
        "service_fee": [None, "4.00"],
    }
    assert (fresh(order).state, hold_of(order).state) == (OrderState.ABNORMAL, HoldState.OPEN)
    with pytest.raises(SamePerson):
        approve(asked.pk, ZHANG)
    assert approve(asked.pk, WANG).state == ApprovalState.EXECUTED
    done = fresh(order)
    assert (done.state, done.payable, done.paid_principal, done.energy_kwh, done.verdict) == (
        OrderState.COMPLETED,
        Decimal("12.00"),
        Decimal("12.00"),
        Decimal("10.0000"),
        "flagged",
    )
    assert done.findings[0]["code"] == "meter_backwards"
    assert hold_of(order).state == HoldState.SETTLED
    record = order.records.get()
    assert (record.state, record.decided_by, record.decision) == (RecordState.SETTLED, "王芳", "现场核对过")
    event = last_decision(order)
    assert (event.kind, event.actor_name, event.data["requested_by"], event.data["approved_by"]) == (
        "settled_as_proposed",
        "王芳",
        "张三",
        "王芳",
    )
    assert differences() == []


def test_a_proposal_that_changed_meanwhile_is_not_settled(tenant: Any) -> None:
    order = factories.a_charging_order()
    report = factories.a_report(order, {"flat": "10.0000"})
    flat = replace(report.periods["flat"], loss_energy_kwh=Decimal("11.0000"))
    factories_record = factories.a_record(
        order,
        {"flat": "10.0000"},
        periods={**report.periods, "flat": flat},
        total_loss_energy_kwh=Decimal("11.0000"),
        meter_end=Decimal("0.0000"),
    )
    settle_record(record_id=factories_record.pk)
    asked = request_settlement(order_no=order.order_no, **BY_ZHANG)
    BillingPolicy.objects.update(energy_rule="loss")
    done = approve(asked.pk, WANG)
    assert done.state == ApprovalState.FAILED
    assert "13.20" in done.error
    assert (fresh(order).state, hold_of(order).state) == (OrderState.ABNORMAL, HoldState.OPEN)


# --- Recompute --------------------------------------------------------------------------------------------


def test_recomputing_after_the_policy_changed_settles_it(tenant: Any) -> None:
    order = factories.a_charging_order()
    odd = {"total_energy_kwh": Decimal("10.5000"), "meter_end": Decimal("1010.5000")}
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}, **odd).pk)
    assert fresh(order).state == OrderState.ABNORMAL
    done = request_recompute(order_no=order.order_no, **BY_ZHANG)
    assert (done.state, done.second_person) == (ApprovalState.EXECUTED, False)
    assert fresh(order).state == OrderState.ABNORMAL  # the audit still holds it
    BillingPolicy.objects.update(sum_tolerance_kwh=Decimal(1))
    request_recompute(order_no=order.order_no, **BY_ZHANG)
    again = fresh(order)
    assert (again.state, again.payable, again.verdict) == (OrderState.COMPLETED, Decimal("12.00"), "flagged")
    assert order.records.get().state == RecordState.SETTLED
    assert last_decision(order).kind == "recomputed"
    assert differences() == []


def test_recomputing_can_need_a_second_person_too(tenant: Any) -> None:
    ApprovalPolicy.objects.create(operation="orders.recompute", rule=ApprovalRule.ALWAYS)
    order = factories.an_abnormal_order()
    asked = request_recompute(order_no=order.order_no, **BY_ZHANG)
    assert asked.state == ApprovalState.PENDING
    approve(asked.pk, WANG)
    assert last_decision(order).data["approved_by"] == "王芳"


# --- Other energies ---------------------------------------------------------------------------------------


def test_other_energies_are_billed_at_frozen_prices(tenant: Any) -> None:
    order = factories.an_abnormal_order(customer=factories.a_customer("10.00"))
    factories.a_price(station=order.station)  # newer prices do not matter
    asked = request_adjustment(
        order_no=order.order_no, energies={"flat": "5.0000", "peak": "1.2345", "valley": "0"}, **BY_ZHANG
    )
    assert asked.amount == Decimal("12.00")  # the larger of what the record and what the person says
    assert asked.changes["energy (kWh)"] == [{"flat": "10.0000"}, {"peak": "1.2345", "flat": "5.0000"}]
    assert [(row.name, row.before, row.after) for row in diff.rows(asked.changes, asked.object_kind)] == [
        ("状态", "异常", "已完成"),
        ("电量（度） › 平", "10.0000", "5.0000"),
        ("电量（度） › 峰", "–", "1.2345"),
        ("电费（元）", "8.00", "5.48"),
        ("服务费（元）", "4.00", "2.74"),
    ]
    approve(asked.pk, WANG)
    done = fresh(order)
    lines = {
        line.rate_class: (line.energy_kwh, line.electricity_fee, line.service_fee)
        for line in done.lines.all()
    }
    assert lines == {
        "peak": (Decimal("1.2345"), Decimal("1.48"), Decimal("0.74")),
        "flat": (Decimal("5.0000"), Decimal("4.00"), Decimal("2.00")),
    }
    assert (done.state, done.payable, done.energy_kwh) == (
        OrderState.COMPLETED,
        Decimal("8.22"),
        Decimal("6.2345"),
    )
    event = last_decision(order)
    assert (event.kind, event.data["energies"], event.data["recorded"]) == (
        "adjusted",
        {"peak": "1.2345", "flat": "5.0000"},
        "10.0000",
    )
    assert differences() == []


def test_more_than_the_hold_becomes_a_debt(tenant: Any) -> None:
    order = factories.an_abnormal_order(customer=factories.a_customer("10.00"))
    asked = request_adjustment(order_no=order.order_no, energies={"flat": "20"}, **BY_ZHANG)
    approve(asked.pk, WANG)
    done = fresh(order)
    assert (done.payable, done.paid_principal, done.debt) == (
        Decimal("24.00"),
        Decimal("10.00"),
        Decimal("14.00"),
    )
    assert differences() == []


def test_an_order_without_a_record_is_closed_by_energies(tenant: Any) -> None:
    order = a_lost_order()
    for ask in (request_settlement, request_recompute):
        with pytest.raises(NothingToBill):
            ask(order_no=order.order_no, **BY_ZHANG)
    asked = request_adjustment(order_no=order.order_no, energies={"flat": "3"}, **BY_ZHANG)
    approve(asked.pk, WANG)
    done = fresh(order)
    assert (done.state, done.payable) == (OrderState.COMPLETED, Decimal("3.60"))
    assert done.lines.get().pile_amount in (None, Decimal(0))
    assert differences() == []
    # Its record comes after all: kept, and not billed again.
    late = settle_record(record_id=factories.a_record(done, {"flat": "3.1000"}).pk)
    assert (late.state, late.reason, fresh(order).payable) == (
        RecordState.QUARANTINED,
        "order_closed",
        Decimal("3.60"),
    )


@pytest.mark.parametrize(
    "energies",
    [
        {"flat": "-1"},
        {"flat": "NaN"},
        {"flat": "1e3"},
        {"flat": "1.23456"},
        {"flat": ""},
        {"flat": "99999999"},
        {"flat": 5},
        {"noon": "1"},
        {"deep_valley": "1"},
    ],
)
def test_bad_energies_are_refused(tenant: Any, energies: dict[str, str]) -> None:
    order = factories.an_abnormal_order()
    with pytest.raises(EnergyInvalid):
        request_adjustment(order_no=order.order_no, energies=energies, **BY_ZHANG)
    assert Approval.objects.count() == 0


# --- Close without a bill ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True])
def test_closing_without_a_bill_gives_the_hold_back(tenant: Any, lost: bool) -> None:
    customer = factories.a_customer("50.00")
    order = a_lost_order(customer=customer) if lost else factories.an_abnormal_order(customer=customer)
    asked = request_closing(order_no=order.order_no, **BY_ZHANG)
    assert asked.amount == (None if lost else Decimal("12.00"))
    approve(asked.pk, WANG)
    done = fresh(order)
    assert (done.state, done.payable, done.energy_kwh) == (OrderState.COMPLETED, Decimal(0), Decimal(0))
    assert hold_of(order).state == HoldState.RELEASED
    customer.wallet.refresh_from_db()
    assert (customer.wallet.principal, customer.wallet.held_principal) == (Decimal("50.00"), Decimal("0.00"))
    assert {record.state for record in order.records.all()} == (set() if lost else {RecordState.REJECTED})
    assert last_decision(order).kind == "closed_without_bill"
    assert differences() == []


# --- Force end --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["charging", "stopping", "starting"])
def test_an_order_whose_pile_is_lost_is_ended_by_two_people(tenant: Any, state: str) -> None:
    order = factories.a_started_order() if state == "starting" else factories.a_charging_order()
    if state == "stopping":
        Order.objects.filter(pk=order.pk).update(state=OrderState.STOPPING, stop_requested_at=now())
    lose_pile(order)
    asked = request_force_end(order_no=order.order_no, **BY_ZHANG)
    assert fresh(order).state == state
    approve(asked.pk, WANG)
    ended = fresh(order)
    assert (ended.state, hold_of(order).state) == (OrderState.ABNORMAL, HoldState.OPEN)
    assert last_decision(order).kind == "force_ended"
    assert PileCommand.objects.filter(pile=order.connector.pile, kind="stop").count() == 0
    # Its gun is free for the next.
    Pile.objects.filter(connectors=order.connector_id).update(is_online=True)
    factories.put_online(order.connector.pile)
    factories.a_started_order(connector=order.connector)
    assert differences() == []
    # And its record still settles it.
    settle_record(record_id=factories.a_record(ended, {"flat": "10.0000"}).pk)
    assert fresh(order).state == OrderState.COMPLETED


def test_a_charge_that_goes_on_is_not_ended_by_hand(tenant: Any) -> None:
    order = factories.a_charging_order()
    with pytest.raises(StillCharging):
        request_force_end(order_no=order.order_no, **BY_ZHANG)
    lose_pile(order)
    asked = request_force_end(order_no=order.order_no, **BY_ZHANG)
    Pile.objects.filter(connectors=order.connector_id).update(is_online=True)  # it is back, and charges
    done = approve(asked.pk, WANG)
    assert (done.state, fresh(order).state) == (ApprovalState.FAILED, OrderState.CHARGING)


def test_a_pile_that_is_back_but_idle_is_told_to_stop(tenant: Any) -> None:
    order = factories.a_charging_order()
    factories.put_online(order.connector.pile, ConnectorState.IDLE)
    asked = request_force_end(order_no=order.order_no, **BY_ZHANG)
    approve(asked.pk, WANG)
    assert PileCommand.objects.filter(pile=order.connector.pile, kind="stop").count() == 1


def test_what_cannot_be_ended(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    with pytest.raises(NotEndable):
        request_force_end(order_no=order.order_no, **BY_ZHANG)
    with pytest.raises(OrderNotFound):
        request_force_end(order_no="C000", **BY_ZHANG)


# --- Guards -----------------------------------------------------------------------------------------------

ASKS = [
    request_recompute,
    request_settlement,
    request_closing,
    lambda **words: request_adjustment(energies={"flat": "1"}, **words),
]


@pytest.mark.parametrize("ask", ASKS)
def test_only_an_abnormal_order_is_decided(tenant: Any, ask: Any) -> None:
    with pytest.raises(NotAbnormal):
        ask(order_no=factories.a_charging_order().order_no, **BY_ZHANG)
    with pytest.raises(OrderNotFound):
        ask(order_no="nothing", **BY_ZHANG)
    with pytest.raises(ReasonMissing):
        ask(order_no=factories.an_abnormal_order().order_no, actor=ZHANG, reason=" ")


def test_one_decision_voids_the_others(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    close = request_closing(order_no=order.order_no, **BY_ZHANG)
    settle = request_settlement(order_no=order.order_no, **BY_ZHANG)
    with pytest.raises(AlreadyRequested):
        request_closing(order_no=order.order_no, **BY_ZHANG)
    approve(settle.pk, WANG)
    with pytest.raises(ObjectChanged):
        approve(close.pk, WANG)
    assert (fresh(order).payable, hold_of(order).state) == (Decimal("12.00"), HoldState.SETTLED)
    close.refresh_from_db()
    assert close.state == ApprovalState.STALE
    assert AuditEntry.objects.filter(action="backoffice.approval_voided").count() == 1


def test_a_record_that_comes_voids_what_was_asked_for(tenant: Any) -> None:
    order = a_lost_order()
    asked = request_adjustment(order_no=order.order_no, energies={"flat": "3"}, **BY_ZHANG)
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    assert fresh(order).state == OrderState.COMPLETED
    with pytest.raises(ObjectChanged):
        approve(asked.pk, WANG)
    assert fresh(order).payable == Decimal("12.00")
    assert differences() == []


def test_two_approvers_at_once_charge_once(committed: Any) -> None:
    order = factories.an_abnormal_order()
    asked = request_settlement(order_no=order.order_no, **BY_ZHANG)
    people = [Actor("staff", str(n), f"人{n}") for n in range(9002, 9006)]
    found = at_once(*[lambda who=who: approve(asked.pk, who) for who in people])
    assert sorted(type(one).__name__ for one in found) == ["AlreadyDecided"] * 3 + ["Approval"]
    assert {type(one) for one in found if isinstance(one, BaseException)} == {AlreadyDecided}
    assert fresh(order).payable == Decimal("12.00")
    assert differences() == []


def test_two_decisions_at_once_leave_one(committed: Any) -> None:
    order = factories.an_abnormal_order()
    close = request_closing(order_no=order.order_no, **BY_ZHANG)
    settle = request_settlement(order_no=order.order_no, **BY_ZHANG)
    found = at_once(lambda: approve(close.pk, WANG), lambda: approve(settle.pk, WANG))
    assert sorted(type(one).__name__ for one in found) == ["Approval", "ObjectChanged"]
    assert fresh(order).state == OrderState.COMPLETED
    assert differences() == []


def test_the_record_and_the_decision_at_once_bill_once(committed: Any) -> None:
    order = a_lost_order()
    asked = request_adjustment(order_no=order.order_no, energies={"flat": "3"}, **BY_ZHANG)
    record = factories.a_record(order, {"flat": "10.0000"})
    found = at_once(lambda: approve(asked.pk, WANG), lambda: settle_record(record_id=record.pk))
    assert not [one for one in found if isinstance(one, BaseException) and not isinstance(one, ObjectChanged)]
    record.refresh_from_db()
    by_record = record.state == RecordState.SETTLED
    assert fresh(order).payable == (Decimal("12.00") if by_record else Decimal("3.60"))
    assert record.state in (RecordState.SETTLED, RecordState.QUARANTINED)
    assert differences() == []


# --- Absurd records through the live settlement -----------------------------------------------------------

ABSURD: dict[str, dict[str, Any]] = {
    "meter backwards": {"meter_start": Decimal("1010.0000"), "meter_end": Decimal("1000.0000")},
    "meter from the top to nothing": {"meter_start": Decimal("9999999.9999"), "meter_end": Decimal(0)},
    "total above the periods": {"total_energy_kwh": Decimal("11.0000")},
    "total below the periods": {"total_energy_kwh": Decimal("9.0000")},
    "a total of nothing": {"total_energy_kwh": Decimal("0.0000")},
    "the largest total of the wire": {"total_energy_kwh": Decimal("429496.7295")},
}


@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_record_waits_for_a_person_with_the_money_held(tenant: Any, name: str) -> None:
    order = factories.a_charging_order()
    record = factories.a_record(order, {"flat": "10.0000"}, **ABSURD[name])
    assert settle_record(record_id=record.pk).state == RecordState.HELD
    held = fresh(order)
    assert (held.state, held.verdict, held.payable) == (OrderState.ABNORMAL, "held", Decimal(0))
    assert hold_of(order).state == HoldState.OPEN
    assert held.findings
    assert differences() == []
    asked = request_settlement(order_no=order.order_no, **BY_ZHANG)
    approve(asked.pk, WANG)
    assert (fresh(order).state, fresh(order).payable) == (OrderState.COMPLETED, Decimal("12.00"))
    assert differences() == []


def test_a_total_without_periods_and_more_than_the_gun_can_give(tenant: Any) -> None:
    order = factories.a_charging_order()
    report = factories.a_report(order, {"flat": "10.0000"})
    empty = {name: replace(period, energy_kwh=Decimal(0)) for name, period in report.periods.items()}
    settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}, periods=empty).pk)
    assert fresh(order).findings[0]["code"] == "total_without_periods"
    assert fresh(order).state == OrderState.ABNORMAL

    order = factories.a_charging_order()
    settle_record(record_id=factories.a_record(order, {"flat": "5000.0000"}).pk)  # 120 kW for an hour
    found = fresh(order)
    assert (found.state, found.findings[0]["code"]) == (OrderState.ABNORMAL, "more_than_power_allows")
    assert found.findings[0]["data"]["limit"].startswith("132.")
    # Nobody pays 6,000 yuan by mistake: it is entered as it was.
    asked = request_adjustment(order_no=order.order_no, energies={"flat": "50"}, **BY_ZHANG)
    assert asked.amount == Decimal("6000.00")
    approve(asked.pk, WANG)
    assert fresh(order).payable == Decimal("60.00")
    assert differences() == []


# --- What was reported while charging ---------------------------------------------------------------------


def sample(order: Order, energy: str, at: Any) -> None:
    ensure_partitions(at=at)
    Telemetry.objects.bulk_create(
        [
            Telemetry(
                at=at,
                connector_id=order.connector_id,
                kind=0x13,
                transaction_no=order.transaction_no,
                energy_kwh=Decimal(energy),
            )
        ]
    )


def test_samples_are_shared_out_by_the_class_of_their_time(tenant: Any) -> None:
    order = a_lost_order()
    noon = (
        now().astimezone(UTC).replace(hour=3, minute=59, second=0, microsecond=0)
    )  # 11:59 in Shanghai: flat until 12:00
    for minutes, energy in ((0, "1.0000"), (-1, "0.9000"), (3, "2.5000"), (4, "2.5000"), (5, "0.0000")):
        sample(order, energy, noon + timedelta(minutes=minutes))
    Order.objects.filter(pk=order.pk).update(created_at=noon - timedelta(hours=1), ended_at=None)
    assert abnormal.sampled_energies(fresh(order)) == {"peak": Decimal("1.5000"), "flat": Decimal("1.0000")}


# --- Pages ------------------------------------------------------------------------------------------------


def desk(**options: Any) -> Any:
    return signed_in(
        a_user(
            "orders.view_abnormalorder",
            "orders.decide_abnormalorder",
            "orders.view_order",
            display_name="李四",
            **options,
        )
    )


@pytest.fixture
def chinese() -> Any:
    with translation.override("zh-hans"):
        yield


def test_the_queue_says_why_how_long_and_how_much(tenant: Any, chinese: Any) -> None:
    held, lost = factories.an_abnormal_order(customer=factories.a_customer("50.00")), a_lost_order()
    factories.a_charging_order()
    client = desk()
    answer = client.get(QUEUE)
    text = answer.content.decode()
    assert [row.order_no for row in answer.context["cl"].result_list] == [held.order_no, lost.order_no]
    row = answer.context["cl"].result_list[0]
    assert (row.why, row.held) == ("held_for_review", Decimal("50.00"))
    assert "50.00" in text
    assert "12.00" in text
    assert finding_words(held.findings[0]) in text
    request_closing(order_no=held.order_no, **BY_ZHANG)
    assert str(abnormal.CLOSE.title) in client.get(QUEUE).content.decode()
    assert client.get(f"{QUEUE}?why=record_missing").context["cl"].result_count == 1
    assert client.get(f"{QUEUE}?age=old").context["cl"].result_count == 0
    assert client.get(f"{QUEUE}?q={held.order_no}").context["cl"].result_count == 1
    rows = client.get(f"{QUEUE}export/").content.decode("utf-8-sig").splitlines()
    assert len(rows) == 3
    assert "12.00" in rows[1]


def test_a_longer_queue_asks_no_more(tenant: Any) -> None:
    client = desk()
    counts = []
    for more in (1, 2):
        for _ in range(more):
            factories.an_abnormal_order()
        with CaptureQueriesContext(connection) as asked:
            assert client.get(QUEUE).status_code == 200
        counts.append(len(asked))
    assert counts[0] == counts[1]


def test_the_workbench_shows_the_figures_side_by_side(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    text = desk().get(f"{QUEUE}{order.pk}/change/").content.decode()
    for figure in ("10.0000", "-10.0000", "12.00", "1.20"):
        assert figure in text, figure
    for page in ("recompute", "settle", "adjust", "close"):
        assert f"{QUEUE}{order.pk}/{page}/" in text
    reader = signed_in(a_user("orders.view_abnormalorder"))
    assert f"{QUEUE}{order.pk}/adjust/" not in reader.get(f"{QUEUE}{order.pk}/change/").content.decode()
    assert (
        reader.post(f"{QUEUE}{order.pk}/close/", {"_form_submitted": "on", "reason": "x"}).status_code == 403
    )
    assert Approval.objects.count() == 0


def test_from_the_dialog_to_the_second_person(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    page = f"{QUEUE}{order.pk}/adjust/"
    client = desk()
    dialog = client.get(page).content.decode()
    assert 'value="10.0000"' in dialog
    assert "deep_valley" not in dialog
    form = {
        "_form_submitted": "on",
        "sharp": "0",
        "peak": "0",
        "flat": "4.5",
        "valley": "0",
        "reason": "表计核对",
    }
    for wrong in ({"flat": "-1"}, {"flat": "x"}, {"flat": "1.23456"}, {"reason": ""}, {"flat": ""}):
        assert "hx-redirect" not in client.post(page, {**form, **wrong}).headers, wrong
    assert client.post(page, form).headers["hx-redirect"] == f"{QUEUE}{order.pk}/change/"
    asked = Approval.objects.get()
    assert (asked.requested_by_name, asked.payload["energies"]["flat"]) == ("李四", "4.5000")
    assert "表计核对" in client.get(f"{QUEUE}{order.pk}/change/").content.decode()

    second = signed_in(
        a_user("backoffice.view_approval", "orders.approve_abnormalorder", display_name="王五")
    )
    answer = second.post(
        f"/admin/backoffice/approval/{asked.pk}/approve/", {"_form_submitted": "on", "reason": ""}
    )
    assert answer.status_code == 200
    assert fresh(order).payable == Decimal("5.40")
    timeline = client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert "李四" in timeline
    assert "王五" in timeline
    assert "表计核对" in timeline


def test_a_decision_that_needs_nobody_else_leads_to_the_order(tenant: Any) -> None:
    ApprovalPolicy.objects.create(
        operation="orders.close_unbilled", rule=ApprovalRule.ABOVE, threshold=Decimal(20)
    )
    order = factories.an_abnormal_order()
    answer = desk().post(f"{QUEUE}{order.pk}/close/", {"_form_submitted": "on", "reason": "试桩"})
    assert answer.headers["hx-redirect"] == f"/admin/orders/order/{order.pk}/change/"
    assert fresh(order).state == OrderState.COMPLETED
    assert Approval.objects.get().second_person is False


def test_the_button_to_end_by_hand(tenant: Any) -> None:
    order = factories.a_charging_order()
    lose_pile(order)
    client = signed_in(a_user("orders.view_order", "orders.force_end_order"))
    page = f"/admin/orders/order/{order.pk}/force-end/"
    assert page in client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    client.post(page, {"_form_submitted": "on", "reason": "桩被拆走"})
    assert Approval.objects.get().operation == "orders.force_end"
    assert fresh(order).state == OrderState.CHARGING
    stranger = signed_in(a_user("orders.view_order"))
    assert page not in stranger.get(f"/admin/orders/order/{order.pk}/change/").content.decode()


def test_operations_are_known_with_their_permission() -> None:
    codes = {one.code for one in approvals.operations() if one.permission == "orders.approve_abnormalorder"}
    assert codes == {
        "orders.recompute",
        "orders.settle_as_proposed",
        "orders.adjust",
        "orders.close_unbilled",
        "orders.force_end",
    }


def test_nothing_here_loses_a_record(tenant: Any) -> None:
    order = factories.an_abnormal_order()
    asked = request_closing(order_no=order.order_no, **BY_ZHANG)
    approve(asked.pk, WANG)
    record = TransactionRecord.objects.get(order=order)
    assert (record.state, record.decision, bytes(record.body) != b"") == (
        RecordState.REJECTED,
        "现场核对过",
        True,
    )
