"""The given stations of a member of staff, on their page in a tenant's back office."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from apps.accounts.admin import UserAdmin
from apps.accounts.enums import Scope
from apps.accounts.forms import StaffForm
from apps.accounts.models import User
from apps.backoffice import scope
from apps.backoffice.sites import tenant_site
from apps.sites import services
from apps.sites.models import Station
from apps.sites.scopes import grants


class StaffWithStationsForm(StaffForm):
    """A person's account, with the stations that they are given."""

    given_stations = forms.ModelMultipleChoiceField(
        label=_("given stations"),
        queryset=Station.objects.none(),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_("what the person sees where the scope is given stations"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields.get("given_stations")
        if field is not None:
            field.queryset = Station.objects.order_by("name")  # type: ignore[attr-defined]
            held = grants().filter(user_id=self.instance.pk).values_list("object_pk", flat=True)
            self.initial["given_stations"] = [int(key) for key in held]


tenant_site.unregister(User)


@admin.register(User, site=tenant_site)
class StaffAdmin(UserAdmin):
    """Staff of a tenant."""

    form = StaffWithStationsForm
    fieldsets = [
        (title, {**options, "fields": [*options["fields"], "given_stations"]})
        if "scope" in str(options["fields"])
        else (title, options)
        for title, options in UserAdmin.fieldsets
    ]

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Stations are given by who may set scopes."""
        fieldsets = super().get_fieldsets(request, obj)
        if self._may_give(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": [one for one in options["fields"] if one != "given_stations"]})
            for title, options in fieldsets
        ]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Without the field for who may not set scopes: left out, it would be taken for emptied."""
        form = super().get_form(request, obj, change=change, **kwargs)
        if "given_stations" in form.base_fields and not self._may_give(request, obj):
            form = type(form.__name__, (form,), {"given_stations": None})
        return form

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Keep the given stations."""
        super().save_related(request, form, formsets, change)
        if "given_stations" in form.cleaned_data and "given_stations" in form.changed_data:
            services.give_stations(user=form.instance, stations=form.cleaned_data["given_stations"])

    def _may_give(self, request: HttpRequest, obj: User | None) -> bool:
        return (
            obj is not None
            and obj.scope != Scope.FRANCHISEE
            and self.has_change_permission(request, obj)
            and request.user.has_perm("accounts.set_scope")  # type: ignore[union-attr]
            and not scope.is_limited(request.user)
        )
