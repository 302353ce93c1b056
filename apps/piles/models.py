"""Piles, their connectors, what they last said, what was asked of them, and what went wrong."""

from __future__ import annotations

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.crypto import EncryptedTextField
from apps.common.fields import DeviceAmountField, EnergyField
from apps.common.models import TimeStamped
from apps.common.schema import current_schema
from apps.piles.alarms.models import Alarm, AlarmEvent, AlarmNotice, AlarmRule, NotificationRule
from apps.piles.enums import (
    AuxPower,
    CardOnPile,
    CommandKind,
    CommandState,
    ConnectorKind,
    ConnectorState,
    CrcOrder,
    LockState,
    PileKind,
    PileState,
    Standard,
)
from apps.sites.models import Station
from apps.tenancy.models import Newcomer

__all__ = [
    "Alarm",
    "AlarmEvent",
    "AlarmNotice",
    "AlarmRule",
    "CommandBatch",
    "Connector",
    "ConnectorStatus",
    "GroundLock",
    "NewDevice",
    "NotificationRule",
    "OfferedPile",
    "OfflineCard",
    "Pile",
    "PileCommand",
    "RawFrame",
    "Telemetry",
    "TelemetryKind",
    "UpdateServer",
]


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
    serial_no = models.CharField(_("serial number"), max_length=50, blank=True, db_default="")
    produced_on = models.DateField(_("produced on"), null=True, blank=True)
    maker_code = models.CharField(
        _("maker's organisation code"),
        max_length=18,
        blank=True,
        db_default="",
        validators=[
            RegexValidator(r"^([0-9A-Z]{9}|[0-9A-Z]{18})$", _("9 or 18 digits and capitals are needed."))
        ],
    )
    unique_code = models.CharField(
        _("code given by the government"), max_length=64, blank=True, db_default=""
    )
    state = models.CharField(_("state"), max_length=16, choices=PileState, default=PileState.IN_SERVICE)
    # How this pile speaks, where it differs from others (docs: connect a pile).
    five_prices = models.BooleanField(_("knows five rate classes"), default=False)
    takes_qr = models.BooleanField(_("takes QR codes (0xF0)"), default=False)
    takes_parallel = models.BooleanField(
        _("charges one car over several guns"), default=False, db_default=False
    )
    crc_order = models.CharField(
        _("checksum order"), max_length=4, choices=CrcOrder, default=CrcOrder.LOW_FIRST
    )
    cipher = models.CharField(_("cipher"), max_length=32, blank=True)
    cipher_key = EncryptedTextField(_("cipher key"), blank=True)
    # Who it has to be.
    allowed_networks = models.CharField(
        _("allowed networks"),
        max_length=200,
        blank=True,
        help_text=_("for example 10.0.0.0/8, 1.2.3.4; empty: any"),
    )
    pinned_sim_no = models.CharField(
        _("pinned SIM card"), max_length=20, blank=True, help_text=_("a login with another ICCID is refused")
    )
    frames_kept_until = models.DateTimeField(_("all frames are kept until"), null=True, blank=True)
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
    clock_measured_at = models.DateTimeField(_("clock measured at"), null=True, blank=True, editable=False)
    clock_synced_at = models.DateTimeField(_("clock set at"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("pile")
        verbose_name_plural = _("piles")
        ordering = ["pile_code"]
        permissions = [
            ("move_pile", _("Can move piles to other stations")),
            ("retire_pile", _("Can retire piles")),
        ]

    def __str__(self) -> str:
        return self.name or self.pile_code


class OfferedPiles(models.Manager["OfferedPile"]):
    """Piles that are not retired: retired ones are nobody's choice any more."""

    def get_queryset(self) -> models.QuerySet[OfferedPile]:
        """See the class."""
        return super().get_queryset().exclude(state=PileState.RETIRED)


class OfferedPile(Pile):
    """A pile as the user platform sells it: whether a driver can charge there now, and if not, why."""

    objects = OfferedPiles()

    class Meta:
        proxy = True
        verbose_name = _("pile for drivers")
        verbose_name_plural = _("piles for drivers")


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
    # What partners and governments ask for (T/CEC 102, ConnectorInfo).
    name = models.CharField(_("name"), max_length=30, blank=True, db_default="")
    kind = models.PositiveSmallIntegerField(
        _("kind of connector"),
        choices=ConnectorKind,
        null=True,
        blank=True,
        help_text=_("empty: a DC gun or an AC plug, as the pile is"),
    )
    voltage_min_v = models.PositiveIntegerField(_("lowest voltage (V)"), null=True, blank=True)
    voltage_max_v = models.PositiveIntegerField(_("highest voltage (V)"), null=True, blank=True)
    current_max_a = models.PositiveIntegerField(_("rated current (A)"), null=True, blank=True)
    parking_no = models.CharField(_("parking space"), max_length=10, blank=True, db_default="")
    standard = models.PositiveSmallIntegerField(
        _("standard"), choices=Standard, default=Standard.GB_2015, db_default=Standard.GB_2015
    )
    aux_power = models.PositiveSmallIntegerField(
        _("auxiliary supply"), choices=AuxPower, null=True, blank=True
    )
    unique_code = models.CharField(
        _("code given by the government"), max_length=64, blank=True, db_default=""
    )

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


class CommandBatch(TimeStamped):
    """One request of staff to many piles; what became of it is in its commands."""

    kind = models.CharField(_("kind"), max_length=24, choices=CommandKind)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    scope = models.CharField(_("piles"), max_length=200)
    total = models.PositiveIntegerField(_("number of piles"))
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("bulk command")
        verbose_name_plural = _("bulk commands")
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.scope}"


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
    batch = models.ForeignKey(
        CommandBatch,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="commands",
        verbose_name=_("bulk command"),
    )
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    tries = models.PositiveSmallIntegerField(_("tries"), default=0)
    frame = models.BinaryField(_("bytes sent"), default=bytes, blank=True)
    answer = models.BinaryField(_("bytes answered"), default=bytes, blank=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)

    class Meta:
        verbose_name = _("pile command")
        verbose_name_plural = _("pile commands")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["pile", "kind", "state"], name="command_open"),
            models.Index(
                fields=["deadline"],
                condition=models.Q(state__in=["pending", "sent"]),
                name="command_waiting",
            ),
        ]
        permissions = [
            ("set_work", _("Can lock piles and limit their power")),
            ("reboot_pile", _("Can reboot piles")),
            ("update_pile", _("Can update the firmware of piles")),
            ("move_lock", _("Can move ground locks")),
            ("set_qr", _("Can set QR codes")),
            ("push_prices", _("Can push prices to piles")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pile_id}{self.connector_no}"


class GroundLock(models.Model):
    """The ground lock (地锁) of a parking space, as it last reported."""

    connector = models.OneToOneField(
        Connector,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="lock",
        verbose_name=_("connector"),
    )
    state = models.CharField(_("state"), max_length=16, choices=LockState, default=LockState.UNKNOWN)
    is_occupied = models.BooleanField(_("space occupied"), default=False)
    battery_percent = models.PositiveSmallIntegerField(_("battery (%)"), default=0)
    has_alarm = models.BooleanField(_("alarm"), default=False)
    reported_at = models.DateTimeField(_("reported at"))

    class Meta:
        verbose_name = _("ground lock")
        verbose_name_plural = _("ground locks")

    def __str__(self) -> str:
        return f"{self.connector_id} {self.state}"


class OfflineCard(TimeStamped):
    """A card in a pile's own list, by which it lets people charge while it is offline."""

    pile = models.ForeignKey(
        Pile, on_delete=models.CASCADE, related_name="offline_cards", verbose_name=_("pile")
    )
    logical_no = models.CharField(_("card number"), max_length=16)
    physical_no = models.CharField(_("chip number"), max_length=16)
    state = models.CharField(_("state"), max_length=16, choices=CardOnPile, default=CardOnPile.WANTED)

    class Meta:
        verbose_name = _("offline card")
        verbose_name_plural = _("offline cards")
        ordering = ["pile", "logical_no"]
        constraints = [models.UniqueConstraint(fields=["pile", "physical_no"], name="offline_card_unique")]
        permissions = [("manage_offline_cards", _("Can write and delete the cards in piles"))]

    def __str__(self) -> str:
        return f"{self.pile_id} {self.logical_no}"


class UpdateServer(TimeStamped):
    """Where piles fetch firmware from by FTP. The password is kept encrypted and shown to nobody."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    host = models.CharField(_("address"), max_length=16)
    port = models.PositiveIntegerField(_("port"), default=21)
    username = models.CharField(_("user name"), max_length=16)
    password = EncryptedTextField(_("password"))

    class Meta:
        verbose_name = _("update server")
        verbose_name_plural = _("update servers")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TelemetryKind(models.IntegerChoices):
    """Which report a row of telemetry was."""

    REALTIME = 0x13, _("state")
    DEMAND = 0x23, _("battery demand")
    BATTERY = 0x25, _("battery state")


class Telemetry(models.Model):
    """Raw samples while charging, partitioned by month; written by COPY, thinned into the order's curve, then dropped.

    Demand and measurements of the battery are absolute values (GB/T 27930 counts charging currents negative).
    """

    pk = models.CompositePrimaryKey("at", "connector_id", "kind")
    at = models.DateTimeField(_("time"))
    connector_id = models.BigIntegerField(_("connector"))
    kind = models.SmallIntegerField(_("kind"), choices=TelemetryKind)
    transaction_no = models.CharField(_("transaction number"), max_length=32)
    voltage_v = models.DecimalField(_("voltage (V)"), max_digits=7, decimal_places=1, null=True)
    current_a = models.DecimalField(_("current (A)"), max_digits=7, decimal_places=1, null=True)
    soc_percent = models.SmallIntegerField(_("SOC (%)"), null=True)
    energy_kwh = EnergyField(_("energy (kWh)"), null=True)
    amount_yuan = DeviceAmountField(_("amount (yuan)"), null=True)
    demand_voltage_v = models.DecimalField(
        _("demanded voltage (V)"), max_digits=7, decimal_places=1, null=True
    )
    demand_current_a = models.DecimalField(
        _("demanded current (A)"), max_digits=7, decimal_places=1, null=True
    )
    max_temp_c = models.SmallIntegerField(_("highest temperature (°C)"), null=True)
    min_temp_c = models.SmallIntegerField(_("lowest temperature (°C)"), null=True)
    remaining_minutes = models.IntegerField(_("remaining time (min)"), null=True)
    status_bits = models.IntegerField(_("battery status bits"), null=True)

    class Meta:
        verbose_name = _("telemetry")
        verbose_name_plural = _("telemetry")
        managed = False  # a partitioned table: made by a migration in SQL

    def __str__(self) -> str:
        return f"{self.connector_id} {self.at}"


class RawFrame(models.Model):
    """Frames as they went over the wire, partitioned by month: sampled, or all of a pile for a set time."""

    pk = models.CompositePrimaryKey("at", "pile_code", "number")
    at = models.DateTimeField(_("time"))
    pile_code = models.CharField(_("pile code"), max_length=14)
    number = models.BigIntegerField(_("number"))
    connection_id = models.CharField(_("connection"), max_length=40)
    is_down = models.BooleanField(_("sent by us"))
    verdict = models.CharField(_("verdict"), max_length=16)
    frame = models.BinaryField(_("bytes"))

    class Meta:
        verbose_name = _("raw frame")
        verbose_name_plural = _("raw frames")
        managed = False  # a partitioned table: made by a migration in SQL
        permissions = [
            ("inspect_frames", _("Can inspect frames and timelines of piles")),
            ("view_frame_secrets", _("Can read passwords in frames")),
        ]

    def __str__(self) -> str:
        return f"{self.pile_code} {self.at}"


class OfferedDevices(models.Manager["NewDevice"]):
    """First-seen devices that were offered to the tenant of the current schema, and no other's."""

    def get_queryset(self) -> models.QuerySet[NewDevice]:
        """See the class."""
        return super().get_queryset().filter(tenant__schema_name=current_schema(), kind="pile")


class NewDevice(Newcomer):
    """A pile that dialled in and that nobody has registered, as its tenant's staff see it."""

    objects = OfferedDevices()

    class Meta:
        proxy = True
        verbose_name = _("new device")
        verbose_name_plural = _("new devices")

    def __str__(self) -> str:
        return self.key
