"""Customers: the drivers of a tenant."""

from __future__ import annotations

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
