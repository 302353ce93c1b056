"""The holiday calendar: public holidays and the weekend days that are worked instead, typed in, pasted or imported."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.people import staff_actor
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.files.tables import TableUnreadable, read_table
from apps.pricing import price_tasks
from apps.pricing.enums import DayKind, TaskDays, TaskState
from apps.pricing.holidays import entries_of, lines_of_table, read_lines
from apps.pricing.models import Holiday, PriceTask

LARGEST_FILE = 2**20
"""Bytes."""
TONES = {DayKind.HOLIDAY: "success", DayKind.WORKDAY: "warning"}


class DaysForm(forms.Form):
    """Lines of days, and a file that fills them."""

    lines = forms.CharField(
        label=_("days"),
        required=False,
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 12, "spellcheck": "false"}),
    )
    file = forms.FileField(
        label=_("or a file (xlsx, csv)"),
        required=False,
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt"}),
    )
    skip_wrong = forms.BooleanField(
        label=_("Take the lines that are right, leave the others"), required=False
    )

    def clean_file(self) -> Any:
        """A calendar is short."""
        file = self.cleaned_data["file"]
        if file and file.size > LARGEST_FILE:
            raise forms.ValidationError(_("The file is too large for a calendar."))
        return file


@admin.register(Holiday, site=tenant_site)
class HolidayAdmin(ReadOnlyAdmin):
    """Days that are not what their weekday says."""

    list_display = ["day_shown", "weekday_shown", "kind_shown", "name", "created_by", "updated_shown"]
    list_filter = [("kind", ChoicesDropdownFilter), ("day", RangeDateFilter)]
    search_fields = ["name"]
    actions_detail = ["remove"]
    readonly_fields = ["day_shown", "weekday_shown", "kind_shown", "name", "created_by", "updated_shown"]
    fields = [("day_shown", "weekday_shown"), ("kind_shown", "name"), ("created_by", "updated_shown")]
    export = [
        (_("day"), "day"),
        (_("kind"), "get_kind_display"),
        (_("name"), "name"),
        (_("created by"), "created_by"),
    ]

    def get_urls(self) -> list[Any]:
        """The page to enter days stands before the object's."""
        return [
            path("new/", self.admin_site.admin_view(self.enter), name="pricing_holiday_new"),
            *super().get_urls(),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Who may enter days and take them out."""
        return self.allowed(request, "add_holiday")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Days are entered by the line."""
        return HttpResponseRedirect(reverse("admin:pricing_holiday_new"))

    def enter(self, request: HttpRequest) -> HttpResponse:
        """Read lines or a file, say what is wrong with each, and enter them."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DaysForm(request.POST or None, request.FILES or None)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": gettext("Enter holidays"),
            "form": form,
            "followers": followers(request.user),
            "opts": self.opts,
            "list_url": reverse("admin:pricing_holiday_changelist"),
        }
        if form.is_valid():
            try:
                if "save" in request.POST and not form.cleaned_data["file"]:
                    answer = self._save(request, form)
                    if answer is not None:
                        return answer
                text = form.cleaned_data["lines"]
                if form.cleaned_data["file"]:
                    rows = read_table(form.cleaned_data["file"], most_rows=price_tasks.MOST_DAYS)
                    text = lines_of_table(cells for _number, cells in rows)
                context |= self._preview(text)
                form.data = {**form.data.dict(), "lines": text}
            except DomainError as error:
                form.add_error(None, str(error))
            except TableUnreadable as error:
                form.add_error("file", str(error))
        return TemplateResponse(request, "backoffice/holiday_editor.html", context)

    def _preview(self, text: str) -> dict[str, Any]:
        lines = read_lines(text, today=business_day(now()))
        known = dict(
            Holiday.objects.filter(day__in=[entry.day for entry in entries_of(lines)]).values_list(
                "day", "name"
            )
        )
        return {
            "read": [
                {
                    "line": line,
                    "kind": DayKind(line.entries[0].kind).label if line.entries else "",
                    "tone": TONES[DayKind(line.entries[0].kind)] if line.entries else "danger",
                    "days": [
                        (entry.day, date_format(entry.day, "D"), known.get(entry.day))
                        for entry in line.entries
                    ],
                }
                for line in lines
            ],
            "wrong": sum(bool(line.error) for line in lines),
            "right": len(entries_of(lines)),
        }

    def _save(self, request: HttpRequest, form: DaysForm) -> HttpResponse | None:
        lines = read_lines(form.cleaned_data["lines"], today=business_day(now()))
        entries = entries_of(lines)
        if any(line.error for line in lines) and not form.cleaned_data["skip_wrong"]:
            form.add_error(
                None, gettext("Nothing is entered: correct the lines, or leave the wrong ones out.")
            )
            return None
        with transaction.atomic():
            changed = price_tasks.set_days(entries=entries, actor=staff_actor(request))
            self.audit(request, "changed", None, changes=changed)
        messages.success(request, gettext("%s days are entered.") % len(entries))
        return HttpResponseRedirect(reverse("admin:pricing_holiday_changelist"))

    @dialog_button(
        _("Take out"),
        url="remove",
        icon="event_busy",
        permission="remove",
        text=_(
            "The day is again what its weekday says. Price tasks that follow the calendar are planned anew."
        ),
        form=ReasonForm,
        variant=ActionVariant.DANGER,
    )
    def remove(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Take a day out of the calendar."""
        holiday = self.row(request, object_id)
        try:
            with transaction.atomic():
                price_tasks.remove_day(day=holiday.day)
                self.audit(request, "deleted", holiday, reason=form.cleaned_data["reason"])
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, holiday)
        messages.success(request, gettext("%s is taken out.") % holiday)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:pricing_holiday_changelist")})

    def has_remove_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may enter days; the button shows for days to come."""
        return self.has_add_permission(request) and (
            object_id is None or Holiday.objects.filter(pk=object_id, day__gt=business_day(now())).exists()
        )

    @display(description=_("day"), ordering="day")
    def day_shown(self, obj: Holiday) -> str:
        """As ISO 8601."""
        return f"{obj.day}"

    @display(description=_("weekday"))
    def weekday_shown(self, obj: Holiday) -> str:
        """In words."""
        return date_format(obj.day, "l")

    @display(description=_("kind"), ordering="kind")
    def kind_shown(self, obj: Holiday) -> SafeString:
        """As a label."""
        return shown.state(obj, TONES, "kind")

    @display(description=_("updated at"), ordering="updated_at")
    def updated_shown(self, obj: Holiday) -> str:
        """To the second."""
        return shown.moment(obj.updated_at)


def followers(person: Any) -> list[PriceTask]:
    """Return the tasks that a person sees and whose days to come follow the calendar."""
    following = PriceTask.objects.filter(
        state__in=[TaskState.SCHEDULED, TaskState.RUNNING],
        days__in=[TaskDays.HOLIDAYS, TaskDays.REST_DAYS],
    )
    return list(scope.narrow(following, person).select_related("version__template")[:20])
