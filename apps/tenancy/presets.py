"""The packages that a new platform begins with, after the market's editions. The platform changes them as it likes."""

from __future__ import annotations

from django.conf import settings
from django.utils import translation
from django.utils.translation import pgettext_lazy

from apps.tenancy.features import FEATURES
from apps.tenancy.models import Package

PRESETS = (
    ("basic", pgettext_lazy("package", "basic"), (), (3, 50, 10)),
    (
        "standard",
        pgettext_lazy("package", "standard"),
        ("marketing", "cards", "retail_prices"),
        (20, 500, 50),
    ),
    (
        "flagship",
        pgettext_lazy("package", "flagship"),
        ("marketing", "cards", "retail_prices", "enterprises"),
        (200, 10_000, 500),
    ),
    (
        "pioneer",
        pgettext_lazy("package", "pioneer"),
        tuple(feature.code for feature in FEATURES),
        (None, None, None),
    ),
)
"""Code, name, features, and most stations, piles and staff."""


def first_packages() -> int:
    """Make the presets where there is no package at all; return how many. Public schema."""
    if Package.objects.exists():
        return 0
    with translation.override(settings.LANGUAGE_CODE):
        made = Package.objects.bulk_create(
            [
                Package(
                    code=code,
                    name=str(name),
                    features=list(features),
                    max_stations=stations,
                    max_piles=piles,
                    max_staff=staff,
                    position=number * 10,
                )
                for number, (code, name, features, (stations, piles, staff)) in enumerate(PRESETS, start=1)
            ],
            ignore_conflicts=True,  # another process may be making them at this moment
        )
    return len(made)
