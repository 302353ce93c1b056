"""The platform's overview: its tenants, how much they sell, and which of them need somebody."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.common.time import business_day, now
from apps.tenancy import figures, openings
from apps.tenancy.admin.tenants import TONES, WARN_DAYS, term
from apps.tenancy.enums import OpeningState, TenantState
from apps.tenancy.features import LIMITS
from apps.tenancy.models import Newcomer, SupportSession, Tenant, TenantOpening

CHART_DAYS = 30
LATE = timedelta(minutes=30)
"""Figures older than this are a sign that a tenant's work stands still."""
NEARLY_FULL = 90
"""Per cent of a limit from which on a tenant will soon ask for a larger package."""


def overview(request: HttpRequest) -> dict[str, Any]:
    """Return what the platform's first page shows to who may see tenants: sums that they told, no rows of theirs."""
    if not request.user.has_perm("tenancy.view_tenant"):  # type: ignore[union-attr]
        return {"platform": True, "tenants": None}
    today = business_day(now())
    tenants = figures.running()
    now_sums = figures.by_tenant(first=today, last=today)
    month_sums = figures.by_tenant(first=today - timedelta(days=CHART_DAYS - 1), last=today)
    days = figures.by_day(first=today - timedelta(days=CHART_DAYS - 1), last=today)
    none = figures.Sums()
    rows = [
        {
            "tenant": tenant,
            "tone": TONES[TenantState(tenant.state)],
            "term": term(tenant),
            "figures": getattr(tenant, "figures", None),
            "today": now_sums.get(tenant.pk, none),
            "month": month_sums.get(tenant.pk, none),
            "remarks": remarks(tenant, today),
        }
        for tenant in tenants
    ]
    return {
        "platform": True,
        "tenants": rows,
        "tiles": tiles(tenants, days[-1][1], days[-2][1]),
        "tenant_states": states(tenants),
        "todo": todo(request, tenants, today),
        "days": chart(days),
    }


def remarks(tenant: Tenant, today: date) -> list[tuple[str, str]]:
    """Return what somebody should know of a tenant, each with its tone."""
    if tenant.state not in (TenantState.ACTIVE, TenantState.SUSPENDED):
        return []
    found = []
    if tenant.expires_on is not None and tenant.expires_on <= today + timedelta(days=WARN_DAYS):
        over = tenant.expires_on < today
        found.append((_("term is over") if over else _("term ends soon"), "danger" if over else "warning"))
    told = getattr(tenant, "figures", None)
    if told is None or told.told_at < now() - LATE:
        found.append((_("no figures lately"), "warning"))
    names = {"stations": _("stations"), "piles": _("piles"), "staff": _("active staff")}
    for kind in LIMITS if told is not None else ():
        most = getattr(tenant.package, f"max_{kind}", None)
        if most and getattr(told, kind) * 100 >= most * NEARLY_FULL:
            words = {"what": names[kind], "used": getattr(told, kind), "most": most}
            found.append((_("%(what)s: %(used)s of %(most)s") % words, "warning"))
    return found


def tiles(tenants: list[Tenant], today: figures.Sums, before: figures.Sums) -> list[dict[str, Any]]:
    """Return the figures of all tenants together; yesterday is the whole day."""
    told = [tenant.figures for tenant in tenants if hasattr(tenant, "figures")]
    guns, online = sum(one.guns for one in told), sum(one.guns_online for one in told)
    percent = f"{Decimal(online) * 100 / guns:.1f}" if guns else "–"
    yesterday = _("yesterday %(value)s")
    return [
        {
            "title": _("Energy today"),
            "value": f"{today.energy_kwh:.1f}",
            "unit": pgettext("unit", "kWh"),
            "note": yesterday % {"value": f"{before.energy_kwh:.1f}"},
        },
        {
            "title": _("Income today"),
            "value": f"{today.income:.2f}",
            "unit": pgettext("unit", "yuan"),
            "note": yesterday % {"value": f"{before.income:.2f}"},
        },
        {
            "title": _("Orders today"),
            "value": today.orders,
            "unit": pgettext("unit", "orders"),
            "note": yesterday % {"value": before.orders},
        },
        {
            "title": _("Guns online"),
            "value": percent,
            "unit": "%",
            "note": _("%(online)s of %(all)s") % {"online": online, "all": guns},
        },
        {
            "title": _("Piles"),
            "value": sum(one.piles for one in told),
            "unit": "",
            "note": _("stations: %(count)s") % {"count": sum(one.stations for one in told)},
        },
        {
            "title": _("Customers"),
            "value": sum(one.customers for one in told),
            "unit": "",
            "note": _("of all tenants"),
        },
    ]


def states(tenants: list[Tenant]) -> list[dict[str, Any]]:
    """Return how many tenants are in each state, each with its list."""
    page = reverse("admin:tenancy_tenant_changelist")
    return [
        {
            "label": state.label,
            "tone": TONES[state],
            "count": sum(tenant.state == state for tenant in tenants),
            "link": f"{page}?state__exact={state.value}",
        }
        for state in TenantState
    ]


def todo(request: HttpRequest, tenants: list[Tenant], today: date) -> list[dict[str, Any]]:
    """Return what waits for somebody of the platform, of what this person may see: work first."""
    soon = today + timedelta(days=WARN_DAYS)
    ending = sum(
        tenant.expires_on is not None and tenant.expires_on <= soon and tenant.state != TenantState.CLOSED
        for tenant in tenants
    )
    items = [
        ("view_tenant", _("Terms that end soon"), ending, "tenant", f"expires_on__lte={soon}"),
        (
            "view_tenantopening",
            _("Openings that failed"),
            TenantOpening.objects.filter(state=OpeningState.FAILED).count(),
            "tenantopening",
            "state__exact=failed",
        ),
        (
            "view_tenantopening",
            _("Openings under way"),
            TenantOpening.objects.filter(state__in=openings.OPEN_STATES).count(),
            "tenantopening",
            "",
        ),
        (
            "view_newcomer",
            _("Devices that nobody has registered"),
            Newcomer.objects.filter(tenant=None).count(),
            "newcomer",
            "",
        ),
        (
            "view_supportsession",
            _("Support visits under way"),
            SupportSession.objects.filter(ended_at=None, ends_at__gt=now()).exclude(entered_at=None).count(),
            "supportsession",
            "",
        ),
    ]
    found = [
        {
            "label": label,
            "count": count,
            "link": reverse(f"admin:tenancy_{page}_changelist") + (f"?{query}" if query else ""),
        }
        for permission, label, count, page, query in items
        if request.user.has_perm(f"tenancy.{permission}")  # type: ignore[union-attr]
    ]
    return sorted(found, key=lambda item: not item["count"])


def chart(days: list[tuple[date, figures.Sums]]) -> dict[str, Any]:
    """Return the last days as rows of a table and as the series of their chart (numbers as text until drawn)."""
    return {
        "rows": [{"day": day, "sums": sums} for day, sums in reversed(days)],
        "chart": {
            "labels": [f"{day:%m-%d}" for day, _sums in days],
            "series": {
                "electricity": [str(sums.electricity_fee) for _day, sums in days],
                "service": [str(sums.service_fee) for _day, sums in days],
                "energy": [str(sums.energy_kwh) for _day, sums in days],
            },
            "names": {
                "electricity": _("electricity fee"),
                "service": _("service fee"),
                "energy": _("energy"),
                "yuan": pgettext("unit", "yuan"),
                "kwh": pgettext("unit", "kWh"),
            },
        },
    }
