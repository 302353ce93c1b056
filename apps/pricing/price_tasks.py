"""Price tasks: one version for several places, from a time on, for a time, or on the days of the holiday calendar.

A task is made waiting (`create`) and becomes assignments when it is approved (`carry_out`); `changes` asks for that.
Days to come follow the calendar: `follow_calendar` makes the assignments anew that have not begun.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from apps.common.ids import Actor
from apps.common.time import business_day, now
from apps.piles.enums import PileState
from apps.piles.models import Pile
from apps.pricing import services
from apps.pricing.calendar import Window, windows
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
from apps.pricing.models import Holiday, PriceAssignment, PricePush, PriceTask, PriceVersion
from apps.pricing.selectors import effective_versions, station_versions
from apps.sites.models import Station

log = structlog.get_logger(__name__)

LONGEST = timedelta(days=400)
"""How far ahead a task by the calendar reaches: as far as a year's holidays are known."""
MOST_DAYS = 100
"""That are entered in the calendar at a time: a year of holidays has some forty."""


@dataclass(frozen=True)
class Place:
    """A station, or one pile."""

    station: Station | None = None
    pile: Pile | None = None

    def __str__(self) -> str:
        return str(self.station or self.pile)

    @property
    def ids(self) -> tuple[int | None, int | None]:
        """Of the station, and of the pile."""
        return (self.station.pk if self.station else None, self.pile.pk if self.pile else None)


def places_of(task: PriceTask) -> list[Place]:
    """Return a task's stations and piles, by name and code."""
    stations = [Place(station=station) for station in task.stations.order_by("name", "pk")]
    return [*stations, *(Place(pile=pile) for pile in task.piles.order_by("pile_code"))]


def piles_of(task: PriceTask) -> QuerySet[Pile]:
    """Return the piles that a task concerns, but for retired ones."""
    of_stations = Q(station__in=task.stations.values("pk"))
    return Pile.objects.exclude(state=PileState.RETIRED).filter(
        of_stations | Q(pk__in=task.piles.values("pk"))
    )


def versions_at(
    places: Sequence[Place], at: datetime, *, but: PriceTask | None = None
) -> list[PriceVersion | None]:
    """Return the version in force at each place, in three queries; with `but`, as if that task were not there."""
    task = but.pk if but else None
    station_ids = [one.station.pk for one in places if one.station]
    pile_places = [(one.pile.pk, one.pile.station_id) for one in places if one.pile]
    stations = station_versions(station_ids=station_ids, at=at, but_task=task)
    piles = effective_versions(places=pile_places, at=at, but_task=task)
    return [
        stations.get(one.station.pk) if one.station else piles.get(one.pile.pk) if one.pile else None
        for one in places
    ]


def calendar(*, since: date) -> dict[date, DayKind]:
    """Return the kinds of the days that are entered from `since` on."""
    rows = Holiday.objects.filter(day__gte=since).values_list("day", "kind")
    return {day: DayKind(kind) for day, kind in rows}


def windows_of(
    *, days: TaskDays, starts_at: datetime, ends_at: datetime | None, at: datetime | None = None
) -> list[Window]:
    """Return when a task's prices apply from `at` (now) on, by the calendar as it is. One query at most."""
    moment = at or now()
    start = max(starts_at, moment)
    if ends_at is not None and ends_at <= start:
        return []
    known = {} if days == TaskDays.ALL else calendar(since=business_day(start))
    return windows(days=days, starts_at=start, ends_at=ends_at, calendar=known)


def check(
    *, days: TaskDays, starts_at: datetime, ends_at: datetime | None, places: Sequence[Place]
) -> list[Window]:
    """Return when such a task's prices would apply. Raises TaskInvalid where it cannot be made."""
    if not places:
        raise TaskInvalid(reason=_("choose a station, or enter a pile."))
    if ends_at is not None and ends_at <= max(starts_at, now()):
        raise TaskInvalid(reason=_("its end is not after its start, or is over."))
    if days != TaskDays.ALL:
        if ends_at is None:
            raise TaskInvalid(reason=_("prices for certain days need an end."))
        if ends_at - now() > LONGEST:
            raise TaskInvalid(reason=_("the end is more than %(days)s days away.") % {"days": LONGEST.days})
    found = windows_of(days=days, starts_at=starts_at, ends_at=ends_at)
    if not found:
        raise TaskInvalid(reason=_("the calendar has no such day in this time."))
    return found


def create(
    *,
    name: str,
    version: PriceVersion,
    places: Sequence[Place],
    starts_at: datetime,
    actor: Actor,
    days: TaskDays = TaskDays.ALL,
    ends_at: datetime | None = None,
    reason: str = "",
) -> PriceTask:
    """Make a task that waits. Raises TaskInvalid."""
    check(days=days, starts_at=starts_at, ends_at=ends_at, places=places)
    with transaction.atomic():
        task = PriceTask.objects.create(
            name=name,
            version=version,
            days=days,
            starts_at=starts_at,
            ends_at=ends_at,
            reason=reason[:200],
            created_by=str(actor)[:100],
        )
        task.stations.set([one.station for one in places if one.station])
        task.piles.set([one.pile for one in places if one.pile])
    return task


def carry_out(*, task_id: int, actor: Actor) -> PriceTask:
    """Make the assignments of an approved task; what of its time is over stays as it was.

    Raises TaskStateWrong unless it waits, TaskInvalid when all of its time is over.
    """
    with transaction.atomic():
        task = PriceTask.objects.select_for_update(of=("self",)).get(pk=task_id)
        if task.state != TaskState.WAITING:
            raise TaskStateWrong(state=TaskState(task.state).label)
        places = places_of(task)
        found = check(days=TaskDays(task.days), starts_at=task.starts_at, ends_at=task.ends_at, places=places)
        _assign(task, places, found, actor)
        task.state = TaskState.SCHEDULED
        task.save(update_fields=["state", "updated_at"])
        services.turn_prices()
        task.refresh_from_db()
    log.info("price_task_carried_out", task=task.pk, places=len(places), windows=len(found))
    return task


def _assign(task: PriceTask, places: Sequence[Place], found: Iterable[Window], actor: Actor) -> None:
    PriceAssignment.objects.bulk_create(
        (
            PriceAssignment(
                version_id=task.version_id,
                station=place.station,
                pile=place.pile,
                starts_at=window.start,
                ends_at=window.end,
                is_temporary=window.end is not None,
                task=task,
                created_by=str(actor)[:100],
            )
            for window in found
            for place in places
        ),
        batch_size=1_000,
    )


def refused(*, task_id: int) -> None:
    """Note that a task was not approved; one that waits no more stays as it is."""
    PriceTask.objects.filter(pk=task_id, state=TaskState.WAITING).update(
        state=TaskState.REFUSED, updated_at=now()
    )


def cancel(*, task_id: int) -> PriceTask:
    """Call a task off of which nothing has begun. Raises TaskStateWrong."""
    with transaction.atomic():
        task = PriceTask.objects.select_for_update(of=("self",)).get(pk=task_id)
        begun = task.assignments.filter(starts_at__lte=now())
        if task.state != TaskState.SCHEDULED or begun.exists():
            raise TaskStateWrong(state=TaskState(task.state).label)
        task.assignments.all().delete()
        task.state = TaskState.CANCELLED
        task.save(update_fields=["state", "updated_at"])
    return task


def _live(task: PriceTask, at: datetime) -> QuerySet[PriceAssignment]:
    return task.assignments.filter(Q(ends_at=None) | Q(ends_at__gt=at), starts_at__lte=at)


def concerned(task: PriceTask, places: Sequence[Place], at: datetime) -> list[Place]:
    """Return the places where it is the task whose price applies now."""
    live = set(_live(task, at).values_list("station_id", "pile_id"))
    return [
        place
        for place, version in zip(places, versions_at(places, at), strict=True)
        if version is not None and version.pk == task.version_id and place.ids in live
    ]


def can_roll_back(task: PriceTask) -> bool:
    """Whether the task has begun, and was not rolled back."""
    return task.state in services.IN_FORCE


def roll_back(*, task_id: int) -> PriceTask:
    """End a task's prices now: what applied before is in force again at once, and goes to the piles.

    Charges that are running keep the prices that they started with. Raises TaskStateWrong, NotInForce where none of
    its prices applies any more or ever will, NoEarlierPrice where a place would be left without a price.
    """
    with transaction.atomic():
        task = PriceTask.objects.select_for_update(of=("self",)).get(pk=task_id)
        if not can_roll_back(task):
            raise TaskStateWrong(state=TaskState(task.state).label)
        moment = now()
        to_come = task.assignments.filter(starts_at__gt=moment)
        changed = check_roll_back(task, moment)
        to_come.delete()
        _live(task, moment).update(ends_at=moment, updated_at=moment)
        task.state = TaskState.ROLLED_BACK
        task.save(update_fields=["state", "updated_at"])
        services.turn_prices(at=moment)
    log.info("price_task_rolled_back", task=task.pk, places=len(changed))
    return task


def check_roll_back(task: PriceTask, at: datetime) -> list[Place]:
    """Return the places where rolling back would change the price. Raises NotInForce, NoEarlierPrice."""
    places = places_of(task)
    changed = concerned(task, places, at)
    if not changed and not task.assignments.filter(starts_at__gt=at).exists():
        raise NotInForce
    for place, version in zip(changed, versions_at(changed, at, but=task), strict=True):
        if version is None:
            raise NoEarlierPrice(place=place)
    return changed


def push_again(*, task: PriceTask) -> int:
    """Queue the task's prices anew for those of its piles that did not take them. Returns how many.

    Raises NothingToPush where none of them is waiting for these prices.
    """
    with transaction.atomic():
        rows = PricePush.objects.filter(
            pile__in=piles_of(task), version=task.version_id, state__in=services.UNDECIDED
        ).exclude(state=PushState.PENDING, tries=0)
        ids = list(rows.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        if not ids:
            raise NothingToPush
        PricePush.objects.filter(pk__in=ids).update(
            state=PushState.PENDING, tries=0, reason="", tried_at=None, updated_at=now()
        )
    return len(ids)


# --- The holiday calendar ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A day as it is typed in or imported."""

    day: date
    kind: DayKind
    name: str


def set_days(*, entries: Sequence[Entry], actor: Actor) -> dict[str, list[Any]]:
    """Enter days in the calendar, over what they are there; tasks that follow it are planned anew.

    Returns what changed, {day: [before, after]}. Raises DayHasBegun for today and earlier days, DaysInvalid for none,
    a day twice, or more than MOST_DAYS.
    """
    days = [entry.day for entry in entries]
    if not entries or len(entries) > MOST_DAYS:
        raise DaysInvalid(reason=_("enter 1 to %(most)s days.") % {"most": MOST_DAYS})
    if len(set(days)) < len(days):
        raise DaysInvalid(reason=_("a day is there twice."))
    _only_to_come(min(days))
    with transaction.atomic():
        before = {row.day: row for row in Holiday.objects.select_for_update().filter(day__in=days)}
        Holiday.objects.bulk_create(
            [
                Holiday(day=entry.day, kind=entry.kind, name=entry.name, created_by=str(actor)[:100])
                for entry in entries
            ],
            update_conflicts=True,
            unique_fields=["day"],
            update_fields=["kind", "name", "created_by", "updated_at"],
        )
        follow_calendar()
    words = {
        str(entry.day): [_words(before[entry.day]) if entry.day in before else None, _words(entry)]
        for entry in entries
    }
    return {day: pair for day, pair in words.items() if pair[0] != pair[1]}


def remove_day(*, day: date) -> None:
    """Take a day out of the calendar: it is what its weekday says. Raises DayHasBegun."""
    _only_to_come(day)
    with transaction.atomic():
        Holiday.objects.filter(day=day).delete()
        follow_calendar()


def _words(entry: Entry | Holiday) -> str:
    return f"{DayKind(entry.kind).label} {entry.name}"


def _only_to_come(day: date) -> None:
    if day <= business_day(now()):
        raise DayHasBegun(day=day)


def follow_calendar() -> int:
    """Plan the tasks that follow the calendar anew from tomorrow on. Returns how many tasks that changed.

    A stretch that runs today gets a new end; those to come are made anew. What is over stays.
    """
    changed = 0
    with transaction.atomic():
        tasks = PriceTask.objects.select_for_update(of=("self",)).filter(
            state__in=[TaskState.SCHEDULED, TaskState.RUNNING, TaskState.DONE],
            days__in=[TaskDays.HOLIDAYS, TaskDays.REST_DAYS],
            ends_at__gt=now(),
        )
        for task in tasks.order_by("pk"):
            changed += _plan_anew(task)
    return changed


def _plan_anew(task: PriceTask) -> bool:
    moment = now()
    found = windows_of(days=TaskDays(task.days), starts_at=task.starts_at, ends_at=task.ends_at, at=moment)
    running = next((one for one in found if one.start <= moment), None)
    later = [one for one in found if one.start > moment]
    planned = task.assignments.filter(starts_at__gt=moment)
    before = {*_live(task, moment).values_list("ends_at"), *planned.values_list("starts_at", "ends_at")}
    after: set[Any] = {(one.start, one.end) for one in later}
    after |= {(running.end,)} if running else set()
    if before == after:
        return False
    if running:
        _live(task, moment).update(ends_at=running.end, updated_at=moment)
    planned.delete()
    _assign(task, places_of(task), later, Actor("system", name=task.created_by))
    if task.state == TaskState.DONE and (later or running):
        task.state = TaskState.RUNNING
        task.save(update_fields=["state", "updated_at"])
    services.note_progress(task_ids={task.pk})
    return True
