"""The download centre: everybody's own exports, how far they are, and their files."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.sites import tenant_site
from apps.common.time import now
from apps.files import exports, links
from apps.files.enums import OPEN_STATES, ExportState
from apps.files.models import ExportJob

TONES = {
    ExportState.WAITING: "neutral",
    ExportState.RUNNING: "info",
    ExportState.DONE: "success",
    ExportState.FAILED: "danger",
}


@admin.register(ExportJob, site=tenant_site)
class ExportJobAdmin(ReadOnlyAdmin):
    """Open to all staff with their own exports; whose permission is "can view exports" sees that others made some."""

    show_full_result_count = False
    list_display = [
        "created_shown",
        "list_shown",
        "format",
        "state_shown",
        "rows_shown",
        "size_shown",
        "kept_shown",
        "actor_name",
        "download_shown",
    ]
    list_select_related = ["file"]
    list_filter = [("state", ChoicesDropdownFilter), ("format", ChoicesDropdownFilter)]
    fields = [
        ("list_shown", "format"),
        ("created_shown", "finished_shown"),
        ("state_shown", "rows_shown"),
        ("size_shown", "kept_shown"),
        ("actor_name", "download_shown"),
        "error",
    ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """All staff: which rows there are says get_queryset."""
        return bool(request.user.is_active and request.user.is_staff)  # type: ignore[union-attr]

    def has_module_permission(self, request: HttpRequest) -> bool:
        """All staff."""
        return self.has_view_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        """One's own; everybody's with the permission to view exports."""
        found = super().get_queryset(request)
        if self.allowed(request, "view_exportjob"):
            return found
        return found.filter(Q(actor_kind="staff", actor_id=str(request.user.pk)))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list renews itself while something of it runs."""
        changes = super().get_changelist_instance(request)
        changes.result_list = list(changes.result_list)
        changes.renews = any(row.state in OPEN_STATES for row in changes.result_list)
        return changes

    @display(description=_("asked for at"), ordering="id")
    def created_shown(self, obj: ExportJob) -> str:
        """To the second."""
        return shown.moment(obj.created_at)

    @display(description=_("finished at"))
    def finished_shown(self, obj: ExportJob) -> str:
        """To the second."""
        return shown.moment(obj.finished_at)

    @display(description=_("list"))
    def list_shown(self, obj: ExportJob) -> Any:
        """With a link to the list as it was filtered."""
        model_admin = exports.admin_of(obj.model)
        if model_admin is None:
            return obj.model
        address = reverse(f"admin:{obj.model.replace('.', '_')}_changelist")
        words = _("filtered") if obj.query else ""
        return format_html(
            '<a href="{}{}">{}</a> <span class="bo-muted">{}</span>',
            address,
            f"?{obj.query}" if obj.query else "",
            model_admin.opts.verbose_name_plural,
            words,
        )

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: ExportJob) -> Any:
        """As a label, with a bar while it runs and the reason when it failed."""
        label = shown.state(obj, TONES)
        if obj.state == ExportState.RUNNING:
            return format_html(
                '{} {} %<span class="bo-progress" role="progressbar" aria-label="{}" aria-valuenow="{}" '
                'aria-valuemin="0" aria-valuemax="100"><span style="width: {}%"></span></span>',
                label,
                obj.percent,
                _("progress"),
                obj.percent,
                obj.percent,
            )
        return format_html("{} {}", label, obj.error) if obj.error else label

    @display(description=_("rows"))
    def rows_shown(self, obj: ExportJob) -> str:
        """Written, of all."""
        if obj.state == ExportState.DONE or obj.total is None:
            return f"{obj.done:,}" if obj.done or obj.state == ExportState.DONE else shown.EMPTY
        return f"{obj.done:,} / {obj.total:,}"

    @display(description=_("size"))
    def size_shown(self, obj: ExportJob) -> str:
        """With its unit."""
        return str(filesizeformat(obj.file.size)) if obj.file else shown.EMPTY

    @display(description=_("kept until"))
    def kept_shown(self, obj: ExportJob) -> str:
        """After it the file is gone."""
        return shown.moment(obj.file.expires_at) if obj.file else shown.EMPTY

    @display(description=_("download"))
    def download_shown(self, obj: ExportJob) -> Any:
        """The file, while it is there."""
        if obj.file and obj.file.expires_at and obj.file.expires_at > now():
            return format_html('<a class="bo-link" href="{}">{}</a>', links.path(obj.file), _("Download"))
        return _("removed") if obj.state == ExportState.DONE else shown.EMPTY
