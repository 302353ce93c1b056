"""Every write to prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import F, Max, Q

from apps.common.ids import SYSTEM, Actor
from apps.common.time import now
from apps.piles import gateway
from apps.piles.commands import Command, SetBillingModel
from apps.piles.enums import AlarmKind, ConnectorState, PileState
from apps.piles.models import Pile
from apps.piles.services import close_alarm, raise_alarm
from apps.pricing.enums import PushState, TaskState
from apps.pricing.errors import InvalidTariff, VersionMeanwhile
from apps.pricing.models import (
    PriceAssignment,
    PricePush,
    PriceTask,
    PriceTemplate,
    PriceVersion,
    RetailPrice,
)
from apps.pricing.selectors import effective_versions
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, prices_to_json
from apps.sites.models import Station
from apps.tenancy import features

log = structlog.get_logger(__name__)

MAX_TRIES = 10
RETRY_AFTER = timedelta(seconds=60)
MAX_PUSHES_PER_RUN = 1_000
MAX_TURNS_PER_RUN = 1_000
_TURNING = 7_203_391  # any number that no other advisory lock of ours has
UNDECIDED = (PushState.PENDING, PushState.SENT, PushState.FAILED)
"""Pushes that are not done and still needed."""
IN_FORCE = (TaskState.RUNNING, TaskState.DONE)
"""Tasks whose prices have begun and were not taken back."""
FIVE_CLASSES = "five_rate_classes"
"""Why a push failed: its prices have a deep valley, and the pile knows four classes."""


def create_template(*, name: str, tariff: Tariff, actor: Actor, note: str = "") -> PriceVersion:
    """Make a template and its first version. Raises InvalidTariff."""
    with transaction.atomic():
        template = PriceTemplate.objects.create(name=name, note=note)
        return add_version(template=template, tariff=tariff, actor=actor)


def add_version(
    *, template: PriceTemplate, tariff: Tariff, actor: Actor, after: int | None = None
) -> PriceVersion:
    """Add an immutable version with the next number. A price changes by a new version, never in place.

    The four classes that every pile knows must have prices, and 48 half-hours a class. Raises InvalidTariff, and
    VersionMeanwhile where the newest is not number `after`, which the editor began with.
    """
    if not tariff.slots:
        raise InvalidTariff(reason="48 half-hours are needed")
    for rate_class in (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY):
        if rate_class not in tariff.prices:
            raise InvalidTariff(reason=f"no price for {rate_class.value}")
    with transaction.atomic():
        PriceTemplate.objects.select_for_update().get(pk=template.pk)
        last = template.versions.aggregate(last=Max("number"))["last"] or 0
        if after is not None and after != last:
            raise VersionMeanwhile(number=last)
        prices = {}
        for rate_class, price in tariff.prices.items():
            prices[f"{rate_class.value}_electricity"] = price.electricity
            prices[f"{rate_class.value}_service"] = price.service
        return PriceVersion.objects.create(
            template=template,
            number=last + 1,
            billing_model_no=_next_model_no(),
            slots="".join(str(rate_class.code) for rate_class in tariff.slots),
            created_by=str(actor),
            **prices,
        )


def _next_model_no() -> str:
    """Return an unused billing model number: four decimal digits, which every pile takes (some read it as BCD)."""
    used = (
        PriceVersion.objects.select_for_update()
        .order_by("-id")
        .values_list("billing_model_no", flat=True)
        .first()
    )
    number = int(used or "0") + 1
    if number > 9999:
        raise InvalidTariff(reason="all 9999 billing model numbers are used")
    return f"{number:04d}"


def assign(
    *,
    version: PriceVersion,
    starts_at: datetime,
    actor: Actor,
    station: Station | None = None,
    pile: Pile | None = None,
) -> PriceAssignment:
    """Let a version apply to a station or to one pile from `starts_at` on. Its piles are queued once it begins."""
    with transaction.atomic():
        assignment = PriceAssignment.objects.create(
            version=version, station=station, pile=pile, starts_at=starts_at, created_by=str(actor)[:100]
        )
        turn_prices()
    return assignment


def prices_follow(*, pile_ids: list[int], station_id: int) -> None:
    """Queue what is in force at a station for piles that were moved there. A pile's own price goes before it."""
    with transaction.atomic():
        queue_current(places=[(pile_id, station_id) for pile_id in sorted(pile_ids)], at=now())


def turn_prices(*, at: datetime | None = None) -> int:
    """Queue the piles of every place where a price began or ended for what is in force now. Returns how many places.

    Each beginning and each end is noticed once, by whoever comes first; a price that nobody noticed while the system
    was down is found afterwards.
    """
    moment = at or now()
    due = PriceAssignment.objects.filter(
        Q(begun_at=None, starts_at__lte=moment) | Q(over_at=None, ends_at__lte=moment)
    )
    if not due.exists():
        return 0
    with transaction.atomic():
        with (
            connection.cursor() as cursor
        ):  # one at a time in each tenant: it writes the pushes of many piles
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", [_TURNING])
        # Tasks go before their assignments; one that somebody else is at is left to the next run.
        tasks = PriceTask.objects.select_for_update(skip_locked=True).filter(pk__in=due.values("task"))
        task_ids = set(tasks.order_by("pk").values_list("pk", flat=True))
        rows = list(
            due.filter(Q(task=None) | Q(task__in=task_ids))
            .select_for_update(skip_locked=True, of=("self",))
            .order_by("id")[:MAX_TURNS_PER_RUN]
        )
        piles = Pile.objects.exclude(state=PileState.RETIRED).filter(
            Q(station__in={row.station_id for row in rows} - {None})
            | Q(pk__in={row.pile_id for row in rows} - {None})
        )
        queue_current(places=list(piles.values_list("pk", "station_id")), at=moment)
        for row in rows:
            row.begun_at = row.begun_at or moment
            row.over_at = moment if row.ends_at and row.ends_at <= moment else None
        PriceAssignment.objects.bulk_update(rows, ["begun_at", "over_at"], batch_size=500)
        note_progress(task_ids=task_ids)
    log.info("prices_turned", places=len(rows))
    return len(rows)


def queue_current(*, places: Sequence[tuple[int, int]], at: datetime) -> None:
    """Queue for each (pile id, station id) the version in force at `at`, unless the pile took it last.

    What else was queued for these piles is not needed any more.
    """
    versions = effective_versions(places=places, at=at)
    wanted = {pile_id: version.pk for pile_id, version in versions.items()}
    others = PricePush.objects.filter(pile__in=[pile_id for pile_id, _ in places])
    list(others.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    taken: dict[int, int] = dict(
        others.filter(state=PushState.DONE)
        .order_by("pile_id", "-done_at")
        .distinct("pile_id")
        .values_list("pile_id", "version_id")
    )
    undecided = set(others.filter(state__in=UNDECIDED).values_list("pile_id", flat=True))
    others.filter(state__in=UNDECIDED).update(state=PushState.SUPERSEDED, reason="", updated_at=now())
    by_version: dict[int, list[int]] = {}
    for pile_id, version_id in sorted(wanted.items()):
        if taken.get(pile_id) != version_id or pile_id in undecided:
            by_version.setdefault(version_id, []).append(pile_id)
    known = {version.pk: version for version in versions.values()}
    for version_id, pile_ids in sorted(by_version.items()):
        queue_pushes(version=known[version_id], pile_ids=pile_ids)


def note_progress(*, task_ids: set[int]) -> None:
    """Set the states of tasks by what of their prices has begun and what is over."""
    open_states = [TaskState.SCHEDULED, TaskState.RUNNING]
    tasks = PriceTask.objects.select_for_update().filter(pk__in=task_ids, state__in=open_states)
    for task in tasks.order_by("pk"):
        rows = list(task.assignments.values_list("begun_at", "over_at", "is_temporary"))
        to_come = any(begun is None for begun, _over, _temporary in rows)
        begun = any(begun is not None for begun, _over, _temporary in rows)
        lasting = any(begun and temporary and over is None for begun, over, temporary in rows)
        state = TaskState.SCHEDULED if not begun else TaskState.RUNNING
        if not to_come and not lasting:
            state = TaskState.DONE
        if state != task.state:
            task.state = state
            task.save(update_fields=["state", "updated_at"])


def set_retail_price(
    *,
    station: Station,
    prices: Mapping[RateClass, ClassPrice],
    starts_at: datetime,
    actor: Actor,
    note: str = "",
) -> RetailPrice:
    """Let drivers pay `prices` at a station from `starts_at` on; no prices: what the piles count by.

    A class that `prices` leave out is sold at its infrastructure price. Charges that are running keep the prices that
    they started with. Raises FeatureMissing where the tenant's package has no retail prices; ending them is free.
    """
    if prices:
        features.require("retail_prices")
    return RetailPrice.objects.create(
        station=station,
        prices=prices_to_json(prices),
        starts_at=starts_at,
        note=note,
        created_by=str(actor)[:100],
    )


def queue_pushes(*, version: PriceVersion, pile_ids: list[int]) -> None:
    """Queue a version for piles; one that was done or failed before starts anew."""
    PricePush.objects.bulk_create(
        [PricePush(pile_id=pile_id, version=version) for pile_id in pile_ids],
        update_conflicts=True,
        unique_fields=["pile", "version"],
        update_fields=["state", "tries", "reason", "tried_at", "done_at"],
    )


def push_due_prices(*, at: datetime | None = None, station_id: int | None = None) -> int:
    """Send 0x58 for every queued push that is due: in force now, pile online and not charging. Returns how many.

    Prices that began or ended since the last time are noticed first.
    A pile that charges keeps its model until it is idle (YKC V1.6, 7.1). Retried a minute after a silent or failed
    try, at most MAX_TRIES times; then an alarm stays open until a try succeeds. Prices with five rate classes are not
    sent to a pile that knows four: such a push is failed with an alarm, and goes out once the pile knows five.
    """
    moment = at or now()
    while turn_prices(at=moment) == MAX_TURNS_PER_RUN:
        pass
    waiting = (
        PricePush.objects.filter(pile__is_online=True, pile__state=PileState.IN_SERVICE, tries__lt=MAX_TRIES)
        .filter(state__in=UNDECIDED)
        .filter(Q(tried_at=None) | Q(tried_at__lt=moment - RETRY_AFTER))
        .exclude(pile__connectors__status__state=ConnectorState.CHARGING)
    )
    if station_id is not None:
        waiting = waiting.filter(pile__station_id=station_id)
    pushes = list(waiting.select_related("pile", "version")[:MAX_PUSHES_PER_RUN])
    current = effective_versions(places=[(push.pile_id, push.pile.station_id) for push in pushes], at=moment)
    sent = 0
    for push in pushes:
        if push.version != current.get(push.pile_id):
            continue  # not yet in force, or superseded
        if _has_too_many_classes(push.version, push.pile):
            _fail_five_classes([push], moment)
            continue
        with transaction.atomic():
            claimed = PricePush.objects.filter(pk=push.pk, tries=push.tries).update(
                state=PushState.SENT, tries=F("tries") + 1, tried_at=moment
            )
            if claimed:
                command = SetBillingModel(
                    billing_model_no=push.version.billing_model_no,
                    tariff=push.version.to_tariff().to_json(),
                    push_id=push.pk,
                )
                gateway.send(pile=push.pile, command=command, actor=SYSTEM)
                sent += 1
    return sent


def price_commands(piles: Sequence[Pile]) -> dict[int, list[Command]]:
    """Return 0x58 with the prices in force for each pile that can take them now, and note the push as sent.

    A pile that charges keeps its model until it is idle (YKC V1.6, 7.1): it is queued, and pushed then. Nothing for
    piles without a price. Prices with five rate classes are not sent to a pile that knows four: that push is failed
    with an alarm.
    """
    moment = now()
    versions = effective_versions(places=[(pile.pk, pile.station_id) for pile in piles], at=moment)
    unfit = {
        pile.pk for pile in piles if pile.pk in versions and _has_too_many_classes(versions[pile.pk], pile)
    }
    charging = set(
        Pile.objects.filter(pk__in=versions, connectors__status__state=ConnectorState.CHARGING).values_list(
            "pk", flat=True
        )
    )
    with transaction.atomic():
        pushes = PricePush.objects.bulk_create(
            [
                PricePush(
                    pile_id=pile_id,
                    version=version,
                    state=PushState.PENDING if pile_id in charging else PushState.SENT,
                    tries=0 if pile_id in charging else 1,
                    tried_at=None if pile_id in charging else moment,
                )
                for pile_id, version in sorted(versions.items())
            ],
            update_conflicts=True,
            unique_fields=["pile", "version"],
            update_fields=["state", "tries", "reason", "tried_at", "done_at"],
        )
        _fail_five_classes(
            [push for push in pushes if push.pile_id in unfit],
            moment,
        )
    return {
        push.pile_id: [
            SetBillingModel(
                billing_model_no=push.version.billing_model_no,
                tariff=push.version.to_tariff().to_json(),
                push_id=push.pk,
            )
        ]
        for push in pushes
        if push.pile_id not in charging | unfit
    }


def _has_too_many_classes(version: PriceVersion, pile: Pile) -> bool:
    return not pile.five_prices and version.to_tariff().uses_five_classes


def _fail_five_classes(pushes: Sequence[PricePush], moment: datetime) -> None:
    """Fail pushes to piles that know four classes. It is no try: nothing was sent. Says it once in an alarm."""
    for push in pushes:
        known = push.state == PushState.FAILED and push.reason == FIVE_CLASSES
        push.state, push.reason, push.tries, push.tried_at = PushState.FAILED, FIVE_CLASSES, 0, moment
        push.save(update_fields=["state", "reason", "tries", "tried_at", "updated_at"])
        if not known:
            raise_alarm(
                kind=AlarmKind.PRICE_MISMATCH,
                pile_code=push.pile.pile_code,
                detail={"model": push.version.billing_model_no, "reason": FIVE_CLASSES},
            )


def push_answered(*, pile_code: str, accepted: bool) -> None:
    """Note a pile's answer 0x57 on the push that was sent to it last."""
    push = (
        PricePush.objects.filter(pile__pile_code=pile_code, state=PushState.SENT)
        .order_by("-tried_at")
        .first()
    )
    if push is not None:
        _finish(push, pile_code, accepted=accepted)


def pile_has_model(*, pile_code: str, billing_model_no: str, matches: bool) -> None:
    """Note what a pile said in 0x05: with the model in force its push is done, otherwise it asks for the model."""
    if matches:
        pushes = PricePush.objects.filter(
            pile__pile_code=pile_code, version__billing_model_no=billing_model_no
        )
        push = pushes.exclude(state=PushState.DONE).first()
        if push is not None:
            _finish(push, pile_code, accepted=True)


def model_delivered(*, pile_code: str, billing_model_no: str) -> None:
    """Note that a pile asked for its model with 0x09 and was answered with 0x0A; 0x05 confirms it at next login."""
    push = PricePush.objects.filter(
        pile__pile_code=pile_code, version__billing_model_no=billing_model_no
    ).exclude(state=PushState.DONE)
    for row in push:
        _finish(row, pile_code, accepted=True)


def _finish(push: PricePush, pile_code: str, *, accepted: bool) -> None:
    push.state = PushState.DONE if accepted else PushState.FAILED
    push.reason = "" if accepted else "refused"
    push.done_at = now() if accepted else None
    push.save(update_fields=["state", "reason", "done_at", "updated_at"])
    if accepted:
        close_alarm(kind=AlarmKind.PRICE_MISMATCH, pile_code=pile_code)
    else:
        raise_alarm(
            kind=AlarmKind.PRICE_MISMATCH,
            pile_code=pile_code,
            detail={"model": push.version.billing_model_no},
        )
