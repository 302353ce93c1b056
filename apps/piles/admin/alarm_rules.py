"""The rules of alarms, and who is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelect2MultipleWidget

from apps.accounts.models import User
from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.sites import tenant_site
from apps.common.time import now
from apps.notifications.models import Robot
from apps.piles.admin.alarms import LEVEL_TONES
from apps.piles.alarms import telling
from apps.piles.alarms.rules import LEVELS, THRESHOLDS, WAITS
from apps.piles.alarms.watch import sort_anew
from apps.piles.enums import FAULT_BITS, AlarmKind, AlarmLevel
from apps.piles.models import AlarmRule, NotificationRule
from apps.sites.models import Station


class BitsField(forms.TypedMultipleChoiceField):
    """Ticked bits as one number."""

    widget = UnfoldAdminCheckboxSelectMultipleWidget

    def __init__(self, **options: Any) -> None:
        choices = [(bit, f"{words} (0x{bit:04X})") for bit, words in FAULT_BITS.items()]
        super().__init__(choices=choices, coerce=int, required=False, **options)

    def clean(self, value: Any) -> Any:
        """The sum of what is ticked."""
        return sum(super().clean(value))

    def prepare_value(self, value: Any) -> Any:
        """The bits of a stored number."""
        return [bit for bit in FAULT_BITS if value & bit] if isinstance(value, int) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By the number."""
        return bool(sum(int(one) for one in data or ()) != (initial or 0))


class StationsForm(forms.ModelForm):
    """Who sees only some stations sets rules for those only."""

    person: ClassVar[Any] = None

    def clean_stations(self) -> Any:
        """See the class."""
        chosen = self.cleaned_data["stations"]
        if scope.is_limited(self.person) and not chosen:
            raise forms.ValidationError(_("Choose stations: you do not see all of them."))
        return chosen


class AlarmRuleForm(StationsForm):
    ignored_bits = BitsField(label=_("fault bits that do not count"))
    urgent_bits = BitsField(label=_("fault bits that make it urgent"))

    class Meta:
        model = AlarmRule
        fields: ClassVar[list[str]] = [
            "kind",
            "stations",
            "is_active",
            "level",
            "threshold",
            "wait_minutes",
            "quiet_from",
            "quiet_until",
            "ignored_bits",
            "urgent_bits",
        ]

    def clean(self) -> dict[str, Any]:
        """A threshold only where the kind has one, within its bounds."""
        found = super().clean() or self.cleaned_data
        threshold = found.get("threshold")
        known = THRESHOLDS.get(found.get("kind", ""))  # type: ignore[call-overload]
        if known is None:
            found["threshold"] = None
        elif threshold is not None and not known.smallest <= threshold <= known.largest:
            words = _("From %(smallest)s to %(largest)s: %(unit)s.")
            facts = {"smallest": known.smallest, "largest": known.largest, "unit": known.unit}
            self.add_error("threshold", words % facts)
        if found.get("kind") != AlarmKind.PILE_FAULT:
            found["ignored_bits"] = found["urgent_bits"] = 0
        return found


class NotificationRuleForm(StationsForm):
    kinds = forms.MultipleChoiceField(
        label=_("kinds"),
        choices=AlarmKind.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("none: all kinds"),
    )

    class Meta:
        model = NotificationRule
        fields: ClassVar[list[str]] = [
            "name",
            "is_active",
            "lowest_level",
            "kinds",
            "stations",
            "people",
            "by_sms",
            "by_mail",
            "robots",
            "delay_minutes",
            "only_unhandled",
            "tells_end",
            "limit_per_hour",
            "quiet_from",
            "quiet_until",
            "urgent_always",
        ]

    def clean(self) -> dict[str, Any]:
        """Somebody has to be told by something."""
        found = super().clean() or self.cleaned_data
        if self.errors:
            return found
        if not found["people"] and not found["robots"]:
            raise forms.ValidationError(_("Choose staff or a chat robot: nobody would be told."))
        if found["people"] and not (found["by_sms"] or found["by_mail"]):
            self.add_error("by_mail", _("Choose how staff are told."))
        return found


class ConfirmForm(BaseDialogForm):
    """A dialog that only asks whether."""


class RuleAdmin(BackofficeAdmin):
    """What both kinds of rules have in common: stations, and quiet hours."""

    deletable = True

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        """It knows who asks."""
        form = super().get_form(request, obj, change, **options)
        return type(form.__name__, (form,), {"person": request.user})

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        """Choices are what this person sees, in a list that can be searched. Chats are the whole tenant's."""
        staff = User.objects.filter(is_active=True, is_staff=True).order_by("username")
        robots = Robot.objects.filter(is_active=True)
        choices: dict[str, QuerySet[Any]] = {
            "stations": scope.narrow(Station.objects.order_by("name"), request.user),
            "people": scope.narrow(staff, request.user),
            "robots": robots.none() if scope.is_limited(request.user) else robots,
        }
        options["queryset"] = choices[db_field.name]
        options["widget"] = UnfoldAdminSelect2MultipleWidget
        field = super().formfield_for_manytomany(db_field, request, **options)
        if field is not None:
            field.help_text = db_field.help_text
        return field

    @display(description=_("stations"))
    def where_shown(self, obj: Any) -> Any:
        """Their names, of the first ones, or all."""
        if not obj.station_names:
            return _("all")
        first = "、".join(obj.station_names[:2])
        if len(obj.station_names) > 2:
            return _("%(first)s and %(number)s more") % {"first": first, "number": len(obj.station_names) - 2}
        return first

    @display(description=_("quiet hours"))
    def quiet_shown(self, obj: Any) -> str:
        """From and until."""
        if obj.quiet_from is None:
            return shown.EMPTY
        return f"{obj.quiet_from:%H:%M}–{obj.quiet_until:%H:%M}"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With the names of the stations."""
        rows: QuerySet[Any] = super().get_queryset(request)
        links = self.model.stations.through.objects.filter(**{f"{self.opts.model_name}_id": OuterRef("pk")})
        names = links.order_by("station__name").values("station__name")
        return rows.annotate(station_names=ArraySubquery(names))


@admin.register(AlarmRule, site=tenant_site)
class AlarmRuleAdmin(RuleAdmin):
    """How bad is what, from what on, and after how long people are told."""

    form = AlarmRuleForm
    list_display = [
        "kind",
        "where_shown",
        "level_shown",
        "threshold_shown",
        "wait_minutes",
        "quiet_shown",
        "active_shown",
    ]
    list_filter = [("kind", ChoicesDropdownFilter), ("level", ChoicesDropdownFilter), "is_active"]
    list_before_template = "backoffice/alarm_defaults.html"
    fieldsets: ClassVar[Any] = [
        (None, {"fields": ["kind", "stations", ("level", "is_active"), ("threshold", "wait_minutes")]}),
        (_("Quiet hours"), {"fields": [("quiet_from", "quiet_until")]}),
        (_("Fault bits"), {"fields": ["ignored_bits", "urgent_bits"]}),
    ]
    conditional_fields: ClassVar[dict[str, str]] = {
        "threshold": " || ".join(f"kind == '{kind.value}'" for kind in THRESHOLDS),
        "ignored_bits": f"kind == '{AlarmKind.PILE_FAULT.value}'",
        "urgent_bits": f"kind == '{AlarmKind.PILE_FAULT.value}'",
    }
    export = [
        (_("kind"), "get_kind_display"),
        (_("level"), "get_level_display"),
        (_("threshold"), "threshold"),
        (_("told after (min)"), "wait_minutes"),
        (_("raises alarms"), "is_active"),
    ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add what holds for kinds that no rule speaks of."""
        rows = []
        for kind in AlarmKind:
            level = LEVELS.get(kind, AlarmLevel.IMPORTANT)
            known = THRESHOLDS.get(kind)
            rows.append(
                {
                    "kind": kind.label,
                    "level": shown.label(level.label, LEVEL_TONES[level]),
                    "threshold": f"{known.usual} {known.unit}" if known else shown.EMPTY,
                    "wait": WAITS.get(kind, 0),
                }
            )
        return super().changelist_view(request, {**(extra_context or {}), "defaults": rows})

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """What is open is sorted anew, now that the rule has its stations."""
        super().save_related(request, form, formsets, change)
        sort_anew(kind=form.instance.kind)
        if "kind" in form.changed_data and change:
            sort_anew(kind=form.initial["kind"])

    def delete_model(self, request: HttpRequest, obj: AlarmRule) -> None:
        """What it sorted is sorted anew."""
        super().delete_model(request, obj)
        sort_anew(kind=obj.kind)

    @display(description=_("level"), ordering="level")
    def level_shown(self, obj: AlarmRule) -> str:
        """As a label."""
        return shown.state(obj, LEVEL_TONES, "level")

    @display(description=_("threshold"))
    def threshold_shown(self, obj: AlarmRule) -> str:
        """With what it counts."""
        known = THRESHOLDS.get(AlarmKind(obj.kind))
        if known is None:
            return shown.EMPTY
        return f"{known.usual if obj.threshold is None else obj.threshold} {known.unit}"

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: AlarmRule) -> str:
        """Whether there are alarms of it."""
        if obj.is_active:
            return shown.label(_("raises alarms"), "success")
        return shown.label(_("muted"), "neutral")


@admin.register(NotificationRule, site=tenant_site)
class NotificationRuleAdmin(RuleAdmin):
    """Who is told of which alarms, by what."""

    form = NotificationRuleForm
    list_display = [
        "name",
        "level_shown",
        "where_shown",
        "people_shown",
        "ways_shown",
        "delay_minutes",
        "limit_per_hour",
        "quiet_shown",
        "active_shown",
    ]
    list_filter = [("lowest_level", ChoicesDropdownFilter), "is_active"]
    search_fields = ["name"]
    fieldsets: ClassVar[Any] = [
        (None, {"fields": [("name", "is_active")]}),
        (
            _("Which alarms"),
            {
                "fields": [
                    "lowest_level",
                    "kinds",
                    "stations",
                    ("delay_minutes", "only_unhandled"),
                    "tells_end",
                ]
            },
        ),
        (_("Who, by what"), {"fields": ["people", ("by_mail", "by_sms"), "robots"]}),
        (
            _("How often"),
            {"fields": ["limit_per_hour", ("quiet_from", "quiet_until"), "urgent_always"]},
        ),
    ]
    actions_detail = ["test_rule"]
    export = [
        (_("name"), "name"),
        (_("lowest level"), "get_lowest_level_display"),
        (_("by text message"), "by_sms"),
        (_("by e-mail"), "by_mail"),
        (_("messages an hour at most"), "limit_per_hour"),
        (_("in use"), "is_active"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NotificationRule]:
        """With the numbers of people and robots."""
        rows = super().get_queryset(request)
        return rows.annotate(
            number_of_people=Count("people", distinct=True), number_of_robots=Count("robots", distinct=True)
        )

    def save_model(self, request: HttpRequest, obj: NotificationRule, form: Any, change: bool) -> None:
        """A rule that comes into use tells of what begins from then on."""
        if obj.is_active and (not change or "is_active" in form.changed_data):
            obj.active_since = now()
        super().save_model(request, obj, form, change)

    @dialog_button(
        _("Send a test message"),
        url="test",
        icon="outgoing_mail",
        permission="test",
        text=_("Everybody whom this rule tells gets one message. What became of it shows under messages."),
        form=ConfirmForm,
    )
    def test_rule(self, request: HttpRequest, form: ConfirmForm, object_id: str) -> HttpResponse:
        """To all, in the background."""
        rule = self.row(request, object_id)
        number = telling.send_test(rule)
        self.audit(request, "tested", rule, changes={"messages": [None, number]})
        if not number:
            messages.error(
                request, _("Nobody of this rule can be reached: no phone, no e-mail, no robot in use.")
            )
            return self.back_to(request, rule)
        words = _("Messages on their way: %(number)s.")
        return self.back_to(request, rule, words % {"number": number})

    def has_test_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change the rule."""
        return self.allowed(request, "change_notificationrule")

    @display(description=_("lowest level"), ordering="lowest_level")
    def level_shown(self, obj: NotificationRule) -> str:
        """As a label."""
        return shown.state(obj, LEVEL_TONES, "lowest_level")

    @display(description=_("staff"))
    def people_shown(self, obj: Any) -> int:
        """How many."""
        return int(obj.number_of_people)

    @display(description=_("by what"))
    def ways_shown(self, obj: Any) -> str:
        """Text message, e-mail, robots."""
        ways: Sequence[Any] = [
            *([_("text message")] if obj.by_sms and obj.number_of_people else []),
            *([_("e-mail")] if obj.by_mail and obj.number_of_people else []),
            *([_("%(number)s robots") % {"number": obj.number_of_robots}] if obj.number_of_robots else []),
        ]
        return " · ".join(str(way) for way in ways) or shown.EMPTY

    @display(description=_("state"), ordering="is_active")
    def active_shown(self, obj: NotificationRule) -> str:
        """In use or not."""
        return shown.label(
            _("in use") if obj.is_active else _("out of use"), "success" if obj.is_active else "neutral"
        )
