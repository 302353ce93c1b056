"""What tenants can buy."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin
from apps.backoffice.sites import platform_site
from apps.tenancy.features import BY_CODE, FEATURES, LIMITS
from apps.tenancy.models import Package


def features_of(package: Package) -> str:
    """Return the features of a package in words."""
    return "、".join(str(BY_CODE[code].title) for code in package.features if code in BY_CODE)


class PackageForm(forms.ModelForm):
    """A package with its features as boxes."""

    features = forms.MultipleChoiceField(
        label=_("features"),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text=_("what a package lacks has no menu entry, and its pages refuse"),
    )

    class Meta:
        model = Package
        fields = ["code", "name", "features", "max_stations", "max_piles", "max_staff", "position"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "features" in self.fields:
            self.fields["features"].choices = [(feature.code, feature.title) for feature in FEATURES]


@admin.register(Package, site=platform_site)
class PackageAdmin(BackofficeAdmin):
    """Packages. One that a tenant has is not deleted; a change counts for its tenants within seconds."""

    form = PackageForm
    list_display = [
        "name",
        "code_shown",
        "features_shown",
        *(f"{kind}_shown" for kind in LIMITS),
        "tenants_shown",
    ]
    search_fields = ["code", "name"]
    search_help_text = _("Code or name")
    deletable = True
    export = [
        (_("code"), "code"),
        (_("name"), "name"),
        (_("features"), features_of),
        (_("most stations"), "max_stations"),
        (_("most piles"), "max_piles"),
        (_("most staff"), "max_staff"),
        (_("tenants"), "tenant_count"),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Package]:
        """With their tenants counted."""
        return super().get_queryset(request).annotate(tenant_count=Count("tenants"))

    def get_fields(self, request: HttpRequest, obj: Package | None = None) -> Any:
        """Boxes to tick, or the features in words for who may only look."""
        may = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        features = "features" if may else "features_shown"
        code = "code" if obj is None else "code_shown"
        return [(code, "name"), features, ("max_stations", "max_piles", "max_staff"), "position"]

    def get_readonly_fields(self, request: HttpRequest, obj: Package | None = None) -> list[str]:
        """A code stays: only the form that adds one asks for it."""
        return ["features_shown", "code_shown"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Only one that no tenant has."""
        if obj is not None and obj.tenants.exists():
            return False
        return super().has_delete_permission(request, obj)

    @display(description=_("code"), ordering="code")
    def code_shown(self, obj: Package) -> SafeString:
        """In the letters of codes: it is no word to read."""
        return format_html('<span class="bo-mono">{}</span>', obj.code)

    @display(description=_("features"))
    def features_shown(self, obj: Package) -> str:
        """In words."""
        return features_of(obj) or shown.EMPTY

    @display(description=_("most stations"), ordering="max_stations")
    def stations_shown(self, obj: Package) -> str:
        """A number, or that there is no limit."""
        return limit_words(obj.max_stations)

    @display(description=_("most piles"), ordering="max_piles")
    def piles_shown(self, obj: Package) -> str:
        """A number, or that there is no limit."""
        return limit_words(obj.max_piles)

    @display(description=_("most staff"), ordering="max_staff")
    def staff_shown(self, obj: Package) -> str:
        """A number, or that there is no limit."""
        return limit_words(obj.max_staff)

    @display(description=_("tenants"), ordering="tenant_count")
    def tenants_shown(self, obj: Any) -> int:
        """How many have it."""
        return obj.tenant_count


def limit_words(most: int | None) -> str:
    """Return a limit in words."""
    return str(_("unlimited")) if most is None else str(most)
