"""Piles, their connectors, what they last said, what was asked of them, and what went wrong."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.fields import DeviceAmountField, EnergyField
from apps.common.models import TimeStamped
from apps.piles.enums import AlarmKind, CommandKind, CommandState, ConnectorState, PileKind, PileState
from apps.sites.models import Station


class Pile(TimeStamped):
    """A charger (充电桩). `pile_code` is unique over all tenants: tenancy.InboundRoute holds it too."""

    pile_code = models.CharField(
        _("pile code"),
        max_length=14,
        unique=True,
        validators=[RegexValidator(r"^\d{14}$", _("14 digits are needed."))],
    )
    name = models.CharField(_("name"), max_length=50, blank=True)
    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, related_name="piles", verbose_name=_("station")
    )
    kind = models.CharField(_("kind"), max_length=2, choices=PileKind, default=PileKind.DC)
    power_kw = models.DecimalField(_("power (kW)"), max_digits=8, decimal_places=2, default=120)
    protocol = models.CharField(_("protocol"), max_length=16, default="ykc")
    brand = models.CharField(_("brand"), max_length=50, blank=True)
    model = models.CharField(_("model"), max_length=50, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=PileState, default=PileState.IN_SERVICE)
    # What the pile says of itself at login; the gateway writes these in batches.
    is_online = models.BooleanField(_("online"), default=False, editable=False)
    connection_id = models.CharField(max_length=40, blank=True, editable=False)
    last_login_at = models.DateTimeField(_("last login"), null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)
    protocol_version = models.CharField(_("protocol version"), max_length=8, blank=True, editable=False)
    software_version = models.CharField(_("software version"), max_length=16, blank=True, editable=False)
    sim_no = models.CharField(_("SIM card"), max_length=20, blank=True, editable=False)
    clock_offset_s = models.DecimalField(
        _("clock offset (s)"), max_digits=10, decimal_places=1, null=True, blank=True, editable=False
    )

    class Meta:
        verbose_name = _("pile")
        verbose_name_plural = _("piles")
        ordering = ["pile_code"]

    def __str__(self) -> str:
        return self.name or self.pile_code


class Connector(models.Model):
    """A gun (充电枪) of a pile. Its full code, pile code + connector number, is what drivers scan."""

    pile = models.ForeignKey(
        Pile, on_delete=models.CASCADE, related_name="connectors", verbose_name=_("pile")
    )
    connector_no = models.CharField(
        _("connector number"), max_length=2, validators=[RegexValidator(r"^\d{2}$")]
    )
    code = models.CharField(_("gun code"), max_length=16, unique=True, editable=False)
    power_kw = models.DecimalField(_("power (kW)"), max_digits=8, decimal_places=2, default=120)

    class Meta:
        verbose_name = _("connector")
        verbose_name_plural = _("connectors")
        ordering = ["code"]
        constraints = [models.UniqueConstraint(fields=["pile", "connector_no"], name="connector_unique")]

    def __str__(self) -> str:
        return self.code


class ConnectorStatus(models.Model):
    """The last word of a connector: one row each, written by the gateway's coalescing upserts."""

    connector = models.OneToOneField(
        Connector,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="status",
        verbose_name=_("connector"),
    )
    state = models.CharField(
        _("state"), max_length=16, choices=ConnectorState, default=ConnectorState.OFFLINE
    )
    transaction_no = models.CharField(_("transaction number"), max_length=32, blank=True)
    voltage_v = models.DecimalField(_("voltage (V)"), max_digits=7, decimal_places=1, default=0)
    current_a = models.DecimalField(_("current (A)"), max_digits=7, decimal_places=1, default=0)
    soc_percent = models.PositiveSmallIntegerField(_("SOC (%)"), default=0)
    battery_temp_c = models.SmallIntegerField(_("battery temperature (°C)"), null=True, blank=True)
    energy_kwh = EnergyField(_("energy (kWh)"), default=0)
    amount_yuan = DeviceAmountField(_("amount (yuan)"), default=0)
    charge_minutes = models.PositiveIntegerField(_("charging time (min)"), default=0)
    remaining_minutes = models.PositiveIntegerField(_("remaining time (min)"), default=0)
    fault_bits = models.PositiveIntegerField(_("fault bits"), default=0)
    reported_at = models.DateTimeField(_("reported at"), null=True, blank=True)

    class Meta:
        verbose_name = _("connector status")
        verbose_name_plural = _("connector status")

    def __str__(self) -> str:
        return f"{self.connector_id} {self.state}"

    @property
    def power_kw(self):  # type: ignore[no-untyped-def]
        """Present output in kW."""
        return self.voltage_v * self.current_a / 1000


class PileCommand(TimeStamped):
    """Something asked of a pile, by whom, until when, and what became of it."""

    pile = models.ForeignKey(Pile, on_delete=models.CASCADE, related_name="commands", verbose_name=_("pile"))
    connector_no = models.CharField(_("connector number"), max_length=2, blank=True)
    kind = models.CharField(_("kind"), max_length=24, choices=CommandKind)
    payload = models.JSONField(_("content"), default=dict)
    state = models.CharField(_("state"), max_length=16, choices=CommandState, default=CommandState.PENDING)
    deadline = models.DateTimeField(_("deadline"))
    sent_at = models.DateTimeField(_("sent at"), null=True, blank=True)
    answered_at = models.DateTimeField(_("answered at"), null=True, blank=True)
    result = models.JSONField(_("result"), default=dict, blank=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("pile command")
        verbose_name_plural = _("pile commands")
        ordering = ["-id"]
        indexes = [models.Index(fields=["pile", "kind", "state"], name="command_open")]

    def __str__(self) -> str:
        return f"{self.kind} {self.pile_id}{self.connector_no}"


class Alarm(TimeStamped):
    """Something staff must look at. An open alarm of the same kind, pile and subject is not raised twice."""

    kind = models.CharField(_("kind"), max_length=32, choices=AlarmKind)
    pile_code = models.CharField(_("pile code"), max_length=14, blank=True, db_index=True)
    connector_no = models.CharField(_("connector number"), max_length=2, blank=True)
    subject = models.CharField(_("subject"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict, blank=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("alarm")
        verbose_name_plural = _("alarms")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "pile_code", "connector_no", "subject"],
                condition=models.Q(closed_at=None),
                name="alarm_open_unique",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pile_code}"
