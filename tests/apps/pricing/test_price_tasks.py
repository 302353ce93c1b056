"""Price tasks: when and where they apply, what the piles get, who approves, and how they are taken back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, connections
from django_tenants.utils import schema_context

from apps.backoffice.approvals import approve, reject, withdraw
from apps.backoffice.errors import ObjectChanged, ReasonMissing
from apps.backoffice.models import Approval
from apps.common.ids import SYSTEM, Actor
from apps.common.time import SHANGHAI, business_day, day_bounds, now
from apps.piles.models import Pile, PileCommand
from apps.pricing import price_tasks, services
from apps.pricing.calendar import Window, windows
from apps.pricing.changes import request_roll_back
from apps.pricing.enums import DayKind, PushState, TaskDays, TaskState
from apps.pricing.errors import (
    DayHasBegun,
    DaysInvalid,
    NoEarlierPrice,
    NothingToPush,
    NotInForce,
    TaskInvalid,
    TaskStateWrong,
)
from apps.pricing.models import Holiday, PriceAssignment, PricePush, PriceTask
from apps.pricing.price_tasks import Entry, Place
from apps.pricing.selectors import (
    effective_prices,
    effective_version_ids,
    effective_versions,
    station_versions,
)
from tests import factories
from tests.apps.pricing.test_changes import FLAT, priced

ZHANG, WANG = Actor("staff", "9001", "张三"), Actor("staff", "9002", "王芳")
SMALL = priced(FLAT, "0.88000", "0.40000")  # 10 % more
LARGE = priced(FLAT, "1.60000", "0.40000")  # 100 % more
HOLIDAY, WORKDAY = DayKind.HOLIDAY, DayKind.WORKDAY


def at(day: str, clock: str = "00:00") -> datetime:
    return datetime.fromisoformat(f"{day} {clock}").replace(tzinfo=SHANGHAI)


# --- The calendar, without tables ---

OCTOBER = {
    **{date(2026, 10, day): HOLIDAY for day in range(1, 8)},
    date(2026, 10, 10): WORKDAY,  # a Saturday
}


@pytest.mark.parametrize(
    ("days", "start", "end", "found"),
    [
        (TaskDays.ALL, at("2026-10-01", "08:00"), None, [(at("2026-10-01", "08:00"), None)]),
        (TaskDays.HOLIDAYS, at("2026-09-20"), at("2026-12-01"), [(at("2026-10-01"), at("2026-10-08"))]),
        # Clipped at both ends.
        (
            TaskDays.HOLIDAYS,
            at("2026-10-03", "09:30"),
            at("2026-10-05", "22:00"),
            [(at("2026-10-03", "09:30"), at("2026-10-05", "22:00"))],
        ),
        # 26/27 September is a weekend; the Saturday of 10 October is worked.
        (
            TaskDays.REST_DAYS,
            at("2026-09-24"),
            at("2026-10-15"),
            [
                (at("2026-09-26"), at("2026-09-28")),
                (at("2026-10-01"), at("2026-10-08")),
                (at("2026-10-11"), at("2026-10-12")),
            ],
        ),
        (TaskDays.HOLIDAYS, at("2026-11-01"), at("2026-12-01"), []),
    ],
)
def test_the_stretches_of_a_calendar(days: TaskDays, start: Any, end: Any, found: Any) -> None:
    made = windows(days=days, starts_at=start, ends_at=end, calendar=OCTOBER)
    assert made == [Window(*pair) for pair in found]


# --- What is in force ---


@pytest.fixture
def pile(tenant: Any) -> Any:
    return factories.a_pile()


def in_force(pile: Any, moment: datetime) -> Any:
    """The version, by every way to ask; they all say the same."""
    place = (pile.pk, pile.station_id)
    one = effective_prices(pile_id=pile.pk, station_id=pile.station_id, at=moment)
    many = effective_versions(places=[place], at=moment).get(pile.pk)
    assert effective_version_ids(places=[place], at=moment) == ({pile.pk: many.pk} if many else {})
    assert (one[0] if one else None) == many
    if not pile.prices.exists():
        assert station_versions(station_ids=[pile.station_id], at=moment).get(pile.station_id) == many
    return many


def test_a_price_for_a_time_goes_before_one_without_an_end_and_ends_by_itself(pile: Any) -> None:
    base, later = in_force(pile, now()), factories.a_price()
    moment = now()
    task = factories.a_price_task(
        pile.station, starts_at=moment + timedelta(days=1), ends_at=moment + timedelta(days=4)
    )
    services.assign(version=later, station=pile.station, starts_at=moment + timedelta(days=2), actor=SYSTEM)
    expected = {0: base, 1: task.version, 3: task.version, 4: later}
    assert {days: in_force(pile, moment + timedelta(days=days, seconds=1)) for days in expected} == expected
    own = factories.a_price(pile=pile)
    assert in_force(pile, moment + timedelta(days=2)) == own  # the pile's own goes before its station's


def push_of(pile: Any, version: Any) -> PricePush:
    return PricePush.objects.get(pile=pile, version=version)


def take(pile: Any, moment: datetime) -> str:
    """Push what is due and let the pile take it; returns the model that it got."""
    services.push_due_prices(at=moment)
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    command = PileCommand.objects.filter(pile=pile).latest("id")
    return str(command.payload["billing_model_no"])


def test_piles_get_the_price_at_its_start_and_the_old_one_back_at_its_end(pile: Any) -> None:
    base = in_force(pile, now())
    assert take(pile, now()) == base.billing_model_no
    neighbour = factories.a_pile(station=pile.station, priced=False)
    PricePush.objects.filter(pile=neighbour).delete()
    task = factories.a_price_task(pile.station)
    assert (task.state, task.assignments.count()) == (TaskState.SCHEDULED, 1)
    assert not PricePush.objects.filter(version=task.version).exists()
    assert services.push_due_prices(at=task.starts_at - timedelta(seconds=1)) == 0
    assert services.push_due_prices(at=task.starts_at) == 2
    task.refresh_from_db()
    assert task.state == TaskState.RUNNING
    assert services.turn_prices(at=task.starts_at) == 0  # noticed once
    services.push_answered(pile_code=pile.pile_code, accepted=True)
    services.push_answered(pile_code=neighbour.pile_code, accepted=False)
    assert push_of(pile, task.version).state == PushState.DONE
    assert push_of(neighbour, task.version).state == PushState.FAILED
    assert take(pile, task.ends_at) == base.billing_model_no
    task.refresh_from_db()
    assert task.state == TaskState.DONE
    assert push_of(neighbour, task.version).state == PushState.SUPERSEDED
    assert push_of(neighbour, base).state == PushState.SENT


def test_prices_for_later_do_not_stand_in_the_way_of_those_that_are_due(pile: Any, monkeypatch: Any) -> None:
    take(pile, now())
    monkeypatch.setattr(services, "MAX_PUSHES_PER_RUN", 1)
    for _ in range(3):
        services.assign(
            version=factories.a_price(),
            station=pile.station,
            starts_at=now() + timedelta(days=9),
            actor=SYSTEM,
        )
    second = factories.a_price(SMALL, station=pile.station)
    services.assign(version=second, station=pile.station, starts_at=now(), actor=SYSTEM)
    assert services.push_due_prices() == 1
    assert push_of(pile, second).state == PushState.SENT


def test_a_task_of_several_places_and_of_one_pile(pile: Any) -> None:
    other, single = factories.a_pile(), factories.a_pile()
    neighbour = factories.a_pile(station=single.station, priced=False)
    places = [Place(station=pile.station), Place(station=other.station), Place(pile=single)]
    task = factories.a_price_task(places=places, starts_at=now(), ends_at=None)
    assert task.state == TaskState.DONE  # without an end there is nothing to wait for
    moment = now()
    assert {in_force(one, moment) for one in (pile, other, single)} == {task.version}
    assert in_force(neighbour, moment) != task.version
    assert set(PricePush.objects.filter(version=task.version).values_list("pile_id", flat=True)) == {
        pile.pk,
        other.pk,
        single.pk,
    }


def test_a_pile_that_was_moved_gets_the_prices_of_its_new_station(pile: Any) -> None:
    take(pile, now())
    other = factories.a_pile()
    Pile.objects.filter(pk=pile.pk).update(station=other.station)
    services.prices_follow(pile_ids=[pile.pk], station_id=other.station_id)
    pile.refresh_from_db()
    assert take(pile, now()) == in_force(pile, now()).billing_model_no


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"places": []}, "请选择充电站"),
        ({"ends_at": at("2020-01-01")}, "结束时间"),
        ({"days": TaskDays.HOLIDAYS, "ends_at": None}, "须填写结束时间"),
        ({"days": TaskDays.HOLIDAYS, "ends_at": now() + timedelta(days=401)}, "400"),
        ({"days": TaskDays.HOLIDAYS}, "没有"),
    ],
)
def test_what_no_task_can_be_made_of(pile: Any, words: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskInvalid) as error:
        factories.a_price_task(pile.station, **words)
    assert reason in str(error.value)
    assert not PriceTask.objects.exists()
    assert not Approval.objects.exists()


# --- Approval ---


def test_a_large_change_waits_and_applies_when_approved(pile: Any) -> None:
    cheap = factories.a_pile()
    factories.a_price(LARGE, station=cheap.station)
    places = [Place(station=cheap.station), Place(station=pile.station)]
    version = factories.a_price(LARGE)
    with pytest.raises(ReasonMissing):
        factories.a_price_task(places=places, version=version, actor=ZHANG, reason=" ")
    assert not PriceTask.objects.exists()
    task = factories.a_price_task(places=places, version=version, actor=ZHANG)
    assert (task.state, task.approval.amount) == (TaskState.WAITING, Decimal("100.00"))
    assert task.approval.changes["number of places"] == [None, "2"]
    assert not PriceAssignment.objects.filter(task=task).exists()
    approve(task.approval_id, WANG)
    task.refresh_from_db()
    assert task.state == TaskState.SCHEDULED
    rows = PriceAssignment.objects.filter(task=task).values_list(
        "station", "starts_at", "ends_at", "is_temporary"
    )
    expected = {(place.station.pk, task.starts_at, task.ends_at, True) for place in places}  # type: ignore[union-attr]
    assert set(rows) == expected


@pytest.mark.parametrize("end", [reject, withdraw])
def test_a_task_that_nobody_approves_never_applies(pile: Any, end: Any) -> None:
    task = factories.a_price_task(pile.station, version=factories.a_price(LARGE), actor=ZHANG)
    end(task.approval_id, WANG if end is reject else ZHANG, "不同意")
    task.refresh_from_db()
    assert (task.state, task.assignments.count()) == (TaskState.REFUSED, 0)


def test_another_price_meanwhile_voids_the_request(pile: Any) -> None:
    task = factories.a_price_task(pile.station, version=factories.a_price(LARGE), actor=ZHANG)
    factories.a_price(SMALL, station=pile.station)
    services.assign(version=factories.a_price(SMALL), station=pile.station, starts_at=now(), actor=SYSTEM)
    with pytest.raises(ObjectChanged):
        approve(task.approval_id, WANG)
    task.refresh_from_db()
    assert (task.state, task.assignments.count()) == (TaskState.REFUSED, 0)


def test_a_task_whose_time_is_over_when_it_is_approved(pile: Any) -> None:
    task = factories.a_price_task(pile.station, version=factories.a_price(LARGE), actor=ZHANG)
    PriceTask.objects.filter(pk=task.pk).update(
        starts_at=now() - timedelta(days=2), ends_at=now() - timedelta(days=1)
    )
    approval = approve(task.approval_id, WANG)
    assert (approval.state, approval.error[:6]) == ("failed", "无法创建该调")
    task.refresh_from_db()
    assert (task.state, task.assignments.count()) == (TaskState.REFUSED, 0)


# --- Cancelling and rolling back ---


def test_cancelling_before_anything_has_begun(pile: Any) -> None:
    task = factories.a_price_task(pile.station)
    assert price_tasks.cancel(task_id=task.pk).state == TaskState.CANCELLED
    assert not PriceAssignment.objects.filter(task=task).exists()
    for late in (task, factories.a_price_task(pile.station, starts_at=now(), ends_at=None)):
        with pytest.raises(TaskStateWrong):
            price_tasks.cancel(task_id=late.pk)


def test_rolling_back_puts_the_earlier_price_in_force_and_on_the_piles(pile: Any) -> None:
    base = in_force(pile, now())
    take(pile, now())
    task = factories.a_price_task(
        pile.station, version=factories.a_price(SMALL), starts_at=now(), ends_at=None
    )
    assert take(pile, now()) == task.version.billing_model_no
    approval = request_roll_back(task=task, actor=ZHANG, reason="录错了")
    assert approval.state == "executed"
    assert in_force(pile, now()) == base
    assert take(pile, now() + timedelta(minutes=2)) == base.billing_model_no
    task.refresh_from_db()
    assert task.state == TaskState.ROLLED_BACK
    with pytest.raises(TaskStateWrong):
        request_roll_back(task=task, actor=ZHANG, reason="再来一次")


def test_rolling_back_is_a_change_of_prices_too(pile: Any) -> None:
    base = in_force(pile, now())
    task = factories.a_price_task(
        pile.station, version=factories.a_price(LARGE), starts_at=now(), ends_at=None, actor=ZHANG
    )
    approve(task.approval_id, WANG)
    task.refresh_from_db()
    approval = request_roll_back(task=task, actor=ZHANG, reason="录错了")
    assert (approval.state, approval.amount) == ("pending", Decimal("50.00"))
    assert approval.changes["prices"][1]["flat"] == {"electricity": "0.80000", "service": "0.40000"}
    assert in_force(pile, now()) == task.version
    approve(approval.pk, WANG)
    assert in_force(pile, now()) == base


def test_what_cannot_be_rolled_back(pile: Any) -> None:
    bare = factories.a_pile(priced=False)
    first = factories.a_price_task(bare.station, starts_at=now(), ends_at=None)
    with pytest.raises(NoEarlierPrice):
        price_tasks.roll_back(task_id=first.pk)
    assert in_force(bare, now()) == first.version
    task = factories.a_price_task(pile.station, starts_at=now(), ends_at=None)
    newer = factories.a_price(SMALL)
    services.assign(version=newer, station=pile.station, starts_at=now(), actor=SYSTEM)
    with pytest.raises(NotInForce):
        price_tasks.roll_back(task_id=task.pk)
    assert in_force(pile, now()) == newer
    scheduled = factories.a_price_task(pile.station)
    with pytest.raises(TaskStateWrong):
        price_tasks.roll_back(task_id=scheduled.pk)


def test_failed_piles_are_tried_again(pile: Any) -> None:
    task = factories.a_price_task(pile.station, starts_at=now(), ends_at=None)
    with pytest.raises(NothingToPush):
        price_tasks.push_again(task=task)
    services.push_due_prices()
    services.push_answered(pile_code=pile.pile_code, accepted=False)
    PricePush.objects.update(tries=services.MAX_TRIES)
    assert services.push_due_prices(at=now() + timedelta(hours=1)) == 0
    assert price_tasks.push_again(task=task) == 1
    assert services.push_due_prices() == 1


# --- The holiday calendar ---


def day(ahead: int) -> date:
    return business_day(now()) + timedelta(days=ahead)


def spans(task: PriceTask) -> list[tuple[Any, Any]]:
    return [
        (business_day(start), business_day(end))
        for start, end in task.assignments.order_by("starts_at").values_list("starts_at", "ends_at")
    ]


def enter(*ahead: int, kind: DayKind = HOLIDAY) -> dict[str, Any]:
    return price_tasks.set_days(entries=[Entry(day(one), kind, "假日") for one in ahead], actor=ZHANG)


def test_days_to_come_follow_the_calendar(pile: Any) -> None:
    enter(10, 11, 20)
    task = factories.a_price_task(
        pile.station, days=TaskDays.HOLIDAYS, starts_at=now(), ends_at=day_bounds(day(40))[0]
    )
    assert spans(task) == [(day(10), day(12)), (day(20), day(21))]
    assert enter(12, 20) == {str(day(12)): [None, "节假日 假日"]}
    assert spans(task) == [(day(10), day(13)), (day(20), day(21))]
    enter(11, kind=WORKDAY)
    price_tasks.remove_day(day=day(20))
    assert spans(task) == [(day(10), day(11)), (day(12), day(13))]
    for late in (0, -1):
        with pytest.raises(DayHasBegun):
            enter(late)
        with pytest.raises(DayHasBegun):
            price_tasks.remove_day(day=day(late))


def test_a_stretch_that_runs_is_made_longer_or_shorter_and_keeps_its_start(pile: Any) -> None:
    Holiday.objects.create(day=day(0), kind=HOLIDAY, name="今天")
    task = factories.a_price_task(
        pile.station, days=TaskDays.HOLIDAYS, starts_at=now(), ends_at=day_bounds(day(40))[0]
    )
    assert (task.state, spans(task)) == (TaskState.RUNNING, [(day(0), day(1))])
    running = task.assignments.get()
    enter(1, 5)
    assert spans(task) == [(day(0), day(2)), (day(5), day(6))]
    price_tasks.remove_day(day=day(1))
    assert spans(task) == [(day(0), day(1)), (day(5), day(6))]
    kept = task.assignments.order_by("starts_at").first()
    assert kept is not None
    assert (kept.pk, kept.starts_at, kept.begun_at) == (running.pk, running.starts_at, running.begun_at)


@pytest.mark.parametrize("entries", [[], [1, 1], range(1, 102)])
def test_days_that_cannot_be_entered(tenant: Any, entries: Any) -> None:
    with pytest.raises(DaysInvalid):
        enter(*entries)
    assert not Holiday.objects.exists()


# --- At the same time ---


def at_once(*deeds: Any) -> list[Any]:
    barrier, results = Barrier(len(deeds)), [None] * len(deeds)

    def run(place: int, deed: Any) -> None:
        with schema_context("t_alpha"):
            barrier.wait()
            try:
                results[place] = deed()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                results[place] = type(error)
        connections.close_all()

    threads = [Thread(target=run, args=pair) for pair in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_beginning_and_rolling_back_at_once(committed: Any, time_machine: Any) -> None:
    pile = factories.a_pile()
    base = in_force(pile, now())
    start = now() + timedelta(minutes=1)
    task = factories.a_price_task(pile.station, starts_at=start, ends_at=None)
    begun = at_once(*[lambda: services.turn_prices(at=start + timedelta(seconds=1))] * 3)
    assert sorted(begun) == [0, 0, 1]
    time_machine.move_to(start)
    turn = lambda: services.turn_prices(at=now() + timedelta(minutes=1))  # noqa: E731
    results = at_once(*[lambda: price_tasks.roll_back(task_id=task.pk).state] * 2, turn, turn)
    assert sorted(map(str, results[:2])) == sorted([str(TaskStateWrong), TaskState.ROLLED_BACK.value])
    assert in_force(pile, now()) == base
    assert connection.schema_name == "t_alpha"
