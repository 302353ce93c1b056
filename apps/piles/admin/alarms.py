"""Alarms: what somebody must look at, and what they do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Case, Count, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext, pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from apps.accounts.models import User
from apps.backoffice import badges, scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.ids import whole_number
from apps.piles.alarms import services, words
from apps.piles.enums import AlarmLevel, AlarmState
from apps.piles.models import Alarm, Pile
from apps.sites.models import Station

LEVEL_TONES = {AlarmLevel.URGENT: "danger", AlarmLevel.IMPORTANT: "warning", AlarmLevel.MINOR: "info"}
STATE_TONES = {
    AlarmState.OPEN: "danger",
    AlarmState.ACKNOWLEDGED: "warning",
    AlarmState.ASSIGNED: "info",
    AlarmState.CLOSED: "neutral",
}
OPEN, CLOSED, ALL = "1", "0", "all"
STATES = {
    "new": Q(closed_at=None, acknowledged_at=None),
    "acknowledged": Q(closed_at=None, acknowledged_at__isnull=False, assigned_to=None),
    "assigned": Q(closed_at=None, assigned_to__isnull=False),
    "muted": Q(closed_at=None, is_muted=True),
    CLOSED: Q(closed_at__isnull=False),
    ALL: Q(),
}


class OpenFilter(admin.SimpleListFilter):
    """Open alarms unless another choice is made; those that a rule mutes only when they are asked for."""

    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """By what has been done."""
        return [
            ("new", pgettext_lazy("alarm", "not acknowledged")),
            ("acknowledged", pgettext_lazy("alarm", "acknowledged")),
            ("assigned", pgettext_lazy("alarm", "assigned")),
            ("mine", pgettext_lazy("alarm", "assigned to me")),
            ("muted", pgettext_lazy("alarm", "muted by a rule")),
            (CLOSED, pgettext_lazy("alarm", "closed")),
            (ALL, pgettext_lazy("alarm", "all")),
        ]

    def choices(self, changelist: Any) -> Any:
        """The first choice is what shows without one."""
        first, *others = super().choices(changelist)
        yield {**first, "display": pgettext_lazy("alarm", "open"), "selected": self.value() in (None, OPEN)}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        """See the class."""
        if self.value() == "mine":
            return queryset.filter(closed_at=None, assigned_to=request.user)
        return queryset.filter(STATES.get(self.value() or OPEN, Q(closed_at=None, is_muted=False)))


class StationFilter(admin.SimpleListFilter):
    """By the station of the pile."""

    title = _("station")
    parameter_name = "station"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Those that the person sees."""
        stations = scope.narrow(Station.objects.order_by("name"), request.user)
        return [(str(pk), name) for pk, name in stations.values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        """See the class."""
        station = whole_number(self.value())
        if station is None:
            return queryset
        codes = Pile.objects.filter(station_id=station).values("pile_code")
        return queryset.filter(pile_code__in=codes)


class NoteForm(BaseDialogForm):
    """A few words that may be left out."""

    note = forms.CharField(label=_("note"), max_length=500, required=False, widget=UnfoldAdminTextInputWidget)


class NeededNoteForm(BaseDialogForm):
    """A few words that are needed."""

    reason = forms.CharField(label=_("note"), max_length=500, widget=UnfoldAdminTextInputWidget)


class AssignForm(NoteForm):
    """To whom."""

    person = forms.ModelChoiceField(
        User.objects.none(),
        label=_("assign to"),
        widget=UnfoldAdminSelectWidget,
    )
    field_order = ["person", "note"]

    def __init__(self, *args: Any, **words_of: Any) -> None:
        super().__init__(*args, **words_of)
        staff = User.objects.filter(is_active=True, is_staff=True).order_by("username")
        self.fields["person"].queryset = scope.narrow(staff, self.request.user)  # type: ignore[attr-defined]


@admin.register(Alarm, site=tenant_site)
class AlarmAdmin(ReadOnlyAdmin):
    """What somebody must look at."""

    list_display = [
        "level_shown",
        "kind",
        "place_shown",
        "connector_no",
        "facts_shown",
        "count",
        "state_shown",
        "assigned_shown",
        "since_shown",
        "last_shown",
    ]
    list_display_links = ["kind"]
    list_select_related = ["assigned_to"]
    list_filter = [
        OpenFilter,
        ("level", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        StationFilter,
        ("created_at", TimeFilter),
    ]
    search_fields = ["pile_code", "subject"]
    search_help_text = _("Pile code or subject")
    show_full_result_count = False
    list_before_template = "backoffice/alarm_chips.html"
    fields = [
        ("kind", "level_shown"),
        ("place_shown", "connector_no"),
        ("pile_code", "subject"),
        "facts_shown",
        ("state_shown", "assigned_shown"),
        ("count", "last_shown"),
        ("since_shown", "closed_shown"),
        "history_shown",
    ]
    actions = ["acknowledge_selected"]
    actions_detail = ["acknowledge", "assign", "write_note", "close_alarm"]
    export = [
        (_("level"), "get_level_display"),
        (_("kind"), "get_kind_display"),
        (_("station"), "station_name"),
        (_("pile code"), "pile_code"),
        (_("connector number"), "connector_no"),
        (_("subject"), "subject"),
        (_("detail"), lambda alarm: words.facts(alarm.detail)),
        (_("times"), "count"),
        (_("since"), "created_at"),
        (_("acknowledged at"), "acknowledged_at"),
        (_("assigned to"), "assigned_to"),
        (_("closed at"), "closed_at"),
        (_("closed by"), "closed_by"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alarm]:
        """With the names of station and pile, which are no relations: some alarms are about piles of nobody."""
        pile = Pile.objects.filter(pile_code=OuterRef("pile_code"))
        return (
            super()
            .get_queryset(request)
            .annotate(
                station_name=Subquery(pile.values("station__name")[:1]),
                pile_name=Subquery(pile.values("name")[:1]),
            )
        )

    def get_ordering(self, request: HttpRequest) -> Sequence[Any]:
        """Open ones by how bad they are, others newest first."""
        if request.GET.get("open", OPEN) in (CLOSED, ALL):
            return ["-id"]
        worst = Case(
            *(When(level=level, then=Value(place)) for place, level in enumerate(AlarmLevel.values)),
            default=Value(len(AlarmLevel.values)),
            output_field=IntegerField(),
        )
        return [worst.asc(), "-id"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Add the chips: open alarms by level, those that nobody has acknowledged."""
        rows = scope.narrow(Alarm.objects.filter(closed_at=None, is_muted=False), request.user)
        counts = dict(rows.order_by().values_list("level").annotate(Count("id")))
        chosen = request.GET.get("level__exact", "")
        chips = [
            {
                "label": level.label,
                "tone": LEVEL_TONES[level],
                "count": counts.get(level.value, 0),
                "chosen": chosen == level.value,
                "query": f"level__exact={level.value}",
            }
            for level in AlarmLevel
        ]
        everything = {"count": sum(counts.values()), "chosen": not request.GET}
        return super().changelist_view(
            request, {**(extra_context or {}), "chips": chips, "everything": everything}
        )

    # --- Buttons ---

    @action(description=_("Acknowledge"), permissions=["acknowledge"])
    def acknowledge_selected(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> None:
        """All that are ticked."""
        alarms = list(queryset.filter(closed_at=None, acknowledged_at=None))
        with transaction.atomic():
            done = services.acknowledge(alarms=alarms, actor=staff_actor(request))
            for alarm in done:
                self.audit(request, "acknowledged", alarm)
        number = len(done)
        words_of = ngettext(
            "%(number)s alarm is acknowledged.", "%(number)s alarms are acknowledged.", number
        )
        messages.success(request, words_of % {"number": number})

    @dialog_button(
        _("Acknowledge"),
        url="acknowledge",
        icon="visibility",
        permission="acknowledge",
        text=_("Others see that you look at it."),
        form=NoteForm,
        variant=ActionVariant.PRIMARY,
    )
    def acknowledge(self, request: HttpRequest, form: NoteForm, object_id: str) -> HttpResponse:
        """Somebody looks at it."""
        alarm = self.row(request, object_id)
        note = form.cleaned_data["note"]
        with transaction.atomic():
            done = services.acknowledge(alarms=[alarm], actor=staff_actor(request), note=note)
            if done:
                self.audit(request, "acknowledged", alarm, reason=note)
        if not done:
            messages.error(request, _("It is acknowledged or closed already."))
            return self.back_to(request, alarm)
        return self.back_to(request, alarm, _("The alarm is acknowledged."))

    @dialog_button(
        _("Assign"),
        url="assign",
        icon="person_add",
        permission="assign",
        text=_("The person finds it under “assigned to me”."),
        form=AssignForm,
    )
    def assign(self, request: HttpRequest, form: AssignForm, object_id: str) -> HttpResponse:
        """To somebody who sees its station."""
        alarm = self.row(request, object_id)
        person = form.cleaned_data["person"]
        note = form.cleaned_data["note"]
        before = str(alarm.assigned_to) if alarm.assigned_to else None
        changes = {"assigned_to": [before, str(person)]}
        try:
            with transaction.atomic():
                services.assign(alarm=alarm, person=person, actor=staff_actor(request), note=note)
                self.audit(request, "assigned", alarm, changes=changes, reason=note)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, alarm)
        return self.back_to(request, alarm, _("The alarm is assigned."))

    @dialog_button(
        _("Write a note"),
        url="note",
        icon="edit_note",
        permission="note",
        text=_("It stays with the alarm."),
        form=NeededNoteForm,
    )
    def write_note(self, request: HttpRequest, form: NeededNoteForm, object_id: str) -> HttpResponse:
        """What was found or done."""
        alarm = self.row(request, object_id)
        with transaction.atomic():
            services.add_note(alarm=alarm, actor=staff_actor(request), note=form.cleaned_data["reason"])
            self.audit(request, "noted", alarm, reason=form.cleaned_data["reason"])
        return self.back_to(request, alarm, _("Saved."))

    @dialog_button(
        _("Close alarm"),
        url="close",
        icon="check",
        permission="close",
        text=_("If the cause is still there, it is raised again."),
        form=NeededNoteForm,
    )
    def close_alarm(self, request: HttpRequest, form: NeededNoteForm, object_id: str) -> HttpResponse:
        """With a note."""
        alarm = self.row(request, object_id)
        note = form.cleaned_data["reason"]
        try:
            with transaction.atomic():
                services.close(alarm=alarm, actor=staff_actor(request), note=note)
                self.audit(request, "closed", alarm, reason=note)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, alarm)
        return self.back_to(request, alarm, _("The alarm is closed."))

    def has_acknowledge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may acknowledge; the button shows while nobody has."""
        return self._may(request, "acknowledge_alarm", object_id, closed_at=None, acknowledged_at=None)

    def has_assign_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may assign; of open alarms."""
        return self._may(request, "assign_alarm", object_id, closed_at=None)

    def has_note_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may acknowledge may write."""
        return self.allowed(request, "acknowledge_alarm")

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may close; of open alarms."""
        return self._may(request, "close_alarm", object_id, closed_at=None)

    def _may(self, request: HttpRequest, codename: str, object_id: Any, **state: Any) -> bool:
        if not self.allowed(request, codename):
            return False
        return object_id is None or Alarm.objects.filter(pk=object_id, **state).exists()

    # --- Columns ---

    @display(description=_("level"), ordering="level")
    def level_shown(self, obj: Alarm) -> str:
        """As a label."""
        return shown.state(obj, LEVEL_TONES, "level")

    @display(description=_("place"), ordering="pile_code")
    def place_shown(self, obj: Any) -> str:
        """Station and pile; a code that is no pile of ours stands for itself."""
        pile = obj.pile_name or obj.pile_code
        return " · ".join(part for part in (obj.station_name, pile) if part) or shown.EMPTY

    @display(description=_("detail"))
    def facts_shown(self, obj: Alarm) -> str:
        """Subject and facts."""
        return " · ".join(part for part in (obj.subject, words.facts(obj.detail)) if part) or shown.EMPTY

    @display(description=_("state"), ordering="closed_at")
    def state_shown(self, obj: Alarm) -> str:
        """What has been done, and whether a rule mutes it."""
        label = shown.label(obj.state.label, STATE_TONES[obj.state])
        if not obj.is_muted:
            return label
        return format_html("{} {}", label, shown.label(_("muted"), "neutral"))

    @display(description=_("assigned to"), ordering="assigned_to")
    def assigned_shown(self, obj: Alarm) -> str:
        """Who has it."""
        return str(obj.assigned_to) if obj.assigned_to else shown.EMPTY

    @display(description=_("since"), ordering="created_at")
    def since_shown(self, obj: Alarm) -> str:
        """Of the first time."""
        return shown.moment(obj.created_at)

    @display(description=_("last time"), ordering="updated_at")
    def last_shown(self, obj: Alarm) -> str:
        """Of the last time."""
        return shown.moment(obj.updated_at)

    @display(description=_("closed"))
    def closed_shown(self, obj: Alarm) -> str:
        """When, and by whom or by itself."""
        if obj.closed_at is None:
            return shown.EMPTY
        return f"{shown.moment(obj.closed_at)} · {obj.closed_by or _('by itself: the cause has gone')}"

    @display(description=_("history"))
    def history_shown(self, obj: Alarm) -> str:
        """What people did, and who was told, in the order of time."""
        rows = [
            (event.at, event.get_deed_display(), event.actor_name, event.person, event.note)
            for event in obj.events.all()
        ]
        rows += [
            (notice.at, _("told"), notice.rule.name, "", "") for notice in obj.notices.select_related("rule")
        ]
        if not rows:
            return shown.EMPTY
        lines = (
            (shown.moment(at), what, " → ".join(part for part in (who, person) if part), note)
            for at, what, who, person, note in sorted(rows, key=lambda row: row[0])
        )
        return format_html(
            '<ul class="bo-history">{}</ul>',
            format_html_join("", "<li><span>{}</span> <b>{}</b> {} {}</li>", lines),
        )


def unseen(user: Any) -> int:
    """Return how many open alarms that the person sees nobody has acknowledged yet."""
    rows = Alarm.objects.filter(closed_at=None, acknowledged_at=None, is_muted=False)
    return scope.narrow(rows, user).count()


badges.add(Alarm, unseen)
