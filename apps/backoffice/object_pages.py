"""Pages of one object beside its form: the tabs of a pile, of a station."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.db.models import Model
from django.views.generic import TemplateView
from unfold.views import UnfoldModelAdminViewMixin

from apps.backoffice import pages


class ObjectPage(UnfoldModelAdminViewMixin, TemplateView):
    """A page of the object that `object_id` in its address names; a row that the person cannot see is not found."""

    permission_required: tuple[str, ...] = ()
    title: Any = ""
    model_admin: Any

    @cached_property
    def object(self) -> Any:
        """Return the object. Raises Http404."""
        found: Model = self.model_admin.row(self.request, self.kwargs["object_id"])
        return found

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With the object and its tabs."""
        return super().get_context_data(
            obj=self.object,
            opts=self.model_admin.opts,
            object_tabs=pages.tabs(self.model_admin.model, self.request, self.object),
            **kwargs,
        )
