"""Words of coupons."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class CouponKind(models.TextChoices):
    """满减: so much off above a spend. 折扣: percent off above a spend, up to a cap."""

    THRESHOLD = "threshold", _("spend X, save Y")
    PERCENT = "percent", _("percent off")


class CouponBase(models.TextChoices):
    """The fees that threshold and saving are worked out from."""

    SERVICE = "service", _("service fee")
    ALL = "all", _("electricity and service fee")


class CouponState(models.TextChoices):
    AVAILABLE = "available", pgettext_lazy("coupon", "available")
    RESERVED = "reserved", pgettext_lazy("coupon", "reserved for a charge")
    USED = "used", pgettext_lazy("coupon", "used")
    EXPIRED = "expired", pgettext_lazy("coupon", "expired")
    VOID = "void", pgettext_lazy("coupon", "void")
