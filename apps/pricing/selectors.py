"""Which price applies where."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.pricing.models import PriceAssignment, PriceVersion


def effective_versions(*, places: Sequence[tuple[int, int]], at: datetime) -> dict[int, PriceVersion]:
    """Return {pile id: version in force at `at`} for (pile id, station id) pairs, in two queries.

    A pile's own assignment goes before its station's; of several the latest start wins. Piles without a price are
    left out.
    """
    own = _latest("pile_id", {pile for pile, _ in places}, at)
    general = _latest("station_id", {station for _, station in places}, at)
    found = ((pile, own.get(pile) or general.get(station)) for pile, station in places)
    return {pile: version for pile, version in found if version is not None}


def effective_version(*, pile_id: int, station_id: int, at: datetime) -> PriceVersion | None:
    """Return the version in force for one pile at `at`, or None.

    Every start needs it, so it is one query, in plain SQL: building it takes the ORM longer than PostgreSQL to answer.
    """
    versions = PriceVersion.objects.raw(
        """
        SELECT version.* FROM pricing_priceassignment assignment
          JOIN pricing_priceversion version ON version.id = assignment.version_id
         WHERE (assignment.pile_id = %s OR assignment.station_id = %s) AND assignment.starts_at <= %s
         ORDER BY assignment.pile_id IS NULL, assignment.starts_at DESC, assignment.id DESC
         LIMIT 1
        """,
        [pile_id, station_id, at],
    )
    return next(iter(versions), None)


def station_versions(*, station_ids: Sequence[int], at: datetime) -> dict[int, PriceVersion]:
    """Return {station id: version in force at `at`}, for lists of stations, in one query."""
    return _latest("station_id", set(station_ids), at)


def _latest(place: str, ids: set[int], at: datetime) -> dict[int, PriceVersion]:
    rows = (
        PriceAssignment.objects.select_related("version__template")
        .filter(**{f"{place}__in": ids}, starts_at__lte=at)
        .order_by(place, "-starts_at", "-id")
        .distinct(place)
    )
    return {getattr(row, place): row.version for row in rows}
