"""Price tasks: what a scheduled change would do, before it is asked for; how far it is; cancelling, rolling back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RelatedDropdownFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    INPUT_CLASSES,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from apps.backoffice import approvals, scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.days import MomentField
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.enums import ApprovalState
from apps.backoffice.people import client_address, staff_actor
from apps.backoffice.sites import tenant_site
from apps.backoffice.time_filter import TimeFilter
from apps.common.errors import DomainError
from apps.common.time import now
from apps.piles.models import Pile
from apps.pricing import changes, price_tasks, services
from apps.pricing.calendar import Window
from apps.pricing.enums import PushState, TaskDays, TaskState
from apps.pricing.models import PricePush, PriceTask, PriceVersion
from apps.pricing.price_tasks import Place
from apps.pricing.push_pages import PUSH_TONES, push_reason
from apps.pricing.selectors import effective_versions
from apps.sites.models import Station

TONES = {
    TaskState.WAITING: "warning",
    TaskState.REFUSED: "neutral",
    TaskState.SCHEDULED: "info",
    TaskState.RUNNING: "success",
    TaskState.DONE: "success",
    TaskState.CANCELLED: "neutral",
    TaskState.ROLLED_BACK: "danger",
}
INPUT = " ".join(INPUT_CLASSES)
MOST_PILES = 200
"""That are typed in for a task; whole stations are ticked."""
MOST_ROWS = 100
MOST_WINDOWS = 40
_BETWEEN = re.compile(r"[\s,;，；、]+")
NEEDED_FIRST = [PushState.FAILED, PushState.PENDING, PushState.SENT, PushState.DONE, PushState.SUPERSEDED]


class _Moment(forms.DateTimeInput):
    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local", "class": INPUT}, format="%Y-%m-%dT%H:%M")


class TaskForm(forms.Form):
    """A version, places and a time; `places` is the clean result."""

    name = forms.CharField(label=_("name"), max_length=100, widget=UnfoldAdminTextInputWidget)
    version = forms.ModelChoiceField(
        label=_("price version"),
        queryset=PriceVersion.objects.none(),
        widget=UnfoldAdminSelectWidget,
    )
    days = forms.ChoiceField(label=_("days"), choices=TaskDays, widget=UnfoldAdminSelectWidget)
    starts_at = MomentField(label=_("starts at"), required=False, help_text=_("Empty: now."), widget=_Moment)
    ends_at = MomentField(
        label=_("ends at"),
        required=False,
        help_text=_("Empty: until another price. With an end, what applies now comes back afterwards."),
        widget=_Moment,
    )
    reason = forms.CharField(
        label=_("reason"),
        max_length=200,
        required=False,
        help_text=_("Needed where prices change so much that a second person has to approve it."),
        widget=UnfoldAdminTextInputWidget,
    )
    stations = forms.ModelMultipleChoiceField(
        label=_("stations"),
        queryset=Station.objects.none(),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )
    pile_codes = forms.CharField(
        label=_("or single piles (codes)"),
        required=False,
        max_length=4_000,
        help_text=_("One per line, or separated by commas."),
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.places: list[Place] = []
        versions = PriceVersion.objects.filter(template__is_active=True).select_related("template")
        self.fields["version"].queryset = versions.order_by("template__name", "-number")  # type: ignore[attr-defined]
        self.fields["stations"].queryset = scope.narrow(Station.objects.order_by("name"), user)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """The places: stations that are ticked, and piles by their codes."""
        words = super().clean() or {}
        codes = list(dict.fromkeys(code for code in _BETWEEN.split(words.get("pile_codes") or "") if code))
        piles = scope.narrow(Pile.objects.filter(pile_code__in=codes[: MOST_PILES + 1]), self.user)
        known = {pile.pile_code: pile for pile in piles.order_by("pile_code")}
        unknown = [code for code in codes if code not in known]
        if len(codes) > MOST_PILES:
            self.add_error("pile_codes", gettext("At most %s piles at a time.") % MOST_PILES)
        elif unknown:
            text = gettext("There are no such piles: %s") % ", ".join(unknown[:10])
            self.add_error("pile_codes", text)
        self.places = [Place(station=station) for station in words.get("stations") or ()]
        self.places += [Place(pile=pile) for pile in known.values()]
        return words


class NothingForm(BaseDialogForm):
    """Only asks whether."""


@admin.register(PriceTask, site=tenant_site)
class PriceTaskAdmin(ReadOnlyAdmin):
    """Scheduled changes of prices."""

    list_display = [
        "name",
        "version",
        "days_shown",
        "starts_shown",
        "ends_shown",
        "places_shown",
        "state_shown",
        "created_by",
    ]
    list_select_related = ["version__template"]
    list_filter = [
        ("state", ChoicesDropdownFilter),
        ("days", ChoicesDropdownFilter),
        ("version__template", RelatedDropdownFilter),
        ("stations", RelatedDropdownFilter),
        ("starts_at", TimeFilter),
    ]
    search_fields = ["name", "stations__name", "piles__pile_code"]
    search_help_text = _("Name of the task, station name or pile code")
    actions_detail = ["cancel_task", "roll_back_task", "push_again"]
    change_form_template = "backoffice/price_task.html"
    readonly_fields = ["name"]
    fields = readonly_fields
    export = [
        (_("name"), "name"),
        (_("price version"), "version"),
        (_("days"), "get_days_display"),
        (_("starts at"), "starts_at"),
        (_("ends at"), "ends_at"),
        (_("stations"), "station_count"),
        (_("piles"), "pile_count"),
        (_("state"), "get_state_display"),
        (_("reason"), "reason"),
        (_("created by"), "created_by"),
        (_("created at"), "created_at"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[PriceTask]:
        """With how many places each has."""
        rows = super().get_queryset(request)
        return rows.annotate(
            station_count=Count("stations", distinct=True), pile_count=Count("piles", distinct=True)
        ).order_by("-id")

    def get_urls(self) -> list[Any]:
        """The editor's page stands before the object's."""
        return [
            path("new/", self.admin_site.admin_view(self.editor), name="pricing_pricetask_new"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may ask for price tasks."""
        return self.allowed(request, "add_pricetask")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Tasks are made in the editor."""
        return HttpResponseRedirect(reverse("admin:pricing_pricetask_new"))

    # --- Making one ---

    def editor(self, request: HttpRequest) -> HttpResponse:
        """Show what a task would do where and when, then ask for it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        first = {"version": request.GET.get("version"), "stations": request.GET.getlist("station")}
        form = TaskForm(request.POST or None, user=request.user, initial=first)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("New price task"),
            "form": form,
            "opts": self.opts,
            "list_url": reverse("admin:pricing_pricetask_changelist"),
            "calendar_url": reverse("admin:pricing_holiday_changelist"),
        }
        if form.is_valid():
            try:
                if "save" in request.POST:
                    return self._save(request, form)
                context["preview"] = preview(form)
            except DomainError as error:
                form.add_error(None, str(error))
        return TemplateResponse(request, "backoffice/price_task_editor.html", context)

    def _save(self, request: HttpRequest, form: TaskForm) -> HttpResponse:
        words = form.cleaned_data
        with transaction.atomic():
            task = changes.request_task(
                name=words["name"],
                version=words["version"],
                places=form.places,
                days=TaskDays(words["days"]),
                starts_at=words["starts_at"] or now(),
                ends_at=words["ends_at"],
                reason=words["reason"],
                actor=staff_actor(request),
                address=client_address(request),
            )
            told = {
                "version": [None, str(task.version)],
                "places": [None, [str(place) for place in form.places][: changes.MOST_PLACES_TOLD]],
                "days": [None, task.days],
                "starts_at": [None, task.starts_at],
                "ends_at": [None, task.ends_at],
            }
            self.audit(request, "added", task, changes=told, reason=task.reason)
        if task.state == TaskState.WAITING:
            messages.warning(request, gettext("“%s” waits for a second person.") % task)
        else:
            messages.success(request, gettext("“%s” is scheduled.") % task)
        return HttpResponseRedirect(reverse("admin:pricing_pricetask_change", args=[task.pk]))

    # --- A task's own page ---

    def detail(self, request: HttpRequest, obj: PriceTask) -> dict[str, Any]:
        """When and where it applies, and how far the piles are."""
        task = PriceTask.objects.select_related("version__template", "approval").get(pk=obj.pk)
        moment = now()
        places = price_tasks.places_of(task)
        in_force = price_tasks.versions_at(places, moment)
        rows = push_rows(task, moment)
        return {
            "task": task,
            "state_label": shown.state(task, TONES),
            "percent": percent_words(task),
            "may_see_approval": task.approval_id and request.user.has_perm("backoffice.view_approval"),  # type: ignore[union-attr]
            "windows": stretches(task, moment),
            "places": [
                {"place": place, "version": version, "own": version is not None and version == task.version}
                for place, version in zip(places, in_force, strict=True)
            ],
            "push_rows": rows[:MOST_ROWS],
            "hidden": max(0, len(rows) - MOST_ROWS),
            "progress": progress_of(rows),
            "renew": task.state in services.IN_FORCE and any(row["open"] for row in rows),
        }

    @dialog_button(
        _("Cancel the task"),
        url="cancel",
        icon="event_busy",
        permission="cancel",
        text=_("It has not begun: nothing changes at any place."),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def cancel_task(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Call it off."""
        task = self.row(request, object_id)
        try:
            with transaction.atomic():
                price_tasks.cancel(task_id=task.pk)
                pair = [task.state, TaskState.CANCELLED.value]
                self.audit(
                    request,
                    "state_changed",
                    task,
                    changes={"state": pair},
                    reason=form.cleaned_data["reason"],
                )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, task)
        return self.back_to(request, task, _("The task is cancelled."))

    def has_cancel_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may; the button shows while nothing has begun."""
        return self.allowed(request, "cancel_pricetask") and (
            object_id is None or PriceTask.objects.filter(pk=object_id, state=TaskState.SCHEDULED).exists()
        )

    @dialog_button(
        _("Roll back"),
        url="roll-back",
        icon="history",
        permission="roll_back",
        text=_(
            "What applied before comes back at once and goes to the piles. Charges that are running keep their prices."
        ),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def roll_back_task(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Put back what applied before, or ask for it."""
        task = self.row(request, object_id)
        try:
            approval = changes.request_roll_back(
                task=task,
                actor=staff_actor(request),
                reason=form.cleaned_data["reason"],
                address=client_address(request),
            )
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, task)
        if approval.state == ApprovalState.PENDING:
            messages.warning(request, gettext("Rolling “%s” back waits for a second person.") % task)
            return self.back_to(request, task)
        return self.back_to(request, task, _("The earlier prices are back. Piles get them one by one."))

    def has_roll_back_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may; the button shows once the task has begun."""
        return self.allowed(request, "roll_back_pricetask") and _has_begun(object_id)

    @dialog_button(
        _("Push again"),
        url="push-again",
        icon="publish",
        permission="push_again",
        text=_("Piles that did not take the prices are tried anew."),
        form=NothingForm,
    )
    def push_again(self, request: HttpRequest, form: NothingForm, object_id: str) -> HttpResponse:
        """Queue what failed anew."""
        task = self.row(request, object_id)
        try:
            with transaction.atomic():
                count = price_tasks.push_again(task=task)
                self.audit(request, "commanded", task, changes={"piles": [None, count]})
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, task)
        return self.back_to(request, task, gettext("%s piles are tried again.") % count)

    def has_push_again_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for tasks; the button shows while one is in force."""
        return self.allowed(request, "add_pricetask") and _has_begun(object_id)

    # --- Columns ---

    @display(description=_("days"), ordering="days")
    def days_shown(self, obj: PriceTask) -> str:
        """In words."""
        return str(TaskDays(obj.days).label)

    @display(description=_("starts at"), ordering="starts_at")
    def starts_shown(self, obj: PriceTask) -> str:
        """To the minute."""
        return shown.moment(obj.starts_at)[:16]

    @display(description=_("ends at"), ordering="ends_at")
    def ends_shown(self, obj: PriceTask) -> str:
        """To the minute."""
        return shown.moment(obj.ends_at)[:16]

    @display(description=_("places"))
    def places_shown(self, obj: PriceTask) -> str:
        """How many stations and piles."""
        return place_words(obj.station_count, obj.pile_count)  # type: ignore[attr-defined]

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: PriceTask) -> SafeString:
        """As a label."""
        return shown.state(obj, TONES)


def _has_begun(object_id: Any) -> bool:
    if object_id is None:
        return True
    return PriceTask.objects.filter(pk=object_id, state__in=services.IN_FORCE).exists()


def place_words(stations: int, piles: int) -> str:
    """Return "3 stations · 2 piles"."""
    parts = []
    if stations:
        parts.append(gettext("%s stations") % stations)
    if piles:
        parts.append(gettext("%s piles") % piles)
    return " · ".join(parts) or shown.EMPTY


def percent_words(task: PriceTask) -> str:
    """Return how much the task changes prices at most."""
    if task.approval is None:
        return shown.EMPTY
    amount: Decimal | None = task.approval.amount
    return gettext("a price that was zero") if amount is None else f"{amount} %"


def preview(form: TaskForm) -> dict[str, Any]:
    """Return when and where a task would apply, how much it changes, and whether a second person is needed.

    Raises TaskInvalid.
    """
    words = form.cleaned_data
    version: PriceVersion = words["version"]
    starts_at = words["starts_at"] or now()
    found = price_tasks.check(
        days=TaskDays(words["days"]), starts_at=starts_at, ends_at=words["ends_at"], places=form.places
    )
    before = price_tasks.versions_at(form.places, found[0].start)
    percent = changes.largest_change(before, [version] * len(form.places))
    rows = [
        {"place": place, "version": old, "percent": changes.largest_change([old], [version]) if old else None}
        for place, old in zip(form.places, before, strict=True)
    ]
    return {
        "rows": rows[:MOST_ROWS],
        "hidden": max(0, len(rows) - MOST_ROWS),
        "places": len(rows),
        "windows": found[:MOST_WINDOWS],
        "more_windows": max(0, len(found) - MOST_WINDOWS),
        "percent": percent,
        "from_nothing": percent is None,
        "second_person": approvals.needs_second_person(changes.ASSIGN.code, percent),
    }


def stretches(task: PriceTask, moment: datetime) -> list[dict[str, Any]]:
    """Return when a task applies: as planned while it waits, then by its assignments."""
    if task.state in (TaskState.WAITING, TaskState.REFUSED, TaskState.CANCELLED):
        found = price_tasks.windows_of(
            days=TaskDays(task.days), starts_at=task.starts_at, ends_at=task.ends_at
        )
        spans = [(window.start, window.end) for window in found]
    else:
        rows = task.assignments.order_by().values("starts_at").annotate(until=Max("ends_at"))
        spans = sorted((row["starts_at"], row["until"]) for row in rows)
    return [
        {
            "window": Window(start, end),
            "over": end is not None and end <= moment,
            "now": start <= moment and (end is None or end > moment) and task.state in services.IN_FORCE,
        }
        for start, end in spans[:MOST_WINDOWS]
    ]


def push_rows(task: PriceTask, moment: datetime) -> list[dict[str, Any]]:
    """Return each pile of a task with what became of pushing the task's prices: what needs somebody first."""
    piles = list(price_tasks.piles_of(task).select_related("station").order_by("pile_code"))
    pushes = {
        push.pile_id: push
        for push in PricePush.objects.filter(pile__in=[pile.pk for pile in piles], version=task.version_id)
    }
    versions = effective_versions(places=[(pile.pk, pile.station_id) for pile in piles], at=moment)
    rows = []
    for pile in piles:
        push = pushes.get(pile.pk)
        here = versions.get(pile.pk)
        own = here is not None and here.pk == task.version_id
        state = PushState(push.state) if push else None
        rows.append(
            {
                "pile": pile,
                "push": push,
                "state": state,
                "own": own,
                "in_force": here,
                "open": own and state in services.UNDECIDED,
                "label": shown.state(push, PUSH_TONES) if push else shown.EMPTY,
                "reason": push_reason(push) if push else "",
            }
        )
    rows.sort(key=_urgency)
    return rows


def _urgency(row: dict[str, Any]) -> tuple[bool, int, str]:
    state = row["state"]
    return (not row["own"], NEEDED_FIRST.index(state) if state else len(NEEDED_FIRST), row["pile"].pile_code)


def progress_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how many of the piles at which the task's prices apply have them."""
    own = [row for row in rows if row["own"]]
    done = sum(row["state"] == PushState.DONE for row in own)
    failed = sum(row["state"] == PushState.FAILED for row in own)
    return {
        "total": len(own),
        "done": done,
        "failed": failed,
        "open": len(own) - done - failed,
        "percent": done * 100 // len(own) if own else 0,
        "others": len(rows) - len(own),
    }
