"""What a package turns on and off, and how much of it a tenant may have.

A feature is named by the permissions that belong to it. Whoever lacks the feature lacks the permissions, the
administrator too (`accounts.User.has_perm`): menu entries vanish, pages, buttons, searches and exports refuse. Services
that begin something new of a feature ask `require`; what was begun before a package became smaller goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils.translation import pgettext_lazy

from apps.common.schema import current_schema
from apps.tenancy import hosts
from apps.tenancy.enums import TenantState
from apps.tenancy.errors import FeatureMissing, LimitReached, TenantSuspended
from apps.tenancy.models import Package, Tenant


@dataclass(frozen=True)
class Feature:
    """Something that a package has or has not; `permissions` are patterns of "app.codename"."""

    code: str
    title: Any
    permissions: tuple[str, ...]


FEATURES = (
    Feature(
        "marketing",
        pgettext_lazy("feature", "coupons, activities and top-up bonuses"),
        ("coupons.*", "marketing.*", "wallet.*_bonustier"),
    ),
    Feature(
        "enterprises",
        pgettext_lazy("feature", "enterprises"),
        ("customers.*_enterprise", "customers.*_enterprisemember", "customers.set_enterprise_account"),
    ),
    Feature(
        "cards",
        pgettext_lazy("feature", "charging cards, also offline"),
        ("customers.*_card", "piles.*_offlinecard", "piles.*_cards"),
    ),
    Feature(
        "retail_prices",
        pgettext_lazy("feature", "retail prices apart from infrastructure prices"),
        ("pricing.*_retailprice",),
    ),
    Feature("inspector", pgettext_lazy("feature", "frame inspector"), ("piles.inspect_frames",)),
)
"""All that can be left out of a package. What a business cannot do without, and whatever guards money, is in each."""

BY_CODE = {feature.code: feature for feature in FEATURES}
LIMITS = ("stations", "piles", "staff")
_ROOM = 7_203_380  # the first half of advisory locks: two that count and add wait for each other


@cache
def feature_of(permission: str) -> str:
    """Return the code of the feature that a permission ("app.codename") belongs to, "" for none."""
    for feature in FEATURES:
        if any(fnmatchcase(permission, pattern) for pattern in feature.permissions):
            return feature.code
    return ""


def allows(permission: str) -> bool:
    """Return whether the package of the current schema's tenant has what a permission is for."""
    code = feature_of(permission)
    return not code or has(code)


def has(code: str) -> bool:
    """Return whether the current schema's tenant has a feature; the platform and tenants without package have all."""
    package = package_here()
    return package is None or code in package.features


def require(code: str) -> None:
    """Raise FeatureMissing where the current schema's tenant does not have a feature."""
    if not has(code):
        raise FeatureMissing(feature=str(BY_CODE[code].title))


def check_room(kind: str, *, used: Callable[[], int], adding: int = 1) -> None:
    """Raise LimitReached when `adding` more of `kind` (one of LIMITS) would be more than the package allows.

    Inside the transaction that adds them. Two that add at once wait for each other, so `used` counts what both see;
    without a limit nothing is counted or locked.
    """
    package = package_here()
    most = getattr(package, f"max_{kind}", None)
    if most is None or adding <= 0:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_advisory_xact_lock(%s, hashtext(%s))", [_ROOM, f"{current_schema()}:{kind}"]
        )
    have = used()
    if have + adding > most:
        raise LimitReached(kind=kind, limit=most, used=have)


def package_here() -> Package | None:
    """Return the package of the current schema's tenant; None for the platform and for one without."""
    tenant = tenant_here()
    return tenant.package if tenant is not None and tenant.package_id else None


def check_active() -> None:
    """Raise TenantSuspended where the current schema's tenant may begin nothing new."""
    tenant = tenant_here()
    if tenant is not None and tenant.state != TenantState.ACTIVE:
        raise TenantSuspended


def tenant_here() -> Tenant | None:
    """Return the current schema's tenant with its package, None for the platform.

    A request carries it; elsewhere it is looked up, at most every few seconds.
    """
    tenant = connection.tenant  # type: ignore[attr-defined]
    schema = current_schema()
    if schema == settings.PUBLIC_SCHEMA_NAME:
        return None
    if isinstance(tenant, Tenant):
        return tenant
    found = hosts.recall(f"schema:{schema}")
    if found is None:
        found = Tenant.objects.select_related("package").filter(schema_name=schema).first()
        if found is not None:
            hosts.remember(f"schema:{schema}", found)
    return found
