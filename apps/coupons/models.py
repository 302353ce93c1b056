"""Coupon templates, and the coupons that drivers hold."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from apps.common.fields import MoneyField
from apps.common.models import TimeStamped
from apps.coupons.enums import CouponBase, CouponKind, CouponState
from apps.coupons.rules import EVERY_DAY, Rule
from apps.customers.models import Customer
from apps.sites.models import Station


class CouponTemplate(TimeStamped):
    """What coupons of one kind save, where and when, who may claim them, and who bears the cost."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    kind = models.CharField(_("kind"), max_length=16, choices=CouponKind)
    spend = MoneyField(_("spend at least (yuan)"), default=0, validators=[MinValueValidator(0)])
    save_amount = MoneyField(_("save (yuan)"), default=0, validators=[MinValueValidator(0)])
    percent_off = models.DecimalField(
        _("percent off"),
        max_digits=7,
        decimal_places=4,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=_("20 means that 80 percent are paid."),
    )
    cap = MoneyField(
        _("save at most (yuan)"), null=True, blank=True, validators=[MinValueValidator(Decimal("0.01"))]
    )
    applies_to = models.CharField(
        _("discount on"), max_length=8, choices=CouponBase, default=CouponBase.SERVICE
    )
    station_share = models.DecimalField(
        _("share borne by the station (%)"),
        max_digits=5,
        decimal_places=2,
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text=_("Of what is taken off; the platform bears the rest."),
    )
    # Where and when it may be used.
    stations = models.ManyToManyField(
        Station, blank=True, related_name="coupon_templates", verbose_name=_("stations")
    )
    weekdays = models.CharField(
        _("weekdays"), max_length=7, default=EVERY_DAY, validators=[RegexValidator(r"^[1-7]{1,7}$")]
    )
    from_time = models.TimeField(_("from (time of day)"), null=True, blank=True)
    until_time = models.TimeField(_("until (time of day)"), null=True, blank=True)
    first_day = models.DateField(_("first day of use"), null=True, blank=True)
    last_day = models.DateField(_("last day of use"), null=True, blank=True)
    days_valid = models.PositiveSmallIntegerField(
        _("days valid"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=_("From the claim on, its day included."),
    )
    # Who gets it.
    is_active = models.BooleanField(_("active"), default=True)
    is_public = models.BooleanField(
        _("drivers may claim it"), default=True, help_text=_("Otherwise only staff give it.")
    )
    claim_from = models.DateTimeField(_("claims from"), null=True, blank=True)
    claim_until = models.DateTimeField(_("claims until"), null=True, blank=True)
    stock = models.PositiveIntegerField(_("stock"), null=True, blank=True, help_text=_("Empty: unlimited."))
    per_customer = models.PositiveSmallIntegerField(
        _("per customer"), default=1, validators=[MinValueValidator(1)]
    )
    claimed = models.PositiveIntegerField(_("claimed"), default=0, editable=False)

    class Meta:
        verbose_name = _("coupon template")
        verbose_name_plural = _("coupon templates")
        ordering = ["-id"]
        permissions = [("give_coupon", _("Can give coupons to customers"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(stock=None) | Q(claimed__lte=F("stock")), name="coupon_stock_kept"
            ),
            models.CheckConstraint(
                condition=Q(spend__gte=0, save_amount__gte=0, percent_off__gte=0, percent_off__lte=100)
                & Q(station_share__gte=0, station_share__lte=100),
                name="coupon_template_bounds",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Check what columns say together. Raises ValidationError by field."""
        errors: dict[str, Any] = {}
        if self.kind == CouponKind.THRESHOLD and not self.save_amount:
            errors["save_amount"] = _("A coupon of this kind saves an amount above zero.")
        if self.kind == CouponKind.PERCENT and not self.percent_off:
            errors["percent_off"] = _("A coupon of this kind takes a percentage above zero off.")
        if (self.from_time is None) != (self.until_time is None) or (
            self.from_time is not None and self.from_time == self.until_time
        ):
            errors["until_time"] = _("Enter both times of day, which differ, or neither.")
        if self.first_day and self.last_day and self.last_day < self.first_day:
            errors["last_day"] = _("The last day is before the first.")
        if self.claim_from and self.claim_until and self.claim_until <= self.claim_from:
            errors["claim_until"] = _("Claims end before they begin.")
        if self.stock is not None and self.stock < self.claimed:
            errors["stock"] = _("%(claimed)s have been claimed already.") % {"claimed": self.claimed}
        if errors:
            raise ValidationError(errors)

    def rule(self) -> Rule:
        """Return the rule as a coupon that is claimed now keeps it."""
        return self.rule_of(list(self.stations.order_by("pk").values_list("pk", flat=True)))

    def rule_of(self, station_ids: Sequence[int]) -> Rule:
        """Return the rule for stations that are known already (none: all)."""
        return Rule(
            name=self.name,
            kind=str(self.kind),
            applies_to=str(self.applies_to),
            spend=str(self.spend),
            save=str(self.save_amount),
            percent_off=str(self.percent_off),
            cap=None if self.cap is None else str(self.cap),
            stations=tuple(station_ids),
            weekdays=self.weekdays,
            from_time=f"{self.from_time:%H:%M}" if self.from_time else "",
            until_time=f"{self.until_time:%H:%M}" if self.until_time else "",
            station_share=str(self.station_share),
        )


class Coupon(TimeStamped):
    """A coupon of one driver. `rule` is the template's of the time of the claim (`rules.Rule`)."""

    template = models.ForeignKey(
        CouponTemplate, on_delete=models.PROTECT, related_name="coupons", verbose_name=_("coupon template")
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="coupons", verbose_name=_("customer")
    )
    rule = models.JSONField(_("rule"), help_text=_("copied at the claim"))
    first_day = models.DateField(_("first day of use"))
    last_day = models.DateField(_("last day of use"), null=True, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=CouponState, default=CouponState.AVAILABLE)
    request_key = models.CharField(max_length=64, editable=False)
    given_by = models.CharField(
        _("given by"), max_length=100, blank=True, help_text=_("empty: claimed by the driver")
    )
    order_no = models.CharField(_("order number"), max_length=32, blank=True)
    saved = MoneyField(_("saved (yuan)"), default=0)
    reserved_at = models.DateTimeField(_("reserved at"), null=True, blank=True)
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)
    ended_by = models.CharField(_("made void by"), max_length=100, blank=True)
    ended_why = models.CharField(_("reason"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("coupon")
        verbose_name_plural = _("coupons")
        ordering = ["-id"]
        permissions = [("void_coupon", _("Can make coupons void"))]
        constraints = [
            models.UniqueConstraint(fields=["customer", "request_key"], name="coupon_request_unique"),
            models.UniqueConstraint(
                fields=["order_no"],
                condition=Q(state__in=["reserved", "used"]),
                name="coupon_one_per_order",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["reserved", "used"]) | Q(order_no="", saved=0),
                name="coupon_order_only_while_taken",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "state", "id"], name="coupon_of_customer"),
            models.Index(fields=["template", "state"], name="coupon_of_template"),
            models.Index(fields=["last_day"], condition=Q(state="available"), name="coupon_to_expire"),
        ]

    def __str__(self) -> str:
        return f"{self.rule.get('name', '')} #{self.pk}"

    @property
    def terms(self) -> Rule:
        """The rule as a value."""
        return Rule.from_json(self.rule)
