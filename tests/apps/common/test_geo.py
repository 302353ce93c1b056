"""Coordinates: the vector of the reference, what is stored as it is, and what lies outside the mainland."""

from __future__ import annotations

from decimal import Decimal

from apps.common.geo import Datum, to_gcj02, wgs84_to_gcj02

GCJ02 = (Decimal("31.228458"), Decimal("121.478223"))


def test_three_datums_name_the_same_place() -> None:
    assert to_gcj02(Decimal("31.2304"), Decimal("121.4737"), Datum.WGS84) == GCJ02
    latitude, longitude = to_gcj02(Decimal("31.2343106"), Decimal("121.4847815"), Datum.BD09)
    assert abs(latitude - GCJ02[0]) <= Decimal("0.000002")
    assert abs(longitude - GCJ02[1]) <= Decimal("0.000002")
    assert to_gcj02(*GCJ02, Datum.GCJ02) == GCJ02


def test_nothing_is_shifted_outside_the_mainlands_box() -> None:
    assert wgs84_to_gcj02(48.8584, 2.2945) == (48.8584, 2.2945)
