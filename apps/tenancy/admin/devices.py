"""Whose outside keys are, and devices that nobody has registered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.filters import AllValuesFieldListFilter
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminSelectWidget

from apps.backoffice import shown
from apps.backoffice.admin import ReadOnlyAdmin
from apps.backoffice.dialogs import dialog_button
from apps.backoffice.sites import platform_site
from apps.tenancy import services
from apps.tenancy.enums import TenantState
from apps.tenancy.models import InboundRoute, Newcomer, Tenant

KINDS = {"pile": pgettext_lazy("route", "pile")}
"""Kinds of routes in words."""


class KindFilter(AllValuesFieldListFilter):
    """What a key is of."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """In words."""
        for one in super().choices(changelist):
            yield {**one, "display": KINDS.get(one["display"], one["display"])}


@admin.register(InboundRoute, site=platform_site)
class InboundRouteAdmin(ReadOnlyAdmin):
    """Whose a pile code is."""

    list_display = ["key", "kind_shown", "tenant"]
    list_select_related = ["tenant"]
    list_filter = [("kind", KindFilter), "tenant"]
    search_fields = ["key__startswith"]
    fields = ["key", "kind_shown", "tenant"]

    @display(description=_("kind"), ordering="kind")
    def kind_shown(self, obj: InboundRoute) -> str:
        """In words."""
        return str(KINDS.get(obj.kind, obj.kind))


class OfferForm(BaseDialogForm):
    """The tenant that a first-seen device is offered to."""

    tenant = forms.ModelChoiceField(
        label=_("tenant"), queryset=Tenant.objects.none(), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        open_tenants = Tenant.objects.filter(state=TenantState.ACTIVE)
        self.fields["tenant"].queryset = open_tenants.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME)


@admin.register(Newcomer, site=platform_site)
class NewcomerAdmin(ReadOnlyAdmin):
    """Devices that nobody has registered: the platform says whose they may be, that tenant's staff approve them."""

    list_display = ["key", "address", "tenant", "times", "first_shown", "last_shown"]
    list_select_related = ["tenant"]
    list_filter = [("tenant", RelatedDropdownFilter)]
    search_fields = ["key__startswith", "address__startswith"]
    fields = [
        ("key", "kind_shown"),
        ("address", "tenant"),
        ("first_shown", "last_shown"),
        "times",
        "facts_shown",
    ]
    actions_detail = ["offer", "drop"]

    @display(description=_("kind"), ordering="kind")
    def kind_shown(self, obj: Newcomer) -> str:
        """In words."""
        return str(KINDS.get(obj.kind, obj.kind))

    @dialog_button(
        _("Offer to a tenant"),
        url="offer",
        icon="forward",
        permission="decide",
        text=_("The tenant's staff see the device and may approve it."),
        form=OfferForm,
        submit=_("Offer"),
    )
    def offer(self, request: HttpRequest, form: OfferForm, object_id: str) -> HttpResponse:
        """Say whose device it may be."""
        device = self.row(request, object_id)
        tenant = form.cleaned_data["tenant"]
        before = services.offer_newcomer(newcomer=device, tenant=tenant)
        self.audit(request, "assigned", device, changes={"tenant": [before and before.code, tenant.code]})
        return self.back_to(request, device)

    @dialog_button(
        _("Forget"),
        url="drop",
        icon="delete",
        permission="decide",
        text=_("It is listed again when it dials in again."),
        form=BaseDialogForm,
    )
    def drop(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        """Take it off the list."""
        device = self.row(request, object_id)
        self.audit(request, "deleted", device)
        services.drop_newcomer(kind=device.kind, key=device.key)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:tenancy_newcomer_changelist")})

    def has_decide_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may change first-seen devices."""
        return self.allowed(request, "change_newcomer")

    @display(description=_("first seen"), ordering="first_seen_at")
    def first_shown(self, obj: Newcomer) -> str:
        """To the second."""
        return shown.moment(obj.first_seen_at)

    @display(description=_("last seen"), ordering="last_seen_at")
    def last_shown(self, obj: Newcomer) -> str:
        """To the second."""
        return shown.moment(obj.last_seen_at)

    @display(description=_("what it said"))
    def facts_shown(self, obj: Newcomer) -> str:
        """Of its login."""
        return ", ".join(f"{name}: {value}" for name, value in obj.facts.items() if value) or shown.EMPTY
