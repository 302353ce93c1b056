"""What the two back offices show first."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from apps.backoffice import scope
from apps.backoffice.approval_pages import may_decide
from apps.backoffice.models import Approval
from apps.common.schema import in_public
from apps.common.time import business_day, now
from apps.piles.enums import ConnectorState
from apps.reports import selectors
from apps.tenancy.models import Tenant, TenantState

CHART_DAYS = 14
GUN_TONES = (
    (ConnectorState.CHARGING, "info"),
    (ConnectorState.IDLE, "success"),
    (ConnectorState.PLUGGED, "warning"),
    (ConnectorState.FAULT, "danger"),
    (ConnectorState.OFFLINE, "neutral"),
)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the overview to the context of a back office's first page; money and guns only to who may see them."""
    context["title"] = _("Overview")
    if in_public():
        return {**context, **platform_overview(request)}
    moment = now()
    overview: dict[str, Any] = {"overview_at": moment}
    can = request.user.has_perm  # type: ignore[union-attr]
    seen = scope.stations_of(request.user)
    if can("orders.view_order"):
        overview |= {
            "figures": figures(selectors.today(at=moment, station_ids=seen)),
            "days": days(moment, seen),
            "stations": selectors.stations(at=moment, station_ids=seen),
        }
    if can("piles.view_connector"):
        overview |= guns(seen)
    overview["todo"] = todo(request)
    return {**context, **overview}


def figures(today: selectors.Today) -> list[dict[str, Any]]:
    """Return the three figures of the day as tiles."""
    return [
        _tile(_("Energy today"), f"{today.energy.today:.1f}", pgettext("unit", "kWh"), today.energy),
        _tile(_("Income today"), f"{today.income.today:.2f}", pgettext("unit", "yuan"), today.income),
        _tile(_("Orders today"), str(today.orders.today), pgettext("unit", "orders"), today.orders),
    ]


def _tile(title: str, value: str, unit: str, change: selectors.Change) -> dict[str, Any]:
    percent = change.percent
    tone = "neutral" if not percent else "success" if percent > 0 else "danger"
    sign = f"{percent:+}%" if percent is not None else ""
    return {"title": title, "value": value, "unit": unit, "change": sign, "tone": tone}


def days(moment: Any, station_ids: selectors.Stations = None) -> dict[str, Any]:
    """Return the last days as rows of a table and as the series of its chart (numbers as text until drawn)."""
    rows = selectors.by_day(last=business_day(moment), days=CHART_DAYS, station_ids=station_ids)
    return {
        "rows": [{"day": day, "sums": sums} for day, sums in reversed(rows)],
        "chart": {
            "days": [f"{day:%m-%d}" for day, _sums in rows],
            "electricity": [str(sums.electricity_fee) for _day, sums in rows],
            "service": [str(sums.service_fee) for _day, sums in rows],
            "energy": [str(sums.energy_kwh) for _day, sums in rows],
            "names": {
                "electricity": _("electricity fee"),
                "service": _("service fee"),
                "energy": _("energy"),
                "yuan": pgettext("unit", "yuan"),
                "kwh": pgettext("unit", "kWh"),
            },
        },
    }


def guns(station_ids: selectors.Stations = None) -> dict[str, Any]:
    """Return the online rate and the guns by state, each with a link to the gun wall."""
    states = selectors.gun_states(station_ids=station_ids)
    total = sum(states.values())
    online = total - states[ConnectorState.OFFLINE]
    wall = reverse("admin:piles_connector_changelist")
    return {
        "online": {
            "percent": f"{Decimal(online) * 100 / total:.1f}" if total else "–",
            "online": online,
            "total": total,
            "link": f"{wall}?status__state__exact={ConnectorState.OFFLINE.value}",
        },
        "gun_states": [
            {
                "label": state.label,
                "tone": tone,
                "count": states[state],
                "link": f"{wall}?status__state__exact={state.value}",
            }
            for state, tone in GUN_TONES
        ],
    }


def todo(request: HttpRequest) -> list[dict[str, Any]]:
    """Return what waits for a person, of what this person may see: work first, with links to the lists."""
    person: Any = request.user
    waiting = selectors.todo(
        seen=lambda rows: scope.narrow(rows, person), station_ids=scope.stations_of(person)
    )
    items = [
        (
            "piles.view_connector",
            _("Faulty guns"),
            waiting.faults,
            "piles_connector",
            "status__state__exact=fault",
        ),
        (
            "orders.view_abnormalorder",
            _("Abnormal orders"),
            waiting.abnormal,
            "orders_abnormalorder",
            "",
        ),
        (
            "orders.view_transactionrecord",
            _("Quarantined records"),
            waiting.quarantined,
            "orders_transactionrecord",
            "state__exact=quarantined",
        ),
        (
            "wallet.view_channelday",
            _("Channel differences"),
            waiting.channel_differences,
            "wallet_channeldifference",
            "state__exact=open",
        ),
        (
            "orders.view_energyday",
            _("Energy differences"),
            waiting.energy_differences,
            "orders_energydifference",
            "state__exact=open",
        ),
        (
            "orders.view_orderrefund",
            _("Order refunds to review"),
            waiting.order_refunds,
            "orders_orderrefund",
            "state__exact=applied",
        ),
        (
            "wallet.view_walletrefund",
            _("Wallet refunds to review"),
            waiting.wallet_refunds,
            "wallet_walletrefund",
            "open=review",
        ),
        (
            "wallet.view_walletrefundpart",
            _("Refunds to transfer by hand"),
            waiting.transfers,
            "wallet_walletrefundpart",
            "state__exact=manual",
        ),
        ("piles.view_alarm", _("Open alarms"), waiting.alarms, "piles_alarm", "open=1"),
        (
            "backoffice.view_approval",
            _("Approvals that wait for me"),
            scope.narrow(Approval.objects.filter(may_decide(request)), person).count(),
            "backoffice_approval",
            "whose=mine",
        ),
        (
            "wallet.view_ledgercheck",
            _("Ledger differences"),
            waiting.ledger_differences,
            "wallet_ledgercheck",
            "",
        ),
    ]
    found = [
        {
            "label": label,
            "count": count,
            "link": reverse(f"admin:{page}_changelist") + (f"?{query}" if query else ""),
        }
        for permission, label, count, page, query in items
        if request.user.has_perm(permission)  # type: ignore[union-attr]
    ]
    return sorted(found, key=lambda item: not item["count"])


def platform_overview(request: HttpRequest) -> dict[str, Any]:
    """Return the tenants with their state: the platform sees no business rows."""
    if not request.user.has_perm("tenancy.view_tenant"):  # type: ignore[union-attr]
        return {"platform": True, "tenants": [], "tenant_states": []}
    piles = Count("routes", filter=Q(routes__kind="pile"), distinct=True)
    tenants = list(
        Tenant.objects.exclude(schema_name="public")
        .annotate(piles=piles)
        .prefetch_related("domains")
        .order_by("code")
    )
    tones = {TenantState.ACTIVE: "success", TenantState.OPENING: "info", TenantState.SUSPENDED: "warning"}
    states = [
        {
            "label": state.label,
            "tone": tones[state],
            "count": sum(tenant.state == state for tenant in tenants),
        }
        for state in TenantState
    ]
    rows = [{"tenant": tenant, "tone": tones[TenantState(tenant.state)]} for tenant in tenants]
    return {
        "platform": True,
        "tenants": rows,
        "tenant_states": states,
        "pile_count": sum(tenant.piles for tenant in tenants),
    }
