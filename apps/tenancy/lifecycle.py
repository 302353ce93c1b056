"""What becomes of a tenant: suspended, resumed, renewed, another package, closed; its domains and its logo.

Every change locks the tenant's row. Functions return what was before, for the audit log.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import IO

import structlog
from django.conf import settings
from django.db import transaction

from apps.backoffice.audit import record
from apps.common.ids import SYSTEM
from apps.common.schema import run_in_schema, schema_context
from apps.common.time import business_day, now
from apps.tenancy import hosts
from apps.tenancy.enums import Suspension, TenantState
from apps.tenancy.errors import (
    ExpiryInvalid,
    HostTaken,
    LastDomain,
    LogoRefused,
    PrimaryDomain,
    StillBusy,
    TermOver,
    WrongState,
)
from apps.tenancy.models import Domain, InboundRoute, Package, Tenant, TenantLogo
from apps.tenancy.selectors import host_name
from apps.tenancy.services import check_hostname

LOGO_BYTES = 1_000_000
LOGO_PIXELS = 4_000
LOGO_SIDE = 256
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that stands in the way of closing a tenant, in words; `is_money` may be settled outside the system."""

    words: str
    is_money: bool = False


_guards: list[Callable[[], Iterable[Obstacle]]] = []
Guard = Callable[[], Iterable[Obstacle]]


def guard_closing(function: Guard) -> Guard:
    """Have `function` say, inside a tenant's schema, what speaks against closing it."""
    _guards.append(function)
    return function


def suspend(*, tenant: Tenant, reason: str, by: Suspension = Suspension.STAFF) -> str:
    """Stop a tenant's service: its sites and its drivers' app refuse; running charges end and settle.

    Raises WrongState for one that is not active.
    """
    with transaction.atomic():
        row = _locked(tenant, TenantState.ACTIVE)
        before, row.state = row.state, TenantState.SUSPENDED
        row.suspended_by, row.state_reason = by, reason[:200]
        row.save(update_fields=["state", "suspended_by", "state_reason", "updated_at"])
    log.info("tenant_suspended", tenant=row.code, by=by)
    return before


def resume(*, tenant: Tenant, reason: str) -> str:
    """Let a suspended tenant go on. Raises WrongState, TermOver."""
    with transaction.atomic():
        row = _locked(tenant, TenantState.SUSPENDED)
        if is_over(row, today=business_day(now())):
            raise TermOver
        before, row.state = row.state, TenantState.ACTIVE
        row.suspended_by, row.state_reason = "", reason[:200]
        row.save(update_fields=["state", "suspended_by", "state_reason", "updated_at"])
    log.info("tenant_resumed", tenant=row.code)
    return before


def renew(*, tenant: Tenant, expires_on: date | None, reason: str) -> tuple[date | None, str]:
    """Set the last day of a tenant, None for no end; return day and state before.

    One that was suspended because its term was over is active again. Raises WrongState for a closed one,
    ExpiryInvalid for a day that is over.
    """
    today = business_day(now())
    if expires_on is not None and expires_on < today:
        raise ExpiryInvalid(day=today - timedelta(days=1))
    with transaction.atomic():
        row = _locked(tenant, TenantState.ACTIVE, TenantState.SUSPENDED)
        before = row.expires_on, row.state
        row.expires_on = expires_on
        if row.suspended_by == Suspension.EXPIRY:
            row.state, row.suspended_by, row.state_reason = TenantState.ACTIVE, "", reason[:200]
        row.save(update_fields=["expires_on", "state", "suspended_by", "state_reason", "updated_at"])
    log.info("tenant_renewed", tenant=row.code, until=str(expires_on))
    return before


def set_package(*, tenant: Tenant, package: Package | None) -> Package | None:
    """Give a tenant another package; return the one before. What it has beyond a smaller one stays, nothing is added.

    Raises WrongState for a closed one.
    """
    with transaction.atomic():
        row = _locked(tenant, TenantState.ACTIVE, TenantState.SUSPENDED)
        before, row.package = row.package, package
        row.save(update_fields=["package", "updated_at"])
    return before


def obstacles(*, tenant: Tenant) -> list[Obstacle]:
    """Return what speaks against closing a tenant. Public schema; asks inside the tenant's."""
    return run_in_schema(tenant.schema_name, lambda: [one for guard in _guards for one in guard()])


def close(*, tenant: Tenant, reason: str, money_settled: bool = False) -> str:
    """End a tenant for good: no site, no work in the background, its devices and domains are free for others.

    Its schema stays, for the law's years. It has to be suspended before, so that nothing new begins. With
    `money_settled` the customers' money is taken to be paid out outside the system. Raises WrongState, StillBusy.
    """
    with transaction.atomic():
        row = _locked(tenant, TenantState.SUSPENDED)
        found = [one for one in obstacles(tenant=row) if not (one.is_money and money_settled)]
        if found:
            raise StillBusy(what="; ".join(one.words for one in found))
        before, row.state = row.state, TenantState.CLOSED
        row.state_reason = reason[:200]
        row.save(update_fields=["state", "state_reason", "updated_at"])
        InboundRoute.objects.filter(tenant=row).delete()
        Domain.objects.filter(tenant=row).delete()
    hosts.forget()
    log.info("tenant_closed", tenant=row.code)
    return before


def is_over(tenant: Tenant, *, today: date, grace_days: int = 0) -> bool:
    """Return whether a tenant's last day, and so many after it, have passed."""
    return tenant.expires_on is not None and tenant.expires_on + timedelta(days=grace_days) < today


def suspend_expired(*, today: date | None = None) -> list[str]:
    """Suspend every tenant whose last day is longer ago than settings.TENANT_GRACE_DAYS; return their codes."""
    day = today or business_day(now())
    with schema_context(settings.PUBLIC_SCHEMA_NAME):
        over = Tenant.objects.filter(
            state=TenantState.ACTIVE, expires_on__lt=day - timedelta(days=settings.TENANT_GRACE_DAYS)
        )
        done = []
        for tenant in over.exclude(schema_name=settings.PUBLIC_SCHEMA_NAME).order_by("code"):
            with transaction.atomic():
                row = _locked(tenant, TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.CLOSED)
                if row.state != TenantState.ACTIVE or not is_over(
                    row, today=day, grace_days=settings.TENANT_GRACE_DAYS
                ):
                    continue  # somebody renewed or suspended it meanwhile
                before = suspend(tenant=row, reason=str(row.expires_on), by=Suspension.EXPIRY)
                changes = {"state": [before, TenantState.SUSPENDED], "expires_on": [row.expires_on] * 2}
                record(SYSTEM, "tenancy.tenant_expired", row, changes=changes)
            done.append(row.code)
    return done


# --- Domains and logo -------------------------------------------------------------------------------------


def add_domain(*, tenant: Tenant, hostname: str) -> Domain:
    """Let a tenant be reached by one more host. Raises TenantInvalid, HostTaken, WrongState."""
    host = check_hostname(hostname)
    with transaction.atomic():
        row = _locked(tenant, TenantState.ACTIVE, TenantState.SUSPENDED)
        domain, created = Domain.objects.get_or_create(
            domain=host, defaults={"tenant": row, "is_primary": False}
        )
        if not created:
            raise HostTaken(host=host)
    hosts.forget()
    return domain


def remove_domain(*, domain: Domain) -> None:
    """Take a host away from its tenant. Raises PrimaryDomain, LastDomain."""
    with transaction.atomic():
        tenant = _locked(domain.tenant)
        if not Domain.objects.filter(tenant=tenant).exclude(pk=domain.pk).exists():
            raise LastDomain
        if Domain.objects.filter(pk=domain.pk, is_primary=True).exists():
            raise PrimaryDomain
        Domain.objects.filter(pk=domain.pk).delete()
    hosts.forget()


def make_primary(*, domain: Domain) -> str:
    """Make a host the one that links name; return the one before, "" for none."""
    with transaction.atomic():
        tenant = _locked(domain.tenant)
        mine = Domain.objects.filter(tenant=tenant)
        before = mine.filter(is_primary=True).values_list("domain", flat=True).first() or ""
        mine.exclude(pk=domain.pk).update(is_primary=False)
        mine.filter(pk=domain.pk).update(is_primary=True)
    hosts.forget()
    return before


def set_logo(*, tenant: Tenant, file: IO[bytes] | None) -> str:
    """Give a tenant a logo, or none; return the digest before. Raises LogoRefused.

    The picture is drawn anew as a PNG of at most LOGO_SIDE pixels: whatever else is in the file does not stay.
    """
    content = drawn_logo(file) if file else b""
    digest = hashlib.sha256(content).hexdigest()[:16] if content else ""
    with transaction.atomic():
        row = _locked(tenant, TenantState.ACTIVE, TenantState.SUSPENDED)
        before, row.logo_digest = row.logo_digest, digest
        TenantLogo.objects.filter(tenant=row).delete()
        if content:
            TenantLogo.objects.create(tenant=row, content=content)
        row.save(update_fields=["logo_digest", "updated_at"])
    return before


def drawn_logo(file: IO[bytes]) -> bytes:
    """Return an uploaded picture as a PNG of ours. Raises LogoRefused for what is none, or too large."""
    from PIL import Image, UnidentifiedImageError  # for those processes only that meet a picture

    file.seek(0)
    content = file.read(LOGO_BYTES + 1)
    if len(content) > LOGO_BYTES:
        raise LogoRefused
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "WEBP"]) as picture:
                if max(picture.size) > LOGO_PIXELS:
                    raise LogoRefused
                drawn = picture.convert("RGBA")
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
        OSError,
        SyntaxError,
        ValueError,
    ) as error:
        raise LogoRefused from error
    drawn.thumbnail((LOGO_SIDE, LOGO_SIDE))
    out = io.BytesIO()
    drawn.save(out, "PNG", optimize=True)
    return out.getvalue()


def _locked(tenant: Tenant, *allowed: str) -> Tenant:
    row = Tenant.objects.select_for_update(of=("self",)).select_related("package").get(pk=tenant.pk)
    is_platform = row.schema_name == settings.PUBLIC_SCHEMA_NAME
    if allowed and (is_platform or row.state not in allowed):
        raise WrongState(state=row.get_state_display())
    return row


def primary_host(tenant: Tenant) -> str:
    """Return the host that links to a tenant's site name, "" when it has none."""
    found = tenant.domains.order_by("-is_primary", "id").values_list("domain", flat=True).first()
    return host_name(found) if found else ""
