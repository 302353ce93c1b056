from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class BannerLink(models.TextChoices):
    """Where a banner leads: the activity itself, or a page of the app."""

    ACTIVITY = "", _("the activity")
    RECHARGE = "recharge", _("top-up")
    COUPONS = "coupons", _("coupons")
    SCAN = "scan", _("scanning")
    INVOICES = "invoices", _("invoices")
    ENTERPRISE = "enterprise", _("enterprise charging")


class ActivityState(models.TextChoices):
    """Where an activity stands, from whether it is published and its period."""

    DRAFT = "draft", pgettext_lazy("activity", "draft")
    COMING = "coming", pgettext_lazy("activity", "begins later")
    RUNNING = "running", pgettext_lazy("activity", "running")
    OVER = "over", pgettext_lazy("activity", "over")
