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


class Rhythm(models.TextChoices):
    """How often a report is mailed, and of which days."""

    DAILY = "daily", _("daily, the day before")
    WEEKLY = "weekly", _("on Mondays, the week before")
    MONTHLY = "monthly", _("on the first, the month before")


class Group(models.TextChoices):
    """By what a report is grouped."""

    DAY = "day", pgettext_lazy("group", "by day")
    MONTH = "month", pgettext_lazy("group", "by month")
    STATION = "station", pgettext_lazy("group", "by station")
    PILE = "pile", pgettext_lazy("group", "by pile")
    GUN = "gun", pgettext_lazy("group", "by gun")
    SOURCE = "source", pgettext_lazy("group", "by source")
    CUSTOMER = "customer", pgettext_lazy("group", "by kind of customer")
    HOUR = "hour", pgettext_lazy("group", "by hour of the day")
    FRANCHISEE = "franchisee", pgettext_lazy("group", "by franchisee")
