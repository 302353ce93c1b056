"""Coordinates of China: GCJ-02 is what is stored; WGS-84 (GPS) and BD-09 (Baidu) are turned into it at the border.

The formulas are the published ones, good to about a metre; GCJ-02 is left alone outside the mainland's box.
"""

from __future__ import annotations

from decimal import Decimal
from math import atan2, cos, pi, sin, sqrt

from django.db import models
from django.utils.translation import gettext_lazy as _

_AXIS = 6378245.0
_ECCENTRICITY = 0.00669342162296594323
_BAIDU = pi * 3000.0 / 180.0
_PLACES = Decimal("0.000001")


class Datum(models.TextChoices):
    """What coordinates refer to."""

    GCJ02 = "gcj02", _("GCJ-02 (AMap, Tencent, WeChat)")
    WGS84 = "wgs84", _("WGS-84 (GPS, mobile devices)")
    BD09 = "bd09", _("BD-09 (Baidu)")


def to_gcj02(latitude: Decimal, longitude: Decimal, datum: Datum) -> tuple[Decimal, Decimal]:
    """Return latitude and longitude in GCJ-02, degrees to six places."""
    point = (float(latitude), float(longitude))
    if datum == Datum.WGS84:
        point = wgs84_to_gcj02(*point)
    elif datum == Datum.BD09:
        point = bd09_to_gcj02(*point)
    else:
        return latitude, longitude
    return Decimal(repr(point[0])).quantize(_PLACES), Decimal(repr(point[1])).quantize(_PLACES)


def wgs84_to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    """Shift degrees of WGS-84 to GCJ-02."""
    if not (72.004 <= longitude <= 137.8347 and 0.8293 <= latitude <= 55.8271):
        return latitude, longitude
    x, y = longitude - 105.0, latitude - 35.0
    waves = (20.0 * sin(6.0 * x * pi) + 20.0 * sin(2.0 * x * pi)) * 2.0 / 3.0
    north = -100.0 + 2.0 * x + 3.0 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x)) + waves
    north += (20.0 * sin(y * pi) + 40.0 * sin(y / 3.0 * pi)) * 2.0 / 3.0
    north += (160.0 * sin(y / 12.0 * pi) + 320.0 * sin(y * pi / 30.0)) * 2.0 / 3.0
    east = 300.0 + x + 2.0 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x)) + waves
    east += (20.0 * sin(x * pi) + 40.0 * sin(x / 3.0 * pi)) * 2.0 / 3.0
    east += (150.0 * sin(x / 12.0 * pi) + 300.0 * sin(x / 30.0 * pi)) * 2.0 / 3.0
    angle = latitude / 180.0 * pi
    curve = 1 - _ECCENTRICITY * sin(angle) ** 2
    north = north * 180.0 / (_AXIS * (1 - _ECCENTRICITY) / (curve * sqrt(curve)) * pi)
    east = east * 180.0 / (_AXIS / sqrt(curve) * cos(angle) * pi)
    return latitude + north, longitude + east


def bd09_to_gcj02(latitude: float, longitude: float) -> tuple[float, float]:
    """Shift degrees of BD-09 to GCJ-02."""
    x, y = longitude - 0.0065, latitude - 0.006
    radius = sqrt(x * x + y * y) - 0.00002 * sin(y * _BAIDU)
    angle = atan2(y, x) - 0.000003 * cos(x * _BAIDU)
    return radius * sin(angle), radius * cos(angle)
