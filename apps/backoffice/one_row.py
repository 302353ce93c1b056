"""Pages of tables that hold one row: rules of the tenant. The menu entry opens the form, there is no list."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from apps.backoffice.admin import BackofficeAdmin


class OneRowAdmin(BackofficeAdmin):
    """The one row, which a tenant is made with: nobody adds another, nobody deletes it."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Its form at once; an empty list where the row is missing."""
        row = self.get_queryset(request).first()
        if row is None or not self.has_view_permission(request, row):
            return super().changelist_view(request, extra_context)
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return HttpResponseRedirect(reverse(name, args=[row.pk]))
