"""Who shares the deployment, by which hosts they are reached, and whose an outside key is."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

from apps.common.models import TimeStamped
from apps.tenancy import hosts


class TenantState(models.TextChoices):
    OPENING = "opening", _("opening")
    ACTIVE = "active", _("active")
    SUSPENDED = "suspended", _("suspended")


class SecondLogin(models.TextChoices):
    """What to do when a pile that is connected logs in a second time."""

    NEWEST_WINS = "newest", _("the newer connection wins")
    CHALLENGE = "challenge", _("the older connection stays if it still answers")


class Tenant(TenantMixin, TimeStamped):
    """A company with a schema of its own. `code` is public, the schema name is not."""

    auto_create_schema = False  # takes seconds: services.create_tenant does it, never a request

    code = models.SlugField(
        _("code"), max_length=32, unique=True, validators=[RegexValidator(r"^[a-z][a-z0-9]{1,31}$")]
    )
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(_("state"), max_length=16, choices=TenantState, default=TenantState.OPENING)
    hold_maximum = models.DecimalField(
        _("largest hold of one charge (yuan)"), max_digits=14, decimal_places=2, null=True, blank=True
    )

    second_login = models.CharField(
        _("second login of a pile"), max_length=16, choices=SecondLogin, default=SecondLogin.NEWEST_WINS
    )
    stops_unbilled_energy = models.BooleanField(_("stop a pile that charges without an order"), default=False)
    stops_offline_sessions = models.BooleanField(
        _("also one that began while it was offline"),
        default=False,
        help_text=_("Such charges are paid by card, and their records come later."),
    )
    frame_days = models.PositiveSmallIntegerField(_("days that raw frames are kept"), default=7)
    qr_prefix = models.CharField(
        _("start of QR codes"),
        max_length=200,
        blank=True,
        validators=[RegexValidator(r"^[!-~]*$", _("ASCII characters without blanks are needed."))],
        help_text=_("what piles with a screen put before the gun code"),
    )
    telemetry_months = models.PositiveSmallIntegerField(_("months that raw telemetry is kept"), default=3)

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and have this process look the hosts up anew."""
        super().save(*args, **kwargs)
        hosts.forget()


class Domain(DomainMixin):
    """A host name by which a tenant's site is reached."""

    class Meta:
        verbose_name = _("domain")
        verbose_name_plural = _("domains")

    def __str__(self) -> str:
        return self.domain

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and have this process look the hosts up anew."""
        super().save(*args, **kwargs)
        hosts.forget()


class InboundRoute(models.Model):
    """Whose a key from outside is: a pile code, later a partner or merchant id. One query finds the tenant."""

    kind = models.CharField(_("kind"), max_length=16)
    key = models.CharField(_("key"), max_length=64)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, related_name="routes", verbose_name=_("tenant")
    )

    class Meta:
        verbose_name = _("inbound route")
        verbose_name_plural = _("inbound routes")
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="inbound_route_unique")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"


class Newcomer(models.Model):
    """A device that dialled in under a code that nobody has registered: the queue of first-seen devices."""

    kind = models.CharField(_("kind"), max_length=16)
    key = models.CharField(_("code"), max_length=64)
    first_seen_at = models.DateTimeField(_("first seen"))
    last_seen_at = models.DateTimeField(_("last seen"), db_index=True)
    times = models.PositiveIntegerField(_("times"), default=1)
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    facts = models.JSONField(_("what it said"), default=dict, blank=True)
    tenant = models.ForeignKey(
        Tenant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="newcomers",
        verbose_name=_("offered to tenant"),
    )

    class Meta:
        verbose_name = _("first-seen device")
        verbose_name_plural = _("first-seen devices")
        ordering = ["-last_seen_at"]
        constraints = [models.UniqueConstraint(fields=["kind", "key"], name="newcomer_unique")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"
