"""Which price applies where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

from django.db import connection
from django.db.models import Q, Subquery

from apps.common.prepared import Prepared
from apps.pricing.models import PriceAssignment, PriceVersion, RetailPrice
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, prices_from_json
from apps.sites.models import Station


def effective_versions(
    *, places: Sequence[tuple[int, int]], at: datetime, but_task: int | None = None
) -> dict[int, PriceVersion]:
    """Return {pile id: version in force at `at`} for (pile id, station id) pairs, in two queries.

    A pile's own assignment goes before its station's, one for a time before one without an end; of several the latest
    start wins. Piles without a price are left out. `but_task` leaves the prices of one price task out.
    """
    own = _latest("pile_id", {pile for pile, _ in places}, at, but_task)
    general = _latest("station_id", {station for _, station in places}, at, but_task)
    found = ((pile, own.get(pile) or general.get(station)) for pile, station in places)
    return {pile: version for pile, version in found if version is not None}


def effective_version_ids(*, places: Sequence[tuple[int, int]], at: datetime) -> dict[int, int]:
    """Return what `effective_versions` does with ids of versions in place of the versions, in one query.

    For thousands of piles that log in at once, all with few prices: in plain SQL with one argument for all of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            (SELECT DISTINCT ON (pile_id) pile_id, NULL::bigint, version_id FROM pricing_priceassignment
              WHERE pile_id = ANY (string_to_array(%s, ',')::bigint[])
                AND starts_at <= %s AND (ends_at IS NULL OR ends_at > %s)
              ORDER BY pile_id, is_temporary DESC, starts_at DESC, id DESC)
            UNION ALL
            (SELECT DISTINCT ON (station_id) NULL::bigint, station_id, version_id FROM pricing_priceassignment
              WHERE station_id = ANY (string_to_array(%s, ',')::bigint[])
                AND starts_at <= %s AND (ends_at IS NULL OR ends_at > %s)
              ORDER BY station_id, is_temporary DESC, starts_at DESC, id DESC)
            """,
            [
                ",".join(str(pile_id) for pile_id, _ in places),
                at,
                at,
                ",".join(map(str, {station_id for _, station_id in places})),
                at,
                at,
            ],
        )
        rows = cursor.fetchall()
    own = {pile_id: version_id for pile_id, _, version_id in rows if pile_id is not None}
    general = {station_id: version_id for _, station_id, version_id in rows if station_id is not None}
    found = ((pile_id, own.get(pile_id) or general.get(station_id)) for pile_id, station_id in places)
    return {pile_id: version_id for pile_id, version_id in found if version_id is not None}


def effective_prices(
    *, pile_id: int, station_id: int, at: datetime
) -> tuple[PriceVersion, Tariff, Tariff] | None:
    """Return the version in force for one pile at `at` with its tariff, and the retail tariff there, or None.

    Every start needs it, so it is one query, in plain SQL: building it takes the ORM longer than PostgreSQL to answer.
    """
    versions = PriceVersion.objects.raw(
        """
        SELECT version.*,
               (SELECT retail.prices::text FROM pricing_retailprice retail
                 WHERE retail.station_id = %s AND retail.starts_at <= %s
                 ORDER BY retail.starts_at DESC, retail.id DESC LIMIT 1) AS retail_prices
          FROM pricing_priceassignment assignment
          JOIN pricing_priceversion version ON version.id = assignment.version_id
         WHERE (assignment.pile_id = %s OR assignment.station_id = %s) AND assignment.starts_at <= %s
           AND (assignment.ends_at IS NULL OR assignment.ends_at > %s)
         ORDER BY assignment.pile_id IS NULL, assignment.is_temporary DESC, assignment.starts_at DESC,
                  assignment.id DESC
         LIMIT 1
        """,
        [station_id, at, pile_id, station_id, at, at],
    )
    version = next(iter(versions), None)
    if version is None:
        return None
    tariff = version.to_tariff()
    sold = prices_from_json(json.loads(version.retail_prices or "{}"))  # type: ignore[attr-defined]
    return version, tariff, tariff.sold_at(sold)


def effective_version(*, pile_id: int, station_id: int, at: datetime) -> PriceVersion | None:
    """Return the version in force for one pile at `at`, or None."""
    found = effective_prices(pile_id=pile_id, station_id=station_id, at=at)
    return found[0] if found else None


_COLUMNS = [f"version.{name.value}_{part}::text" for name in RateClass for part in ("electricity", "service")]
_STATION_TARIFFS = Prepared(
    "station_tariffs",
    ["bigint[]", "timestamptz"],
    f"""
    SELECT station.id, version.slots, COALESCE(retail.prices, '{{}}'),
           array_to_string(ARRAY[{", ".join(_COLUMNS)}], ',', '')
      FROM unnest($1) AS station (id)
     CROSS JOIN LATERAL (
           SELECT version_id FROM pricing_priceassignment
            WHERE station_id = station.id AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $2)
            ORDER BY is_temporary DESC, starts_at DESC, id DESC LIMIT 1) assignment
      JOIN pricing_priceversion version ON version.id = assignment.version_id
      LEFT JOIN LATERAL (
           SELECT prices::text AS prices FROM pricing_retailprice
            WHERE station_id = station.id AND starts_at <= $2
            ORDER BY starts_at DESC, id DESC LIMIT 1) retail ON TRUE
    """,  # noqa: S608 - names of our own columns
)


def station_tariffs(*, station_ids: Sequence[int], at: datetime) -> dict[int, Tariff]:
    """Return {station id: what drivers pay there at `at`}, for lists of stations, in one query.

    Infrastructure prices and the station's retail prices together; stations without a price are left out. Every
    search for stations needs it, so it is plain SQL, as `effective_prices`.
    """
    rows = _STATION_TARIFFS.rows(list(set(station_ids)), at)
    return {station_id: _sold(*texts) for station_id, *texts in rows}


@lru_cache(maxsize=1024)
def _sold(slots: str, retail: str, columns: str) -> Tariff:
    """Make the tariff of a version's columns, in the order of the classes, and of retail prices; once for all alike.

    The columns are one text: twenty stations have two hundred numbers, nearly all of them alike.
    """
    prices = columns.split(",")
    own = {
        name: ClassPrice(Decimal(electricity), Decimal(service))
        for name, electricity, service in zip(RateClass, prices[::2], prices[1::2], strict=True)
        if electricity and service
    }
    tariff = Tariff(own, tuple(RateClass.from_code(int(code)) for code in slots))
    return tariff.sold_at(prices_from_json(json.loads(retail)))


def retail_prices(*, station_ids: Sequence[int], at: datetime) -> dict[int, dict[RateClass, ClassPrice]]:
    """Return {station id: retail prices by class in force at `at`}, for lists, in one query.

    Stations that sell at the infrastructure prices are left out.
    """
    rows = (
        RetailPrice.objects.filter(station_id__in=set(station_ids), starts_at__lte=at)
        .order_by("station_id", "-starts_at", "-id")
        .distinct("station_id")
    )
    return {row.station_id: row.by_class() for row in rows if row.prices}


def next_change(*, station_id: int, at: datetime) -> datetime | None:
    """Return when the prices of a station may change next after `at`, by what is planned today; None for never."""
    mine = PriceAssignment.objects.filter(station_id=station_id)
    moments = [
        mine.filter(starts_at__gt=at).order_by("starts_at").values("starts_at"),
        mine.filter(ends_at__gt=at).order_by("ends_at").values("ends_at"),
        RetailPrice.objects.filter(station_id=station_id, starts_at__gt=at)
        .order_by("starts_at")
        .values("starts_at"),
    ]
    found = Station.objects.filter(pk=station_id).values_list(*(Subquery(one[:1]) for one in moments))
    return min((moment for moment in found.get() if moment is not None), default=None)


def station_versions(
    *, station_ids: Sequence[int], at: datetime, but_task: int | None = None
) -> dict[int, PriceVersion]:
    """Return {station id: version in force at `at`}, for lists of stations, in one query; `but_task` as above."""
    return _latest("station_id", set(station_ids), at, but_task)


def _latest(place: str, ids: set[int], at: datetime, but_task: int | None) -> dict[int, PriceVersion]:
    rows = (
        PriceAssignment.objects.select_related("version__template")
        .filter(Q(ends_at=None) | Q(ends_at__gt=at), **{f"{place}__in": ids}, starts_at__lte=at)
        .order_by(place, "-is_temporary", "-starts_at", "-id")
        .distinct(place)
    )
    if but_task is not None:
        rows = rows.filter(~Q(task=but_task) | Q(task=None))
    return {getattr(row, place): row.version for row in rows}
