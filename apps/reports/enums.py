"""Words of the rollups."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Period(models.TextChoices):
    """Over what a row sums up."""

    DAY = "day", pgettext_lazy("period", "day")
    MONTH = "month", pgettext_lazy("period", "month")


class Grain(models.TextChoices):
    """By what the rows of a day are told apart. Each grain holds the whole day: never add two of them."""

    STATION = "station", _("station, source and kind of customer")
    GUN = "gun", _("station and gun")
    HOUR = "hour", _("station and hour of the day")


class CustomerKind(models.TextChoices):
    """Who pays for an order."""

    INDIVIDUAL = "individual", _("individual customers")
    ENTERPRISE = "enterprise", _("enterprise customers")
    PARTNER = "partner", _("partners' customers")
