"""Who shares the deployment, by which hosts they are reached, and whose an outside key is."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_tenants.models import DomainMixin, TenantMixin

from apps.common.fields import EnergyField, MoneyField
from apps.common.models import TimeStamped
from apps.tenancy import hosts
from apps.tenancy.enums import OpeningState, OpeningStep, SecondLogin, SupportEnd, Suspension, TenantState


class Package(TimeStamped):
    """What a tenant has bought (套餐): features beside the basics, and how much it may have. Empty means unlimited."""

    code = models.SlugField(_("code"), max_length=32, unique=True)
    name = models.CharField(_("name"), max_length=50)
    features = models.JSONField(_("features"), default=list, blank=True)
    max_stations = models.PositiveIntegerField(
        _("most stations"), null=True, blank=True, help_text=_("empty: as many as wanted")
    )
    max_piles = models.PositiveIntegerField(
        _("most piles"), null=True, blank=True, help_text=_("empty: as many as wanted")
    )
    max_staff = models.PositiveIntegerField(
        _("most staff"), null=True, blank=True, help_text=_("active accounts; empty: as many as wanted")
    )
    position = models.PositiveSmallIntegerField(_("position in lists"), default=100)

    class Meta:
        verbose_name = _("package")
        verbose_name_plural = _("packages")
        ordering = ["position", "code"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and have this process look tenants up anew."""
        super().save(*args, **kwargs)
        hosts.forget()


class Tenant(TenantMixin, TimeStamped):
    """A company with a schema of its own. `code` is public, the schema name is not."""

    auto_create_schema = False  # takes seconds: services.create_tenant does it, never a request

    code = models.SlugField(
        _("code"), max_length=32, unique=True, validators=[RegexValidator(r"^[a-z][a-z0-9]{1,31}$")]
    )
    name = models.CharField(_("name"), max_length=100)
    state = models.CharField(_("state"), max_length=16, choices=TenantState, default=TenantState.OPENING)
    package = models.ForeignKey(
        Package,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="tenants",
        verbose_name=_("package"),
        help_text=_("none: every feature, without limits"),
    )
    expires_on = models.DateField(
        _("good until"), null=True, blank=True, help_text=_("the last day; none: without end")
    )
    suspended_by = models.CharField(_("suspended by"), max_length=8, choices=Suspension, blank=True)
    state_reason = models.CharField(_("reason of the state"), max_length=200, blank=True)
    contact_name = models.CharField(_("contact"), max_length=50, blank=True)
    contact_phone = models.CharField(_("contact's phone"), max_length=20, blank=True)
    contact_email = models.EmailField(_("contact's mail address"), blank=True)
    colour = models.CharField(
        _("colour"),
        max_length=7,
        blank=True,
        validators=[RegexValidator(r"^#[0-9a-fA-F]{6}$", _("A colour such as #0e9f6e is needed."))],
        help_text=_("such as #0e9f6e"),
    )
    logo_digest = models.CharField(_("logo"), max_length=16, blank=True, editable=False)
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
        permissions = [
            ("run_tenant", _("Can suspend, resume and renew tenants and change their package")),
            ("close_tenant", _("Can close tenants for good")),
            ("set_domains", _("Can add and remove domains of tenants")),
            ("test_tenant", _("Can test tenants' connections to providers")),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save, and have this process look the hosts up anew."""
        super().save(*args, **kwargs)
        hosts.forget()


class Domain(DomainMixin):
    """A host name by which a tenant's site is reached. The library's columns, with names that can be translated."""

    domain = models.CharField(_("domain"), max_length=253, unique=True, db_index=True)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, related_name="domains", verbose_name=_("tenant")
    )
    is_primary = models.BooleanField(_("main domain"), default=True, db_index=True)

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


class TenantLogo(models.Model):
    """A tenant's logo: a small PNG that we wrote ourselves from what was uploaded. Apart, so that no list reads it."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, related_name="logo")
    content = models.BinaryField(_("content"))

    class Meta:
        verbose_name = _("logo")
        verbose_name_plural = _("logos")

    def __str__(self) -> str:
        return str(self.tenant)


class TenantOpening(TimeStamped):
    """A tenant that somebody has asked for; opened in the background (apps.tenancy.openings), shown while it goes on.

    Until it is done it holds what the tenant begins with; the password only as its hash, and only until then.
    """

    code = models.CharField(_("code"), max_length=32)
    name = models.CharField(_("name"), max_length=100)
    hostname = models.CharField(_("domain"), max_length=253)
    package = models.ForeignKey(
        Package, on_delete=models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("package")
    )
    expires_on = models.DateField(_("good until"), null=True, blank=True)
    administrator = models.CharField(_("administrator's user name"), max_length=150)
    administrator_name = models.CharField(_("administrator's name"), max_length=50, blank=True)
    administrator_phone = models.CharField(_("administrator's phone"), max_length=20, blank=True)
    password_hash = models.CharField(max_length=256, blank=True, editable=False)
    state = models.CharField(_("state"), max_length=8, choices=OpeningState, default=OpeningState.WAITING)
    step = models.CharField(_("step"), max_length=16, choices=OpeningStep, default=OpeningStep.WAITING)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=0)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=300, blank=True)
    asked_by = models.CharField(_("asked by"), max_length=100, blank=True)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("tenant")
    )

    class Meta:
        verbose_name = _("opening of a tenant")
        verbose_name_plural = _("openings of tenants")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["code"],
                condition=models.Q(state__in=[OpeningState.WAITING, OpeningState.RUNNING]),
                name="tenant_opening_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class SupportSession(models.Model):
    """One visit of the platform's staff to a tenant's back office: who, why, as which role, how long."""

    tenant = models.ForeignKey(
        Tenant, on_delete=models.PROTECT, related_name="visits", verbose_name=_("tenant")
    )
    person_id = models.CharField(_("person's id"), max_length=64)
    person_name = models.CharField(_("person"), max_length=100)
    role = models.CharField(_("role"), max_length=32)
    reason = models.CharField(_("reason"), max_length=200)
    started_at = models.DateTimeField(_("asked for at"), db_index=True)
    ends_at = models.DateTimeField(_("ends at the latest"))
    ticket_hash = models.CharField(max_length=64, unique=True, editable=False)
    entered_at = models.DateTimeField(_("entered at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_by = models.CharField(_("ended by"), max_length=8, choices=SupportEnd, blank=True)

    class Meta:
        verbose_name = _("support visit")
        verbose_name_plural = _("support visits")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["ends_at"], condition=models.Q(ended_at=None), name="support_session_open")
        ]

    def __str__(self) -> str:
        return f"{self.tenant} · {self.person_name}"


class TenantFigures(models.Model):
    """What a tenant has at this moment, as its own schema last told. No rows of its business."""

    tenant = models.OneToOneField(
        Tenant, on_delete=models.CASCADE, related_name="figures", verbose_name=_("tenant")
    )
    stations = models.PositiveIntegerField(_("stations"), default=0)
    piles = models.PositiveIntegerField(_("piles"), default=0)
    guns = models.PositiveIntegerField(_("guns"), default=0)
    guns_online = models.PositiveIntegerField(_("guns online"), default=0)
    guns_charging = models.PositiveIntegerField(_("guns charging"), default=0)
    guns_faulty = models.PositiveIntegerField(_("faulty guns"), default=0)
    staff = models.PositiveIntegerField(_("active staff"), default=0)
    customers = models.PositiveIntegerField(_("customers"), default=0)
    told_at = models.DateTimeField(_("as of"))

    class Meta:
        verbose_name = _("figures of a tenant")
        verbose_name_plural = _("figures of tenants")

    def __str__(self) -> str:
        return str(self.tenant)


class TenantDay(models.Model):
    """Sums of one business day of a tenant, as its own schema last told; written again when late records come."""

    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, related_name="days", verbose_name=_("tenant")
    )
    day = models.DateField(_("day"))
    orders = models.PositiveIntegerField(_("orders"), default=0)
    energy_kwh = EnergyField(_("energy (kWh)"), default=0)
    electricity_fee = MoneyField(_("electricity fee"), default=0)
    service_fee = MoneyField(_("service fee"), default=0)

    class Meta:
        verbose_name = _("day of a tenant")
        verbose_name_plural = _("days of tenants")
        ordering = ["-day"]
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="tenant_day_unique")]
        indexes = [models.Index(fields=["day"], name="tenant_day_day")]

    def __str__(self) -> str:
        return f"{self.tenant} {self.day}"
