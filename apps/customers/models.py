"""Customers: the drivers of a tenant."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.models import TimeStamped


class CustomerState(models.TextChoices):
    ACTIVE = "active", _("active")
    BLOCKED = "blocked", _("blocked")


class Customer(TimeStamped):
    """A driver (个人客户), known by phone number in E.164 form."""

    phone = models.CharField(_("phone"), max_length=20, unique=True)
    nickname = models.CharField(_("nickname"), max_length=50, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=CustomerState, default=CustomerState.ACTIVE)
    last_login_at = models.DateTimeField(_("last login"), null=True, blank=True)
    pin = models.CharField(
        _("PIN at the pile"),
        max_length=128,
        blank=True,
        help_text=_("hashed; for starts by account at a pile"),
    )

    class Meta:
        verbose_name = _("customer")
        verbose_name_plural = _("customers")
        ordering = ["-id"]
        permissions = [("view_phone", _("Can see whole phone numbers"))]

    def __str__(self) -> str:
        return self.nickname or self.masked_phone

    @property
    def masked_phone(self) -> str:
        """The phone number as others may see it: 138****0001."""
        local = self.phone.removeprefix("+86")
        return f"{local[:3]}****{local[-4:]}"


class CardState(models.TextChoices):
    ACTIVE = "active", _("active")
    FROZEN = "frozen", _("frozen")


class Card(TimeStamped):
    """A charging card (充电卡): the number printed on it, and the one that readers read."""

    logical_no = models.CharField(
        _("card number"), max_length=16, unique=True, validators=[RegexValidator(r"^\d{1,16}$")]
    )
    physical_no = models.CharField(
        _("chip number"), max_length=16, unique=True, validators=[RegexValidator(r"^[0-9A-F]{16}$")]
    )
    customer = models.ForeignKey(
        Customer, on_delete=models.PROTECT, related_name="cards", verbose_name=_("customer")
    )
    state = models.CharField(_("state"), max_length=16, choices=CardState, default=CardState.ACTIVE)
    works_offline = models.BooleanField(_("may charge at piles that are offline"), default=False)

    class Meta:
        verbose_name = _("charging card")
        verbose_name_plural = _("charging cards")
        ordering = ["logical_no"]

    def __str__(self) -> str:
        return self.logical_no


class Vehicle(TimeStamped):
    """A customer's car: its plate for parking, its VIN for plug-and-charge."""

    customer = models.ForeignKey(
        Customer, on_delete=models.CASCADE, related_name="vehicles", verbose_name=_("customer")
    )
    plate = models.CharField(_("plate"), max_length=10, blank=True, db_index=True)
    vin = models.CharField(
        _("VIN"), max_length=17, blank=True, validators=[RegexValidator(r"^[A-HJ-NPR-Z0-9]{17}$")]
    )
    plug_and_charge = models.BooleanField(_("starts by plugging in"), default=False)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name = _("vehicle")
        verbose_name_plural = _("vehicles")
        ordering = ["-is_default", "id"]
        constraints = [
            models.UniqueConstraint(fields=["vin"], condition=~models.Q(vin=""), name="vehicle_vin_unique"),
            models.UniqueConstraint(
                fields=["customer", "plate"], condition=~models.Q(plate=""), name="vehicle_plate_unique"
            ),
        ]

    def __str__(self) -> str:
        return self.plate or self.vin
