"""What the platform of the demo has beside its tenants: their packages and figures, an opening, a support visit."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from apps.common.ids import Actor
from apps.common.schema import schema_context
from apps.common.time import business_day, now
from apps.reports.tenants import NIGHTLY_DAYS, tell_platform
from apps.tenancy import visits
from apps.tenancy.enums import OpeningState, OpeningStep, SupportEnd
from apps.tenancy.models import Package, SupportSession, Tenant, TenantOpening

TERM = timedelta(days=365)
PERSON = Actor("staff", "1", "平台管理员")


def terms(tenant: Tenant, package: str) -> None:
    """Give a tenant of the demo its package, a year from now, and how it came to be."""
    if tenant.package_id is None:
        tenant.package = Package.objects.filter(code=package).first()
        tenant.expires_on = business_day(now()) + TERM
        tenant.contact_name, tenant.contact_phone = "王经理", "13800008888"
        tenant.save()
    if not TenantOpening.objects.filter(code=tenant.code).exists():
        TenantOpening.objects.create(
            code=tenant.code,
            name=tenant.name,
            hostname=f"{tenant.code}.{settings.TENANT_DOMAIN}",
            package=tenant.package,
            expires_on=tenant.expires_on,
            administrator="admin",
            asked_by=PERSON.name,
            state=OpeningState.DONE,
            step=OpeningStep.DONE,
            finished_at=tenant.created_at,
            tenant=tenant,
        )


def told(tenant: Tenant) -> None:
    """Have a tenant tell the platform its figures, and be visited once."""
    with schema_context(tenant.schema_name):
        tell_platform(days=NIGHTLY_DAYS)
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        if not SupportSession.objects.filter(tenant=tenant).exists():
            visit, _ticket = visits.ask(
                tenant=tenant, person=PERSON, role="readonly", minutes=30, reason="协助核对首日订单"
            )
            visits.end(visit=visit, by=SupportEnd.PERSON)
