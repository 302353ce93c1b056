"""Alarms, what was done about them, and the tenant's rules: how bad is what, and who is told."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.common.models import TimeStamped
from apps.notifications.models import Robot
from apps.piles.enums import AlarmDeed, AlarmKind, AlarmLevel, AlarmState
from apps.sites.models import Station


class Alarm(TimeStamped):
    """Something staff must look at. An open alarm of the same kind, pile and subject is not raised twice.

    `sorted_at` is empty until the rules have been asked for its level; what they mute is kept, and nobody is told.
    """

    kind = models.CharField(_("kind"), max_length=32, choices=AlarmKind)
    level = models.CharField(
        _("level"),
        max_length=16,
        choices=AlarmLevel,
        default=AlarmLevel.IMPORTANT,
        db_default=AlarmLevel.IMPORTANT.value,
    )
    is_muted = models.BooleanField(_("muted by a rule"), default=False, db_default=False)
    pile_code = models.CharField(_("pile code"), max_length=14, blank=True, db_index=True)
    connector_no = models.CharField(_("connector number"), max_length=2, blank=True)
    subject = models.CharField(_("subject"), max_length=64, blank=True)
    detail = models.JSONField(_("detail"), default=dict, blank=True)
    count = models.PositiveIntegerField(_("times"), default=1)
    sorted_at = models.DateTimeField(null=True, blank=True, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged at"), null=True, blank=True)
    assigned_to = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("assigned to"),
    )
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    closed_by = models.CharField(
        _("closed by"),
        max_length=100,
        blank=True,
        default="",
        db_default="",
        help_text=_("empty: the cause has gone"),
    )

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
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(closed_at=None, sorted_at=None), name="alarm_unsorted"
            )
        ]
        permissions = [
            ("acknowledge_alarm", _("Can acknowledge alarms and write notes on them")),
            ("assign_alarm", _("Can assign alarms")),
            ("close_alarm", _("Can close alarms")),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.pile_code}".strip()

    @property
    def state(self) -> AlarmState:
        """What has been done with it."""
        if self.closed_at is not None:
            return AlarmState.CLOSED
        if self.assigned_to_id is not None:
            return AlarmState.ASSIGNED
        return AlarmState.ACKNOWLEDGED if self.acknowledged_at is not None else AlarmState.OPEN


class AlarmEvent(models.Model):
    """Something that a person did about an alarm."""

    alarm = models.ForeignKey(Alarm, on_delete=models.CASCADE, related_name="events", verbose_name=_("alarm"))
    at = models.DateTimeField(_("time"))
    deed = models.CharField(_("what"), max_length=16, choices=AlarmDeed)
    actor_kind = models.CharField(_("actor kind"), max_length=16)
    actor_id = models.CharField(_("actor id"), max_length=64, blank=True)
    actor_name = models.CharField(_("actor"), max_length=100, blank=True)
    person = models.CharField(_("assigned to"), max_length=100, blank=True)
    note = models.CharField(_("note"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("deed about an alarm")
        verbose_name_plural = _("deeds about alarms")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.alarm_id} {self.deed}"


class Quiet(models.Model):
    """Hours of the day (Asia/Shanghai) in which nobody is told; past midnight where the end is before the start."""

    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_until = models.TimeField(
        _("quiet until"), null=True, blank=True, help_text=_("what is still open then is told then")
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        """Both ends or none, and not the same."""
        super().clean()
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValidationError({"quiet_until": _("Quiet hours need both ends.")})
        if self.quiet_from is not None and self.quiet_from == self.quiet_until:
            raise ValidationError({"quiet_until": _("The two ends are the same.")})


class AlarmRule(Quiet, TimeStamped):
    """How bad alarms of one kind are, at some stations or all, and from what on there is one.

    Of several rules for a kind the one that names the station counts, then the older one. Kinds without a rule follow
    `rules.DEFAULTS`.
    """

    kind = models.CharField(_("kind"), max_length=32, choices=AlarmKind)
    stations = models.ManyToManyField(
        Station, blank=True, related_name="+", verbose_name=_("stations"), help_text=_("none: all stations")
    )
    is_active = models.BooleanField(
        _("raises alarms"), default=True, help_text=_("off: kept on record, not counted, nobody is told")
    )
    level = models.CharField(_("level"), max_length=16, choices=AlarmLevel, default=AlarmLevel.IMPORTANT)
    threshold = models.PositiveIntegerField(
        _("threshold"), null=True, blank=True, help_text=_("empty: the usual one of this kind")
    )
    wait_minutes = models.PositiveIntegerField(
        _("told after (min)"),
        default=0,
        validators=[MaxValueValidator(1440)],
        help_text=_("alarms that end before are told to nobody"),
    )
    ignored_bits = models.PositiveIntegerField(_("fault bits that do not count"), default=0)
    urgent_bits = models.PositiveIntegerField(_("fault bits that make it urgent"), default=0)

    class Meta:
        verbose_name = _("alarm rule")
        verbose_name_plural = _("alarm rules")
        ordering = ["kind", "id"]

    def __str__(self) -> str:
        return str(self.get_kind_display())


class NotificationRule(Quiet, TimeStamped):
    """Who is told of which alarms, by what, and how often at most."""

    name = models.CharField(_("name"), max_length=50, unique=True)
    is_active = models.BooleanField(_("in use"), default=True)
    active_since = models.DateTimeField(_("tells of alarms since"), null=True, editable=False)
    lowest_level = models.CharField(
        _("lowest level"), max_length=16, choices=AlarmLevel, default=AlarmLevel.IMPORTANT
    )
    kinds = models.JSONField(_("kinds"), default=list, blank=True)
    stations = models.ManyToManyField(
        Station, blank=True, related_name="+", verbose_name=_("stations"), help_text=_("none: all stations")
    )
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="+",
        verbose_name=_("staff"),
        help_text=_("each is told only of stations that they see"),
    )
    by_sms = models.BooleanField(_("by text message"), default=False)
    by_mail = models.BooleanField(_("by e-mail"), default=True)
    robots = models.ManyToManyField(Robot, blank=True, related_name="+", verbose_name=_("chat robots"))
    delay_minutes = models.PositiveIntegerField(
        _("only after (min)"),
        default=0,
        validators=[MaxValueValidator(10_080)],
        help_text=_("escalation: tells what is still open after so long"),
    )
    only_unhandled = models.BooleanField(_("only if nobody has acknowledged it"), default=False)
    tells_end = models.BooleanField(_("tells of the end too"), default=False)
    limit_per_hour = models.PositiveIntegerField(
        _("messages an hour at most"),
        default=20,
        validators=[MaxValueValidator(1000)],
        help_text=_("to each recipient; 0: no limit"),
    )
    urgent_always = models.BooleanField(_("urgent ones in quiet hours too"), default=True)

    class Meta:
        verbose_name = _("notification rule")
        verbose_name_plural = _("notification rules")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AlarmNotice(models.Model):
    """That a rule has told of an alarm: it does so once, and of its end once."""

    alarm = models.ForeignKey(
        Alarm, on_delete=models.CASCADE, related_name="notices", verbose_name=_("alarm")
    )
    rule = models.ForeignKey(
        NotificationRule,
        on_delete=models.CASCADE,
        related_name="notices",
        verbose_name=_("notification rule"),
    )
    at = models.DateTimeField(_("told at"))
    end_told_at = models.DateTimeField(_("end told at"), null=True, blank=True)

    class Meta:
        verbose_name = _("notice of an alarm")
        verbose_name_plural = _("notices of alarms")
        constraints = [models.UniqueConstraint(fields=["alarm", "rule"], name="alarm_notice_once")]

    def __str__(self) -> str:
        return f"{self.alarm_id} {self.rule_id}"
