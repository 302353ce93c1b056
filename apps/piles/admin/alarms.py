"""Alarms: what somebody must look at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import ReasonForm, dialog_button
from apps.backoffice.sites import tenant_site
from apps.piles import services
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm


class OpenFilter(admin.SimpleListFilter):
    """Open alarms, or closed ones."""

    title = _("state")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Open, closed."""
        return [("1", pgettext_lazy("alarm", "open")), ("0", pgettext_lazy("alarm", "closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        """By whether somebody or something closed it."""
        if self.value() in ("0", "1"):
            return queryset.filter(closed_at__isnull=self.value() == "1")
        return queryset


@admin.register(Alarm, site=tenant_site)
class AlarmAdmin(ReadOnlyAdmin):
    """What somebody must look at."""

    list_display = [
        "kind",
        "pile_code",
        "connector_no",
        "subject",
        "count",
        "state_shown",
        "since_shown",
        "last_shown",
    ]
    list_filter = [OpenFilter, ("kind", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter)]
    search_fields = ["pile_code", "subject"]
    fields = [
        ("kind", "state_shown"),
        ("pile_code", "connector_no"),
        "subject",
        ("count", "since_shown"),
        ("last_shown", "closed_shown"),
        "detail_shown",
    ]
    actions_detail = ["close_alarm"]

    @dialog_button(
        _("Close alarm"),
        url="close",
        icon="check",
        permission="close",
        text=_("If the cause is still there, it is raised again."),
        form=ReasonForm,
        variant=ActionVariant.PRIMARY,
    )
    def close_alarm(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Close it with a reason."""
        alarm = self.row(request, object_id)
        services.close_alarm(
            kind=AlarmKind(alarm.kind),
            pile_code=alarm.pile_code,
            connector_no=alarm.connector_no,
            subject=alarm.subject,
        )
        self.audit(request, "closed", alarm, reason=form.cleaned_data["reason"])
        return self.back_to(request, alarm, _("The alarm is closed."))

    def has_close_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change alarms."""
        return self.allowed(request, "change_alarm")

    @display(description=_("state"), ordering="closed_at")
    def state_shown(self, obj: Alarm) -> str:
        """Open or closed."""
        if obj.closed_at is None:
            return shown.label(pgettext_lazy("alarm", "open"), "danger")
        return shown.label(pgettext_lazy("alarm", "closed"), "neutral")

    @display(description=_("since"), ordering="created_at")
    def since_shown(self, obj: Alarm) -> str:
        """Of the first time."""
        return shown.moment(obj.created_at)

    @display(description=_("last time"), ordering="updated_at")
    def last_shown(self, obj: Alarm) -> str:
        """Of the last time."""
        return shown.moment(obj.updated_at)

    @display(description=_("closed at"))
    def closed_shown(self, obj: Alarm) -> str:
        """If it was."""
        return shown.moment(obj.closed_at)

    @display(description=_("detail"))
    def detail_shown(self, obj: Alarm) -> str:
        """The facts."""
        return "; ".join(f"{name}: {value}" for name, value in obj.detail.items()) or shown.EMPTY
