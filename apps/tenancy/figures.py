"""What tenants tell the platform: figures of this moment and sums of days, pushed from their schemas into public."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, Sum

from apps.common.money import ZERO
from apps.common.schema import current_schema
from apps.common.time import now
from apps.tenancy.models import Tenant, TenantDay, TenantFigures
from apps.tenancy.selectors import tenant_of_schema

KEPT_DAYS = 400


@dataclass(frozen=True, slots=True)
class Moment:
    """What a tenant has now."""

    stations: int
    piles: int
    guns: int
    guns_online: int
    guns_charging: int
    guns_faulty: int
    staff: int
    customers: int


@dataclass(frozen=True, slots=True)
class Day:
    """Sums of settled orders of one business day: energy in kWh, fees in yuan."""

    day: date
    orders: int
    energy_kwh: Decimal
    electricity_fee: Decimal
    service_fee: Decimal


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over days, of one tenant or of all."""

    orders: int = 0
    energy_kwh: Decimal = Decimal("0.0000")
    electricity_fee: Decimal = ZERO
    service_fee: Decimal = ZERO

    @property
    def income(self) -> Decimal:
        """Electricity and service fee, yuan."""
        return self.electricity_fee + self.service_fee


def tell(*, moment: Moment, days: Iterable[Day]) -> None:
    """Keep the figures of the current schema's tenant; telling again writes over. Days long past go."""
    tenant = tenant_of_schema(current_schema())
    at = now()
    with transaction.atomic():
        TenantFigures.objects.update_or_create(tenant=tenant, defaults={**asdict(moment), "told_at": at})
        TenantDay.objects.bulk_create(
            (TenantDay(tenant=tenant, **asdict(day)) for day in sorted(days, key=lambda one: one.day)),
            update_conflicts=True,
            unique_fields=["tenant", "day"],
            update_fields=["orders", "energy_kwh", "electricity_fee", "service_fee"],
        )
        TenantDay.objects.filter(tenant=tenant, day__lt=at.date() - timedelta(days=KEPT_DAYS)).delete()


def by_tenant(*, first: date, last: date) -> dict[int, Sums]:
    """Return the sums of days from `first` to `last` by tenant id. One query."""
    rows = TenantDay.objects.filter(day__range=(first, last)).order_by().values("tenant_id").annotate(**_SUMS)
    return {row["tenant_id"]: _sums(row) for row in rows}


def by_day(*, first: date, last: date) -> list[tuple[date, Sums]]:
    """Return the sums of all tenants for each day from `first` to `last`, days without orders as zeros. One query."""
    rows = TenantDay.objects.filter(day__range=(first, last)).order_by().values("day").annotate(**_SUMS)
    found = {row["day"]: _sums(row) for row in rows}
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [(day, found.get(day, Sums())) for day in days]


def running() -> list[Tenant]:
    """Return all tenants with package, domains and latest figures. Two queries."""
    tenants = Tenant.objects.exclude(schema_name="public").select_related("package", "figures")
    return list(
        tenants.prefetch_related("domains").annotate(routed=Count("routes", distinct=True)).order_by("code")
    )


_SUMS = {
    "sum_orders": Sum("orders"),
    "sum_energy": Sum("energy_kwh"),
    "sum_electricity": Sum("electricity_fee"),
    "sum_service": Sum("service_fee"),
}


def _sums(row: dict) -> Sums:  # type: ignore[type-arg]
    return Sums(row["sum_orders"], row["sum_energy"], row["sum_electricity"], row["sum_service"])
