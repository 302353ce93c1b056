"""The small business that the benchmark needs: a tenant, piles, prices, and drivers with money. Made once, kept."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from django.core.management import call_command
from django.db import connection

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import now
from apps.customers.models import Customer
from apps.miniapp.authentication import token_for
from apps.piles.models import Pile
from apps.piles.partitions import ensure_partitions
from apps.piles.services import create_piles
from apps.pricing.models import PriceTemplate
from apps.pricing.services import assign, create_template
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from apps.tenancy.services import create_tenant
from apps.wallet.recharges import create_recharge, pay_sandbox

TENANT = "bench"
HOST = "bench.localhost"
FIRST_CODE = 32_990_000_000_000
RECHARGE = Decimal("1000.00")


def make_business(*, piles: int, drivers: int) -> tuple[list[str], list[str]]:
    """Bring the database up to date and fill what is missing. Returns pile codes and one token per driver."""
    call_command("migrate_tenants", verbosity=0)
    tenant = Tenant.objects.filter(code=TENANT).first()
    if tenant is None:
        tenant = create_tenant(code=TENANT, name="Benchmark", hostname=HOST)
    with schema_context(tenant.schema_name):
        station, _ = Station.objects.get_or_create(
            station_no="B1",
            defaults={"name": "Benchmark", "latitude": Decimal("31.2"), "longitude": Decimal("121.5")},
        )
        codes = [f"{FIRST_CODE + index:014d}" for index in range(piles)]
        if Pile.objects.filter(pile_code__in=codes).count() < piles:
            for _ in create_piles(
                station=station, first_code=codes[0], count=piles, gun_count=1, kind="dc", power_kw=Decimal(120),
                actor=SYSTEM,
            ):  # fmt: skip
                pass
        ensure_partitions()
        if not PriceTemplate.objects.exists():
            price = ClassPrice(Decimal("0.80000"), Decimal("0.40000"))
            classes = (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY)
            tariff = Tariff(prices=dict.fromkeys(classes, price), slots=(RateClass.FLAT,) * 48)
            version = create_template(name="Benchmark", tariff=tariff, actor=SYSTEM)
            assign(version=version, station=station, starts_at=now() - timedelta(hours=1), actor=SYSTEM)
        tokens = []
        for index in range(drivers):
            customer, made = Customer.objects.get_or_create(phone=f"+86139{index:08d}")
            if made:
                key = f"bench-{index}"
                recharge = create_recharge(
                    customer=customer, amount=RECHARGE, channel="sandbox", request_key=key
                )
                pay_sandbox(customer=customer, recharge_no=recharge.recharge_no)
            tokens.append(str(token_for(customer)))
    connection.close()
    return codes, tokens


def charging_in_database(codes: list[str]) -> int:
    """How many of these piles' guns the database knows as charging."""
    from apps.piles.models import ConnectorStatus

    with schema_context(Tenant.objects.get(code=TENANT).schema_name):
        found = ConnectorStatus.objects.filter(connector__pile__pile_code__in=codes, state="charging").count()
    connection.close()
    return found
