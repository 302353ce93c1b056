"""Reports by mail: what is sent to whom, when it went, what went wrong."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from apps.backoffice import scope, shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.time import business_day, now
from apps.reports import schedules
from apps.reports.models import ReportSchedule

MOST_RECIPIENTS = 20
_BETWEEN = re.compile(r"[\s,;，；、]+")

# Whoever sees some stations only sees what they set up themselves: others' reports tell of other stations.
scope.by_rule(ReportSchedule, lambda person, _stations: Q(owner=person.pk))


class ScheduleForm(forms.ModelForm):
    """Recipients one a line, or between commas."""

    recipients = forms.CharField(
        label=_("recipients"),
        max_length=4_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text=_("Mail addresses, one a line or separated by commas."),
    )

    def clean_recipients(self) -> str:
        """Each once, one a line."""
        found = list(dict.fromkeys(text for text in _BETWEEN.split(self.cleaned_data["recipients"]) if text))
        if len(found) > MOST_RECIPIENTS:
            raise ValidationError(_("At most %(most)s recipients.") % {"most": MOST_RECIPIENTS})
        wrong = []
        for address in found:
            try:
                validate_email(address)
            except ValidationError:
                wrong.append(address)
        if wrong or not found:
            raise ValidationError(_("These are no mail addresses: %s") % ", ".join(wrong[:5]))
        return "\n".join(found)


@admin.register(ReportSchedule, site=tenant_site)
class ReportScheduleAdmin(BackofficeAdmin):
    """Set up by who sees reports; a schedule shows what its owner sees."""

    form = ScheduleForm
    deletable = True
    list_display = [
        "name",
        "rhythm",
        "group",
        "station_shown",
        "recipients_shown",
        "owner",
        "state_shown",
        "sent_shown",
    ]
    list_select_related = ["station", "owner"]
    list_filter = [("rhythm", ChoicesDropdownFilter), "is_active"]
    search_fields = ["name", "recipients"]
    search_help_text = _("Name or mail address")
    fields = ["name", ("rhythm", "group"), "station", "recipients"]
    actions_detail = ["send_now", "switch"]
    export = [
        (_("name"), "name"),
        (_("rhythm"), "get_rhythm_display"),
        (pgettext_lazy("report", "grouped"), "get_group_display"),
        (_("station"), "station.name"),
        (_("recipients"), "recipients"),
        (_("owner"), "owner"),
        (_("in use"), "is_active"),
        (_("last sent at"), "sent_at"),
    ]

    def get_fieldsets(self, request: HttpRequest, obj: ReportSchedule | None = None) -> Any:
        """With what became of it, once it is there."""
        told = ["owner", ("state_shown", "sent_shown")] if obj is not None else []
        return [(None, {"fields": [*self.fields, *told]})]

    def get_readonly_fields(self, request: HttpRequest, obj: ReportSchedule | None = None) -> list[str]:
        """What the person does not type."""
        return ["owner", "state_shown", "sent_shown"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportSchedule]:
        """With what the columns show."""
        return super().get_queryset(request).select_related("station", "owner")

    def save_model(self, request: HttpRequest, obj: ReportSchedule, form: Any, change: bool) -> None:
        """Whoever sets it up, or changes it, owns it: it never shows more than they see."""
        if not change or form.changed_data:
            obj.owner = request.user  # type: ignore[assignment]
        super().save_model(request, obj, form, change)

    @action(
        description=_("Send now"),
        url_path="send",
        icon="send",
        permissions=["send"],
        dialog={
            "title": _("Send this report now?"),
            "description": _("The report of the last day, week or month goes to all recipients once more."),
            "form_class": BaseDialogForm,
            "form_submit_text": _("Send now"),
        },
    )
    def send_now(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Once more."""
        schedule = self.row(request, object_id)
        moment = now()
        first, last = schedules.last_days(schedule.rhythm, business_day(moment))
        try:
            schedules.send(schedule, first=first, last=last, at=moment, again=True)
        except DomainError as error:
            messages.error(request, str(error))
            return self.back_to(request, schedule)
        self.audit(request, "sent", schedule, changes={"days": [None, f"{first} – {last}"]})
        return self.back_to(request, schedule, _("The report is on its way."))

    @action(
        description=_("Switch on or off"),
        url_path="switch",
        icon="power_settings_new",
        permissions=["send"],
        dialog={
            "title": _("Switch on or off"),
            "description": _("Out of use nothing is mailed; what was missed is not made up for."),
            "form_class": BaseDialogForm,
            "form_submit_text": _("Switch on or off"),
        },
    )
    def switch(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """The other of the two."""
        schedule = self.row(request, object_id)
        after = schedules.switch(schedule)
        self.audit(request, "state_changed", schedule, changes={"is_active": [not after, after]})
        return self.back_to(request, schedule, _("Switched on.") if after else _("Switched off."))

    def has_send_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may press the buttons."""
        return self.allowed(request, "send_reportschedule")

    @display(description=_("station"), ordering="station__name")
    def station_shown(self, obj: ReportSchedule) -> str:
        """One, or all."""
        return obj.station.name if obj.station else str(_("all stations"))

    @display(description=_("recipients"))
    def recipients_shown(self, obj: ReportSchedule) -> str:
        """The first, and how many more."""
        addresses = obj.addresses
        return addresses[0] + (f" +{len(addresses) - 1}" if len(addresses) > 1 else "") if addresses else ""

    @display(description=_("state"), ordering="is_active")
    def state_shown(self, obj: ReportSchedule) -> Any:
        """On, off, or why it could not be sent."""
        if obj.error:
            return shown.label(obj.error, "danger")
        return (
            shown.label(_("in use"), "success") if obj.is_active else shown.label(_("out of use"), "neutral")
        )

    @display(description=_("last sent at"), ordering="sent_at")
    def sent_shown(self, obj: ReportSchedule) -> str:
        """To the minute."""
        return shown.moment(obj.sent_at)
