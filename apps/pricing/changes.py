"""How much prices change, and the second person that a large change needs before it applies anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from apps.backoffice import approvals
from apps.backoffice.approvals import Operation
from apps.backoffice.enums import ApprovalRule
from apps.backoffice.errors import ReasonMissing
from apps.backoffice.models import Approval
from apps.common.ids import Actor
from apps.common.time import now
from apps.piles.models import Pile
from apps.pricing import price_tasks, services
from apps.pricing.enums import TaskDays
from apps.pricing.errors import TaskStateWrong
from apps.pricing.models import PriceTask, PriceVersion
from apps.pricing.price_tasks import Place
from apps.pricing.selectors import effective_version, station_versions
from apps.pricing.tariff import Tariff
from apps.sites.models import Station

PERCENT = Decimal("0.01")
DEFAULT_PERCENT = Decimal(20)
MOST_PLACES_TOLD = 50
PARTS = (gettext_noop("electricity"), gettext_noop("service"))
"""Of a price, as `Tariff.to_json` names them and the second person reads them."""


def change_percent(old: Tariff, new: Tariff) -> Decimal | None:
    """Return the largest change of a price in any half hour, up or down, in per cent of the old one, two places.

    Electricity, service and their sum are each looked at. None where a price was zero and is not any more.
    """
    largest = Decimal(0)
    for before_class, after_class in zip(old.slots, new.slots, strict=True):
        before, after = old.prices[before_class], new.prices[after_class]
        for was, becomes in (
            (before.electricity, after.electricity),
            (before.service, after.service),
            (before.total, after.total),
        ):
            if was == becomes:
                continue
            if not was:
                return None
            largest = max(largest, abs(becomes - was) / was * 100)
    return largest.quantize(PERCENT)


def price_in_force(*, station: Station | None, pile: Pile | None, at: datetime) -> PriceVersion | None:
    """Return the version that applies at a station, or at one pile, at `at`."""
    if pile is not None:
        return effective_version(pile_id=pile.pk, station_id=pile.station_id, at=at)
    assert station is not None
    return station_versions(station_ids=[station.pk], at=at).get(station.pk)


def request_assignment(
    *,
    version: PriceVersion,
    starts_at: datetime,
    actor: Actor,
    reason: str,
    station: Station | None = None,
    pile: Pile | None = None,
    address: str | None = None,
) -> Approval:
    """Let a version apply to a station or a pile: at once where it changes prices little, else after a second person.

    How much is the tenant's rule for this operation, in per cent of the price in force. A place without a price has
    nothing to compare with. A reason is needed only where a second person is; ReasonMissing says so.
    """
    place: Any = pile or station
    current = price_in_force(station=station, pile=pile, at=max(starts_at, now()))
    percent = change_percent(current.to_tariff(), version.to_tariff()) if current else Decimal(0)
    if not reason.strip() and not approvals.needs_second_person(ASSIGN.code, percent):
        reason = str(version)
    payload = {
        "version": version.pk,
        "station": station.pk if station else None,
        "pile": pile.pk if pile else None,
        "starts_at": starts_at.isoformat(),
    }
    changes = {
        gettext_noop("price version"): [str(current) if current else None, str(version)],
        gettext_noop("starts at"): [None, starts_at],
        gettext_noop("prices"): [
            current.to_tariff().to_json()["prices"] if current else None,
            version.to_tariff().to_json()["prices"],
        ],
        gettext_noop("periods"): [
            _periods(current.to_tariff()) if current else None,
            _periods(version.to_tariff()),
        ],
    }
    return approvals.request(
        ASSIGN,
        place,
        payload,
        actor,
        reason,
        amount=percent,
        changes={name: pair for name, pair in changes.items() if pair[0] != pair[1]},
        address=address,
    )


def largest_change(
    before: Sequence[PriceVersion | None], after: Sequence[PriceVersion | None]
) -> Decimal | None:
    """Return the largest change between pairs of versions as `change_percent` does; without an earlier price, none."""
    pairs = {
        (old.pk, new.pk): (old, new)
        for old, new in zip(before, after, strict=True)
        if old and new and old != new
    }
    percents = [change_percent(old.to_tariff(), new.to_tariff()) for old, new in pairs.values()]
    if None in percents:
        return None
    return max((percent for percent in percents if percent is not None), default=Decimal("0.00"))


def request_task(
    *,
    name: str,
    version: PriceVersion,
    places: Sequence[Place],
    starts_at: datetime,
    actor: Actor,
    reason: str,
    days: TaskDays = TaskDays.ALL,
    ends_at: datetime | None = None,
    address: str | None = None,
) -> PriceTask:
    """Make a price task: carried out at once where it changes prices little everywhere, else after a second person.

    How much is the same rule as for one assignment; what counts is the place where prices change most, against what is
    in force there when the task first applies. Raises TaskInvalid, ReasonMissing.
    """
    found = price_tasks.check(days=days, starts_at=starts_at, ends_at=ends_at, places=places)
    before = price_tasks.versions_at(places, found[0].start)
    percent = largest_change(before, [version] * len(places))
    if not reason.strip() and not approvals.needs_second_person(ASSIGN.code, percent):
        reason = name
    with transaction.atomic():
        task = price_tasks.create(
            name=name,
            version=version,
            places=places,
            starts_at=starts_at,
            ends_at=ends_at,
            days=days,
            reason=reason,
            actor=actor,
        )
        changes: dict[str, Any] = {
            gettext_noop("price version"): [_names(before), str(version)],
            gettext_noop("places"): [None, [str(place) for place in places][:MOST_PLACES_TOLD]],
            gettext_noop("number of places"): [None, str(len(places))],
            gettext_noop("days"): [None, str(TaskDays(days).label)],
            gettext_noop("starts at"): [None, starts_at],
        }
        if ends_at is not None:
            changes[gettext_noop("ends at")] = [None, ends_at]
        changes |= _price_changes(before, [version])
        task.approval = approvals.request(
            ASSIGN,
            task,
            {"task": task.pk},
            actor,
            reason,
            amount=percent,
            changes=changes,
            address=address,
        )
        task.refresh_from_db(fields=["state"])
        task.save(update_fields=["approval", "updated_at"])
    return task


def request_roll_back(*, task: PriceTask, actor: Actor, reason: str, address: str | None = None) -> Approval:
    """Roll a task back: at once where that changes prices little, else after a second person.

    Raises ReasonMissing, TaskStateWrong, NotInForce, NoEarlierPrice.
    """
    moment = now()
    if not reason.strip():
        raise ReasonMissing
    if not price_tasks.can_roll_back(task):
        raise TaskStateWrong(state=task.get_state_display())  # type: ignore[attr-defined]
    places = price_tasks.check_roll_back(task, moment)
    after = price_tasks.versions_at(places, moment, but=task)
    before: list[PriceVersion | None] = [task.version] * len(places)
    return approvals.request(
        ASSIGN,
        task,
        {"roll_back": task.pk},
        actor,
        reason,
        amount=largest_change(before, after),
        changes={
            gettext_noop("price version"): [str(task.version), _names(after)],
            gettext_noop("number of places"): [None, str(len(places))],
            **_price_changes(before, after),
        },
        address=address,
    )


def _names(versions: Sequence[PriceVersion | None]) -> str | None:
    return ", ".join(sorted({str(version) for version in versions if version})) or None


def _price_changes(
    before: Sequence[PriceVersion | None], after: Sequence[PriceVersion | None]
) -> dict[str, Any]:
    """Return prices and periods before and after, for the second person; where several apply before, only after."""
    sides = []
    for versions in (before, after):
        found = {version.pk: version for version in versions if version}
        sides.append(next(iter(found.values())).to_tariff() if len(found) == 1 else None)
    old, new = sides
    pairs = {
        gettext_noop("prices"): [tariff.to_json()["prices"] if tariff else None for tariff in (old, new)],
        gettext_noop("periods"): [_periods(tariff) if tariff else None for tariff in (old, new)],
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _periods(tariff: Tariff) -> dict[str, str]:
    """Return {class: its periods of the day}."""
    found: dict[str, list[str]] = {}
    for period in tariff.periods():
        found.setdefault(period.rate_class.value, []).append(f"{period.start}–{period.end}")
    return {name: ", ".join(times) for name, times in found.items()}


def _place(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "station": Station.objects.get(pk=payload["station"]) if payload["station"] else None,
        "pile": Pile.objects.get(pk=payload["pile"]) if payload["pile"] else None,
    }


def _assign(payload: dict[str, Any], actor: Actor) -> None:
    """Never for the past: what was charged before the approval had its price."""
    if "task" in payload:
        price_tasks.carry_out(task_id=payload["task"], actor=actor)
        return
    if "roll_back" in payload:
        price_tasks.roll_back(task_id=payload["roll_back"])
        return
    services.assign(
        version=PriceVersion.objects.get(pk=payload["version"]),
        starts_at=max(datetime.fromisoformat(payload["starts_at"]), now()),
        actor=actor,
        **_place(payload),
    )


def _refused(payload: dict[str, Any]) -> None:
    if "task" in payload:
        price_tasks.refused(task_id=payload["task"])


def _price_now(row: Any, payload: dict[str, Any]) -> str:
    """What the second person compared with: the price that is in force at the place, or at each of a task's."""
    if isinstance(row, PriceTask):
        places = price_tasks.places_of(row)
        at = now() if "roll_back" in payload else max(row.starts_at, now())
        versions = price_tasks.versions_at(places, at)
        there = [
            f"{place.ids} {version.pk if version else ''}"
            for place, version in zip(places, versions, strict=True)
        ]
        return f"{row.state} {there}"
    current = price_in_force(**_place(payload), at=max(datetime.fromisoformat(payload["starts_at"]), now()))
    return str(current.pk if current else "")


ASSIGN = approvals.register(
    Operation(
        "pricing.assign",
        _("Change prices by more than the threshold"),
        "pricing.approve_assignment",
        execute=_assign,
        rule=ApprovalRule.ABOVE,
        threshold=DEFAULT_PERCENT,
        unit=approvals.PERCENT,
        version=_price_now,
        closed=_refused,
    )
)
