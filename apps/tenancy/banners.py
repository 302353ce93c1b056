"""What a tenant's staff have to know of their tenant: that its term ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.backoffice.banners import Banner, add_source
from apps.common.time import business_day, now
from apps.tenancy.models import Tenant

WARN_DAYS = 30


def term_banner(request: HttpRequest) -> list[Banner]:
    """Return a line when the tenant's last day is within WARN_DAYS, or over. No query."""
    tenant: Any = connection.tenant  # type: ignore[attr-defined]
    last = tenant.expires_on if isinstance(tenant, Tenant) else None
    today = business_day(now())
    if last is None or last > today + timedelta(days=WARN_DAYS):
        return []
    words = {"day": f"{last:%Y-%m-%d}"}
    if last < today:
        words["end"] = f"{last + timedelta(days=settings.TENANT_GRACE_DAYS):%Y-%m-%d}"
        text = _(
            "Your term ended on %(day)s. After %(end)s the service is suspended: ask the platform to renew it."
        )
        return [Banner(text % words, "danger")]
    left = (last - today).days
    text = ngettext(
        "Your term ends on %(day)s, in %(count)s day. Ask the platform to renew it.",
        "Your term ends on %(day)s, in %(count)s days. Ask the platform to renew it.",
        left,
    )
    return [Banner(text % {**words, "count": left}, "danger" if left <= 7 else "warning")]


add_source(term_banner)
