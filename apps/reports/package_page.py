"""What a tenant has bought: its package, what that has and has not, how much of it is used, until when, whom to ask."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from apps.backoffice.sites import BackofficeSite, tenant_site
from apps.common.time import business_day, now
from apps.reports import tenants
from apps.tenancy import features
from apps.tenancy.models import Tenant

VIEW = "reports.view_ownpackage"
FULL_SOON = 90
"""Percent of a limit from which on the page warns."""


def own_package(request: HttpRequest, site: BackofficeSite) -> HttpResponse:
    """Answer the page; only to read, since the platform sells. 403 without its permission."""
    if not request.user.has_perm(VIEW):  # type: ignore[union-attr]
        raise PermissionDenied
    tenant = features.tenant_here()
    assert tenant is not None  # the platform's site does not have this page
    package = tenant.package
    context = {
        **site.each_context(request),
        "title": _("Package"),
        "tenant": tenant,
        "package": package,
        "days_left": _days_left(tenant),
        "grace_days": settings.TENANT_GRACE_DAYS,
        "features": [
            {"title": one.title, "has": package is None or one.code in package.features}
            for one in features.FEATURES
        ],
        "limits": _limits(tenant),
        "contact": settings.PLATFORM_CONTACT,
    }
    return TemplateResponse(request, "reports/own_package.html", context)


def _days_left(tenant: Tenant) -> int | None:
    """Return days until the last one, less than zero when it is over; None without an end."""
    return None if tenant.expires_on is None else (tenant.expires_on - business_day(now())).days


def _limits(tenant: Tenant) -> list[dict[str, Any]]:
    used = tenants.in_use()
    names = {"stations": _("stations"), "piles": _("piles"), "staff": _("active staff")}
    rows = []
    for kind in features.LIMITS:
        most = getattr(tenant.package, f"max_{kind}", None)
        percent = None if most is None else (min(100, used[kind] * 100 // most) if most else 100)
        tone = "neutral" if percent is None else "success"
        if percent is not None and percent >= FULL_SOON:
            tone = "danger" if used[kind] >= (most or 0) else "warning"
        rows.append({"name": names[kind], "used": used[kind], "most": most, "percent": percent, "tone": tone})
    return rows


def add_page() -> None:
    """Serve it on tenants' sites."""
    tenant_site.add_page("package/", own_package, "own_package")
