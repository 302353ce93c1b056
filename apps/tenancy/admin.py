"""Tenants, their hosts and whose outside keys are: the platform's pages."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.backoffice import shown
from apps.backoffice.admin import BackofficeAdmin, ReadOnlyAdmin, ReadOnlyInline
from apps.backoffice.sites import platform_site
from apps.tenancy.models import Domain, InboundRoute, Tenant, TenantState

TONES = {TenantState.ACTIVE: "success", TenantState.OPENING: "info", TenantState.SUSPENDED: "warning"}


class DomainInline(ReadOnlyInline):
    """The hosts of a tenant, on its page."""

    model = Domain
    fields = ["domain", "is_primary"]


@admin.register(Tenant, site=platform_site)
class TenantAdmin(BackofficeAdmin):
    """Tenants. A new one is opened by `create_tenant`: it takes seconds and makes a schema."""

    list_display = ["code", "name", "state_shown", "domains_shown", "routes_shown", "created_shown"]
    list_filter = ["state"]
    search_fields = ["code", "name", "domains__domain"]
    fields = [("code", "name"), ("state_shown", "created_shown"), "hold_maximum", "qr_prefix"]
    readonly_fields = ["code", "state_shown", "created_shown"]
    inlines = [DomainInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        """With hosts and the number of registered piles."""
        counted = super().get_queryset(request).annotate(route_count=Count("routes", distinct=True))
        return counted.prefetch_related("domains").order_by("code")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: see the class."""
        return False

    @display(description=_("state"), ordering="state")
    def state_shown(self, obj: Tenant) -> str:
        """As a label."""
        return shown.state(obj, TONES)

    @display(description=_("domains"))
    def domains_shown(self, obj: Tenant) -> str:
        """All hosts."""
        return ", ".join(domain.domain for domain in obj.domains.all()) or shown.EMPTY

    @display(description=_("registered piles"), ordering="route_count")
    def routes_shown(self, obj: Tenant) -> int:
        """Keys from outside that belong to the tenant."""
        return obj.route_count  # type: ignore[attr-defined]

    @display(description=_("created at"), ordering="created_at")
    def created_shown(self, obj: Tenant) -> str:
        """To the second."""
        return shown.moment(obj.created_at)


@admin.register(Domain, site=platform_site)
class DomainAdmin(BackofficeAdmin):
    """Hosts. The last host of a tenant stays, or nobody reaches it."""

    list_display = ["domain", "tenant", "is_primary"]
    list_select_related = ["tenant"]
    list_filter = ["tenant"]
    search_fields = ["domain"]


@admin.register(InboundRoute, site=platform_site)
class InboundRouteAdmin(ReadOnlyAdmin):
    """Whose a pile code is."""

    list_display = ["key", "kind", "tenant"]
    list_select_related = ["tenant"]
    list_filter = ["kind", "tenant"]
    search_fields = ["key__startswith"]
