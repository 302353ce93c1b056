"""A tenant with 200 stations, 10,000 guns and five million orders with lines, journal and rollups; and a small one.

Both are grown by the same statements, day by day, up to today: what is there already is kept, and a run on a later day
adds the days in between. The first half year goes into tables that are made empty in the same transaction, of which the
database writes no log; its indexes are made at the end. Every settled order is billed by its lines and booked in the
journal (`roll_up --check` finds nothing); its record is left out. Of the starts a fiftieth fail, an order of each third
day is abnormal, one station has no order, and nothing begins at night: lists are filtered by what is rare, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection, models, transaction
from django.db.models.expressions import DatabaseDefault
from psycopg import sql
from psycopg.types.json import Jsonb

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import business_day, day_bounds, now
from apps.customers.models import Customer, Enterprise
from apps.orders.models import Order
from apps.piles.enums import ConnectorState
from apps.piles.models import Connector, ConnectorStatus
from apps.piles.services import create_piles
from apps.pricing.models import PriceVersion
from apps.pricing.services import assign, create_template
from apps.pricing.tariff import ClassPrice, RateClass, Tariff
from apps.reports import rollups
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from apps.tenancy.services import create_tenant
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.models import Account, JournalEntry, Posting, Wallet
from ykc_server.bench.money.journal import drop_indexes

Say = Callable[[str], object]


@dataclass(frozen=True)
class Size:
    """How much of what."""

    stations: int
    piles: int
    customers: int
    orders: int
    days: int
    first_code: int


LARGE, SMALL = "large", "small"
SIZES = {
    LARGE: Size(200, 5_000, 20_000, 5_000_000, 180, 32_970_000_000_000),
    SMALL: Size(6, 24, 60, 300, 30, 32_980_000_000_000),
}
GUNS_PER_PILE = 2
TRIED_DAYS = 31
"""A month: reports of 30 days have all of them."""
FLAT, PEAK = (
    ClassPrice(Decimal("0.80000"), Decimal("0.40000")),
    ClassPrice(Decimal("1.20000"), Decimal("0.60000")),
)
TOP_UP = Decimal("1000000.00")
EMPTY = "L-NEW"
"""Number of the station without a gun or an order."""
STRAYS, ONE_IN = 50_000, 50
"""Orders that were never billed have a day's numbers from here on; one for so many others."""
OTHERS = ("customers_customer", "piles_connector", "piles_connectorstatus", "piles_pile", "wallet_wallet")
TABLES = ("orders_order", "orders_billline", "wallet_journalentry", "wallet_posting")


def prepare(say: Say, *, share: float = 1.0) -> None:
    """Fill what is missing of both tenants; the schemas are up to date.

    To try it out: `share` (< 1) of the orders of each day, and a month of days.
    """
    for code, full in SIZES.items():
        tenant = Tenant.objects.filter(code=code).first()
        if tenant is None:
            tenant = create_tenant(code=code, name=code, hostname=f"{code}.localhost")
        per_day = max(int(full.orders * (share if code == LARGE else 1)) // full.days, 5)
        size = full if share >= 1 else replace(full, days=TRIED_DAYS)
        with schema_context(tenant.schema_name):
            with transaction.atomic(), connection.cursor() as cursor:
                if not Customer.objects.exists():
                    # What is written to tables that are new in a transaction needs no log (wal_level=minimal).
                    # Without triggers: the journal refuses it, full or empty.
                    cursor.execute("set local session_replication_role = replica")
                    cursor.execute(f"truncate {', '.join(TABLES)} cascade")
                    cursor.execute("set local session_replication_role = origin")
                    _places(size, say)
                    cursor.execute("set local session_replication_role = replica")
                    cursor.execute(NUMBERED)
                    _beginnings(cursor, size)
                else:
                    cursor.execute(NUMBERED)
                grown = _grow(cursor, size, per_day, say)
            if grown or len(rollups.due_days(at=now())) > 1:
                _sum_up(say)
    connection.close()


def _places(size: Size, say: Say) -> None:
    """Stations with prices and piles, one more without, drivers with wallets."""
    classes = (RateClass.SHARP, RateClass.PEAK, RateClass.FLAT, RateClass.VALLEY)
    tariff = Tariff(
        prices=dict.fromkeys(classes, PEAK) | {RateClass.FLAT: FLAT}, slots=(RateClass.FLAT,) * 48
    )
    version = create_template(name="large", tariff=tariff, actor=SYSTEM)
    each = size.piles // size.stations
    place = {"latitude": Decimal("31.2"), "longitude": Decimal("121.5")}
    for number in range(size.stations):
        station = Station.objects.create(
            station_no=f"L{number:05d}", name=f"{number}号充电站", city=f"{number % 10}市", **place
        )
        assign(version=version, station=station, starts_at=now() - timedelta(days=400), actor=SYSTEM)
        for _ in create_piles(
            station=station, first_code=f"{size.first_code + number * each:014d}", count=each,
            gun_count=GUNS_PER_PILE, kind="dc", power_kw=Decimal(120), actor=SYSTEM,
        ):  # fmt: skip
            pass
    Station.objects.create(station_no=EMPTY, name="新站", city="0市", **place)
    Enterprise.objects.create(name="物流公司", percent_off=Decimal(0))
    customers = Customer.objects.bulk_create(
        Customer(phone=f"+86136{number:08d}", nickname=f"车主{number}") for number in range(size.customers)
    )
    wallets = Wallet.objects.bulk_create(Wallet(customer=one, principal=TOP_UP) for one in customers)
    Account.objects.bulk_create(
        [
            Account(kind=AccountKind.CHANNEL_CLEARING, channel="sandbox"),
            Account(kind=AccountKind.REVENUE_ELECTRICITY),
            Account(kind=AccountKind.REVENUE_SERVICE),
            *(Account(kind=AccountKind.CUSTOMER_PRINCIPAL, wallet=wallet) for wallet in wallets),
        ]
    )
    say(f"{size.stations} stations, {Connector.objects.count():,} guns, {size.customers:,} drivers")


def _beginnings(cursor: Any, size: Size) -> None:
    """Money in the wallets, a charge at every third gun."""
    day = business_day(now()) - timedelta(days=size.days)
    cash = Account.objects.get(kind=AccountKind.CHANNEL_CLEARING)
    own = Account.objects.filter(kind=AccountKind.CUSTOMER_PRINCIPAL).order_by("pk")
    entries = JournalEntry.objects.bulk_create(
        JournalEntry(
            key=f"top-up {account.wallet_id}", kind=JournalKind.RECHARGE, wallet_id=account.wallet_id,
            reference="", posted_at=day_bounds(day)[0], business_day=day,
        )
        for account in own
    )  # fmt: skip
    Posting.objects.bulk_create(
        Posting(entry=entry, account=account, amount=amount, business_day=day)
        for entry, own_account in zip(entries, own, strict=True)
        for account, amount in ((cash, TOP_UP), (own_account, -TOP_UP))
    )
    ConnectorStatus.objects.update(state=ConnectorState.IDLE, reported_at=now())
    cursor.execute(LIVE, _values())
    cursor.execute(
        "update piles_connectorstatus set state = 'charging' where connector_id in"
        " (select connector_id from orders_order where state = 'charging')"
    )
    cursor.execute("update piles_pile set created_at = now() - interval '400 days', is_online = true")


def _grow(cursor: Any, size: Size, per_day: int, say: Say) -> bool:
    """Add the days that have no orders, through today; return whether there were any."""
    today = business_day(now())
    last = (
        Order.objects.filter(state="completed", settled_at__isnull=False)
        .order_by("-settled_at")
        .values_list("settled_at", flat=True)[:1]
    )
    first = business_day(last[0]) + timedelta(days=1) if last else today - timedelta(days=size.days - 1)
    days = list(rollups.days(first, today))
    if not days:
        return False
    cursor.execute(
        "set local session_replication_role = replica; set local maintenance_work_mem = '512MB';"
        " set local synchronous_commit = off"
    )
    indexes = drop_indexes(cursor, TABLES) if len(days) > 30 and per_day > 1000 else []
    values = _values()
    for number, day in enumerate(days):
        _day(cursor, day, per_day, values)
        if number % 20 == 0:
            say(f"orders of {day}")
    for definition in indexes:
        cursor.execute(definition)
    if indexes:
        say("indexed")
    for table in TABLES:
        cursor.execute(
            sql.SQL("select setval(pg_get_serial_sequence({}, 'id'), (select max(id) from {}))").format(
                sql.Literal(table), sql.Identifier(table)
            )
        )
    cursor.execute(PAY)
    return True


def _sum_up(say: Say) -> None:
    """Roll up the days that need it, and let the database know how many rows there are of what."""
    with connection.cursor() as cursor:
        for table in (*TABLES, *OTHERS):
            cursor.execute(f"vacuum analyze {table}")
    say("vacuumed")
    for number, day in enumerate(rollups.due_days(at=now())):
        rollups.roll_day(day)
        if number % 20 == 0:
            say(f"rolled up {day}")
    rollups.roll_due_months()
    with connection.cursor() as cursor:
        cursor.execute("vacuum analyze reports_rollup")
    say(f"{Order.objects.count():,} orders")


def _values() -> dict[str, Any]:
    version = PriceVersion.objects.get()
    return {
        "version": version.pk,
        "tariff": Jsonb(version.to_tariff().to_json()),
        "company": Enterprise.objects.values_list("pk", flat=True)[0],
        "guns": Connector.objects.count(),
        "drivers": Customer.objects.count(),
        "now": now(),
    }


def _day(cursor: Any, day: date, count: int, values: dict[str, Any]) -> None:
    start, end = day_bounds(day)
    until = min(end, now())
    opened: datetime = start + timedelta(hours=6)
    span = min(until, start + timedelta(hours=23)) - opened
    if span <= timedelta(0):
        return
    part = max(int(count * (span / timedelta(hours=17))), 1)
    number = (day - date(2020, 1, 1)).days
    values = values | {
        "day": day,
        "base": number * 100_000,
        "count": part,
        "opened": opened,
        "span": span,
        "step": span / part,
        "salt": number,
        "first_stray": min(number % 3, 1),
        "strays": max(part // ONE_IN, 1),
    }
    for statement in (ORDERS, LINES, ENTRIES, POSTINGS, UNBILLED):
        cursor.execute(statement, values)


def insert(sample: models.Model, own: dict[str, str], source: str) -> str:
    """An INSERT of rows: `own` columns by expression, all others as they are in `sample`, a row that is not saved."""
    columns, table = dict(own), sample._meta.db_table
    for field in sample._meta.concrete_fields:
        is_left = field.primary_key or isinstance(getattr(sample, field.attname), DatabaseDefault)
        if field.column not in own and not is_left:
            columns[field.column] = _literal(field, sample)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM {source}"  # noqa: S608


def _insert(own: dict[str, str], source: str) -> str:
    return insert(Order(created_at=None), own, source)


def _literal(field: models.Field, sample: models.Model) -> str:
    value = getattr(sample, field.attname)
    if value is None:
        return f"NULL::{field.db_type(connection)}"
    if isinstance(field, models.JSONField):
        return "'[]'::jsonb"
    if isinstance(value, bool | int | Decimal):
        return str(value)
    return "'" + str(value).replace("'", "''") + "'"


# Numbered guns and drivers: order n of a day takes them by arithmetic, always the same. As tables, counted: a join of
# tables that nobody has counted takes every row of one to every row of the other.
NUMBERED = """CREATE TEMPORARY TABLE gun ON COMMIT DROP AS
        SELECT c.id, p.station_id, row_number() OVER (ORDER BY c.id) - 1 AS place
          FROM piles_connector c JOIN piles_pile p ON p.id = c.pile_id;
    CREATE TEMPORARY TABLE driver ON COMMIT DROP AS
        SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM customers_customer;
    ANALYZE gun; ANALYZE driver; ANALYZE wallet_wallet; ANALYZE wallet_account"""
_FLAT_KWH = "round(5 + 40 * ((n * 7919 + %(salt)s * 31) %% 9973) / 9973.0, 4)"
_PEAK_KWH = "round(2 + 15 * ((n * 104729 + %(salt)s * 17) %% 9967) / 9967.0, 4)"
_ELECTRICITY = "round(flat_kwh * 0.8, 2) + round(peak_kwh * 1.2, 2)"
_SERVICE = "round(flat_kwh * 0.4, 2) + round(peak_kwh * 0.6, 2)"
_ORDER_NO = "'L' || lpad((%(base)s + n)::text, 15, '0')"
_SAME = {
    "price_version_id": "%(version)s",
    "tariff": "%(tariff)s::jsonb",
    "retail_tariff": "%(tariff)s::jsonb",
}
ORDERS = _insert(
    {
        "id": "%(base)s + n",
        "order_no": _ORDER_NO,
        "transaction_no": "'7' || lpad((%(base)s + n)::text, 31, '0')",
        "request_key": "'l' || %(base)s + n",
        "source": "CASE WHEN n %% 10 < 8 THEN 'app' WHEN n %% 10 = 8 THEN 'card' ELSE 'vin' END",
        "customer_id": "driver_id",
        "station_id": "station_id",
        "connector_id": "connector_id",
        "enterprise_id": "CASE WHEN n %% 7 = 0 THEN %(company)s END",
        "state": "'completed'",
        "verdict": "CASE WHEN n %% 40 = 0 THEN 'flagged' ELSE 'ok' END",
        "energy_kwh": "flat_kwh + peak_kwh",
        "electricity_fee": _ELECTRICITY,
        "service_fee": _SERVICE,
        "electricity_payable": _ELECTRICITY,
        "service_payable": _SERVICE,
        "payable": f"{_ELECTRICITY} + {_SERVICE}",
        "paid_principal": f"{_ELECTRICITY} + {_SERVICE}",
        "hold_amount": "100",
        "created_at": "ended - length",
        "updated_at": "ended",
        "charging_at": "ended - length + interval '10 seconds'",
        "started_at": "ended - length + interval '10 seconds'",
        "ended_at": "ended",
        "settled_at": "ended",
        **_SAME,
    },
    f"""(SELECT n, gun.id AS connector_id, gun.station_id, driver.id AS driver_id, {_FLAT_KWH} AS flat_kwh,
            {_PEAK_KWH} AS peak_kwh, %(opened)s + (n + 1) * %(step)s AS ended,
            interval '1 minute' * (15 + (n * 31 + %(salt)s) %% 60) AS length
         FROM generate_series(0::bigint, %(count)s - 1) n
         JOIN gun ON gun.place = (n * 7919 + %(salt)s * 13) %% %(guns)s
         JOIN driver ON driver.place = (n * 3571 + %(salt)s * 7) %% %(drivers)s ORDER BY n) made""",  # noqa: S608
)
# A start that failed, or (n = 0) a charge that waits for a person.
UNBILLED = _insert(
    {
        "id": f"%(base)s + {STRAYS} + n",
        "order_no": _ORDER_NO.replace("+ n", f"+ {STRAYS} + n"),
        "transaction_no": f"'7' || lpad((%(base)s + {STRAYS} + n)::text, 31, '0')",
        "request_key": f"'l' || %(base)s + {STRAYS} + n",
        "customer_id": "driver_id",
        "station_id": "station_id",
        "connector_id": "connector_id",
        "state": "CASE WHEN n = 0 THEN 'abnormal' ELSE 'failed' END",
        "verdict": "CASE WHEN n = 0 THEN 'held' ELSE '' END",
        "fail_reason": "CASE WHEN n = 0 THEN '' ELSE 'no_answer' END",
        "created_at": "began",
        "updated_at": "began",
        "charging_at": "CASE WHEN n = 0 THEN began END",
        **_SAME,
    },
    """(SELECT n, gun.id AS connector_id, gun.station_id, driver.id AS driver_id,
            %(opened)s + (n + 0.5) * %(span)s / (%(strays)s + 1) AS began
         FROM generate_series(%(first_stray)s::bigint, %(strays)s) n
         JOIN gun ON gun.place = (n * 7907 + %(salt)s * 11) %% %(guns)s
         JOIN driver ON driver.place = (n * 3559 + %(salt)s * 5) %% %(drivers)s) made""",
)
_A_WHILE_AGO = "%(now)s::timestamptz - gun.place * interval '1 second'"
LIVE = _insert(
    {
        "order_no": "'LIVE' || gun.id",
        "transaction_no": "'8' || lpad(gun.id::text, 31, '0')",
        "request_key": "'live' || gun.id",
        "customer_id": "driver.id",
        "station_id": "gun.station_id",
        "connector_id": "gun.id",
        "state": "'charging'",
        **dict.fromkeys(("created_at", "updated_at", "charging_at", "started_at"), _A_WHILE_AGO),
        **_SAME,
    },
    "gun JOIN driver ON driver.place = gun.place WHERE gun.place %% 3 = 0",
)
LINES = f"""INSERT INTO orders_billline (id, order_id, rate_class, energy_kwh, electricity_price, service_price,
        electricity_fee, service_fee, pile_amount)
    SELECT 2 * o.id + line.place, o.id, line.name, line.kwh, line.electricity, line.service,
        round(line.kwh * line.electricity, 2), round(line.kwh * line.service, 2), NULL
      FROM (SELECT o.id, o.id - %(base)s AS n FROM orders_order o
             WHERE o.id BETWEEN %(base)s AND %(base)s + %(count)s - 1) o
     CROSS JOIN LATERAL (VALUES (0, 'flat', {_FLAT_KWH}, 0.80000, 0.40000),
           (1, 'peak', {_PEAK_KWH}, 1.20000, 0.60000))
           AS line (place, name, kwh, electricity, service) ORDER BY o.id"""  # noqa: S608
ENTRIES = """INSERT INTO wallet_journalentry (id, key, kind, wallet_id, reference, posted_at, business_day, memo)
    SELECT o.id, 'charge:' || o.order_no, 'charge', w.id, o.order_no, o.settled_at, %(day)s, ''
      FROM orders_order o JOIN wallet_wallet w ON w.customer_id = o.customer_id
     WHERE o.id BETWEEN %(base)s AND %(base)s + %(count)s - 1 ORDER BY o.id"""
POSTINGS = """INSERT INTO wallet_posting (id, entry_id, account_id, amount, business_day)
    SELECT 3 * o.id + leg.place, o.id, leg.account_id, leg.amount, %(day)s
      FROM orders_order o JOIN wallet_wallet w ON w.customer_id = o.customer_id
      JOIN wallet_account own ON own.wallet_id = w.id AND own.kind = 'customer_principal'
     CROSS JOIN LATERAL (VALUES (0, own.id, o.payable),
           (1, (SELECT id FROM wallet_account WHERE kind = 'revenue_electricity'), -o.electricity_fee),
           (2, (SELECT id FROM wallet_account WHERE kind = 'revenue_service'), -o.service_fee))
           AS leg (place, account_id, amount)
     WHERE o.id BETWEEN %(base)s AND %(base)s + %(count)s - 1 ORDER BY o.id"""
PAY = f"""UPDATE wallet_wallet w SET principal = {TOP_UP} - paid.total
    FROM (SELECT customer_id, sum(payable) AS total FROM orders_order GROUP BY customer_id) paid
    WHERE paid.customer_id = w.customer_id"""  # noqa: S608
