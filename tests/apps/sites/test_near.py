"""Stations near a point, against the haversine formula."""

from __future__ import annotations

import random
from math import asin, cos, radians, sin, sqrt

import pytest
from django.db import connection

from apps.sites.models import Station
from apps.sites.selectors import EARTH_RADIUS_M, distance_m, stations_near
from apps.tenancy.models import Tenant

HERE = (31.230416, 121.473701)  # 人民广场


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lat1, lon1), (lat2, lon2) = (tuple(map(radians, point)) for point in (a, b))
    h = sin((lat2 - lat1) / 2) ** 2 + cos(lat1) * cos(lat2) * sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(h)))


def make(count: int, spread: float = 1.0, **fields: object) -> None:
    """Stations around HERE, within `spread` degrees, by a fixed seed."""
    chance = random.Random(7)
    Station.objects.bulk_create(
        Station(
            station_no=f"S{number:05d}",
            name=f"站{number}",
            latitude=f"{HERE[0] + chance.uniform(-spread, spread):.6f}",
            longitude=f"{HERE[1] + chance.uniform(-spread, spread):.6f}",
            **fields,
        )
        for number in range(count)
    )


def by_hand(radius_m: float | None = None) -> list[tuple[str, float]]:
    rows = [
        (station.station_no, haversine(HERE, (float(station.latitude), float(station.longitude))))
        for station in Station.objects.filter(is_published=True)
    ]
    return sorted((row for row in rows if radius_m is None or row[1] <= radius_m), key=lambda row: row[1])


def near(**options: object) -> list[tuple[str, float]]:
    found = stations_near(latitude=HERE[0], longitude=HERE[1], **options)
    return [(station.station_no, distance_m(station.chord_m)) for station in found]


@pytest.mark.parametrize("radius_m", [None, 0, 500, 20_000, 150_000, 30_000_000])
def test_order_distance_and_radius_are_those_of_haversine(tenant: Tenant, radius_m: float | None) -> None:
    make(400)
    Station.objects.filter(station_no="S00003").update(is_published=False)
    found, expected = near(radius_m=radius_m, limit=500), by_hand(radius_m)
    assert [number for number, _ in found] == [number for number, _ in expected]
    assert [metres for _, metres in found] == pytest.approx([metres for _, metres in expected], abs=0.001)


def test_the_far_side_of_the_earth_and_the_spot_itself(tenant: Tenant) -> None:
    for number, (latitude, longitude) in {
        "here": HERE,
        "anti": (-HERE[0], HERE[1] - 180),
        "pole": (90, 0),
    }.items():
        Station.objects.create(
            station_no=number, name=number, latitude=latitude, longitude=f"{longitude:.6f}"
        )
    found = dict(near())
    assert list(found) == ["here", "pole", "anti"]
    assert found["here"] == pytest.approx(0, abs=0.001)
    assert found["pole"] == pytest.approx(haversine(HERE, (90, 0)), abs=0.001)
    assert found["anti"] == pytest.approx(20_015_114, abs=2)


def test_pages_do_not_overlap(tenant: Tenant) -> None:
    make(50)
    whole = near(limit=50)
    assert near(limit=20) + near(limit=20, offset=20) + near(limit=20, offset=40) == whole
    Station.objects.update(latitude="31.2", longitude="121.5")
    numbers = [number for offset in range(0, 50, 10) for number, _ in near(limit=10, offset=offset)]
    assert numbers == [f"S{number:05d}" for number in range(50)]


def test_a_choice_of_stations_can_be_given(tenant: Tenant) -> None:
    make(10)
    assert near(stations=Station.objects.filter(station_no="S00004"))[0][0] == "S00004"


def test_the_index_finds_the_nearest(tenant: Tenant) -> None:
    """In a cloned schema, with enough rows that sorting them all costs more, whatever the server's version."""
    make(10_000)
    with connection.cursor() as cursor:
        # Maintenance runs with an empty search_path: an expression that names nothing without a schema survives it.
        cursor.execute("reindex index sites_station_position")
        cursor.execute("analyze sites_station")
    for radius_m in (None, 3000):
        plan = stations_near(latitude=HERE[0], longitude=HERE[1], radius_m=radius_m, limit=10).explain()
        if radius_m is None and connection.pg_version < 160000:
            continue  # PostgreSQL 15 sorts all stations of the tenant: it cannot add "id" to an order from this index
        assert "sites_station_position" in plan
        assert "Seq Scan" not in plan
