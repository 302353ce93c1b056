"""A tenant with 20,000 stations in and around the cities of China, ten guns at each; made once, by a few statements."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, transaction

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import now
from apps.customers.models import Customer
from apps.piles.models import Connector, ConnectorStatus, Pile
from apps.pricing.models import PriceAssignment, PriceVersion, RetailPrice
from apps.pricing.services import create_template
from apps.pricing.tariff import ClassPrice, RateClass, Tariff, prices_to_json
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from apps.tenancy.services import create_tenant
from ykc_server.bench.office.grow import Say, insert

TENANT = "near"
HOST = f"{TENANT}.localhost"
STATIONS = 20_000
PILES, GUNS = 5, 2
"""Piles of a station, guns of a pile."""
FIRST_CODE = 32_960_000_000_000
TEMPLATES = 24
CITIES = (
    ("北京市", 39.904, 116.407), ("上海市", 31.230, 121.474), ("广州市", 23.129, 113.264),
    ("深圳市", 22.543, 114.058), ("成都市", 30.573, 104.066), ("重庆市", 29.563, 106.551),
    ("杭州市", 30.274, 120.155), ("武汉市", 30.593, 114.305), ("西安市", 34.342, 108.940),
    ("苏州市", 31.299, 120.585), ("南京市", 32.060, 118.797), ("天津市", 39.084, 117.201),
    ("长沙市", 28.228, 112.939), ("郑州市", 34.747, 113.625), ("青岛市", 36.067, 120.383),
    ("沈阳市", 41.806, 123.432), ("昆明市", 25.038, 102.718), ("合肥市", 31.821, 117.227),
    ("厦门市", 24.480, 118.089), ("哈尔滨市", 45.803, 126.535), ("乌鲁木齐市", 43.826, 87.617),
    ("兰州市", 36.061, 103.834), ("海口市", 20.044, 110.199), ("拉萨市", 29.652, 91.172),
)  # fmt: skip


def prepare(say: Say, *, share: float = 1.0) -> None:
    """Make the tenant where it is missing or has another number of stations; the schemas are up to date."""
    tenant = Tenant.objects.filter(code=TENANT).first()
    if tenant is None:
        tenant = create_tenant(code=TENANT, name=TENANT, hostname=HOST)
    count = max(int(STATIONS * share), 2 * len(CITIES))
    with schema_context(tenant.schema_name):
        if Station.objects.count() == count:
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "set local session_replication_role = replica"
            )  # the journal refuses it, full or empty
            cursor.execute(f"truncate {Station._meta.db_table} cascade")
            cursor.execute("set local session_replication_role = origin")
            for statement, values in _statements(count):
                cursor.execute(statement, values)
            Customer.objects.get_or_create(phone="+8613600000000")
        with connection.cursor() as cursor:
            for model in (Station, Pile, Connector, ConnectorStatus, PriceAssignment, RetailPrice):
                cursor.execute(f"vacuum analyze {model._meta.db_table}")
        say(f"{count:,} stations, {Connector.objects.count():,} guns around {len(CITIES)} cities")
    connection.close()


def _versions() -> list[int]:
    """Prices of some regions; made once."""
    if not PriceVersion.objects.exists():
        names = (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY)
        for number in range(TEMPLATES):
            prices = {
                name: ClassPrice(Decimal(f"0.{90 - 15 * place}{number:03d}"), Decimal("0.40000"))
                for place, name in enumerate(names)
            }
            slots = (
                *(RateClass.VALLEY,) * 16,
                *(RateClass.FLAT,) * 8,
                *(RateClass.PEAK,) * 12,
                *(RateClass.SHARP,) * 12,
            )
            create_template(name=f"{number}", tariff=Tariff(prices=prices, slots=slots), actor=SYSTEM)
    return list(PriceVersion.objects.order_by("pk").values_list("pk", flat=True))


def _statements(count: int) -> list[tuple[str, dict[str, Any]]]:
    """Stations, their prices (every third sells at its own), piles, guns and what they do.

    A city's stations lie around its middle, denser within, up to about 60 km away: the n-th at the golden angle.
    """
    retail = prices_to_json({RateClass.FLAT: ClassPrice(Decimal("0.95000"), Decimal("0.45000"))})
    values = {
        "count": count,
        "cities": [name for name, _, _ in CITIES],
        "latitudes": [latitude for _, latitude, _ in CITIES],
        "longitudes": [longitude for _, _, longitude in CITIES],
        "versions": _versions(),
        "now": now(),
        "since": now() - timedelta(days=30),
        "retail": json.dumps(retail),
    }
    number = "substr(station.station_no, 2)::int"
    return [
        (statement, values)
        for statement in (
            insert(
                Station(address="中山路 1 号", parking_note="充电免费停车 2 小时"),
                {
                    "station_no": "'N' || lpad(n::text, 6, '0')",
                    "name": "city || n || '号充电站'",
                    "city": "city",
                    "tags": """'["超充"]'::jsonb""",
                    "latitude": "round((latitude + reach * sin(n * 2.399963))::numeric, 6)",
                    "longitude": "round((longitude + reach * cos(n * 2.399963))::numeric, 6)",
                    "created_at": "%(now)s",
                    "updated_at": "%(now)s",
                },
                """(SELECT n, city, latitude, longitude, 0.6 * ((n * 7919) %% 9973 / 9973.0) ^ 2 AS reach
                 FROM generate_series(0, %(count)s - 1) n
                 JOIN unnest(%(cities)s::text[], %(latitudes)s::float8[], %(longitudes)s::float8[]) WITH ORDINALITY
                   AS c (city, latitude, longitude, place) ON place = n %% cardinality(%(cities)s::text[]) + 1
                ORDER BY n) made""",
            ),
            insert(
                PriceAssignment(),
                {
                    "version_id": f"(%(versions)s::bigint[])[1 + {number} / 7 %% cardinality(%(versions)s::bigint[])]",
                    "station_id": "station.id",
                    **dict.fromkeys(("starts_at", "begun_at", "created_at", "updated_at"), "%(since)s"),
                },
                "sites_station station",
            ),
            insert(
                RetailPrice(),
                {
                    "station_id": "station.id",
                    "prices": "%(retail)s::jsonb",
                    "starts_at": "%(since)s",
                    "created_at": "%(since)s",
                },
                f"sites_station station WHERE {number} / 7 %% 3 = 0",
            ),
            insert(
                Pile(is_online=True),
                {
                    "pile_code": f"({FIRST_CODE} + {number}::bigint * {PILES} + place)::text",
                    "station_id": "station.id",
                    "kind": f"CASE WHEN place = {PILES} - 1 THEN 'ac' ELSE 'dc' END",
                    "created_at": "%(since)s",
                    "updated_at": "%(since)s",
                },
                f"sites_station station CROSS JOIN generate_series(0, {PILES} - 1) place ORDER BY station.id",
            ),
            insert(
                Connector(),
                {
                    "pile_id": "pile.id",
                    "connector_no": "'0' || place",
                    "code": "pile.pile_code || '0' || place",
                },
                f"piles_pile pile CROSS JOIN generate_series(1, {GUNS}) place ORDER BY pile.id",
            ),
            insert(
                ConnectorStatus(),
                {
                    "connector_id": "gun.id",
                    "state": "CASE WHEN gun.id %% 3 = 0 THEN 'charging' ELSE 'idle' END",
                    "reported_at": "%(now)s",
                },
                "piles_connector gun ORDER BY gun.id",
            ),
        )
    ]
