"""What charging guns measure, row by row into `piles_telemetry` by binary COPY.

Rows are packed into their wire form where the frame is handled, wait in a list per tenant, and are copied as they are.
Nothing of a row is ever an object again: at 40,000 frames a second there is no time for that.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import structlog
from psycopg import sql

from apps.common.time import now
from apps.piles.models import Telemetry, TelemetryKind
from apps.piles.partitions import ensure_partitions
from ykc_server.ingest import Connection

if TYPE_CHECKING:
    from ykc_server.gateway import Gateway
    from ykc_server.protocol.messages import BmsDemand, BmsInfo, Realtime
    from ykc_server.session import Gun

log = structlog.get_logger(__name__)

COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
LOCK_TIMEOUT = "250ms"
EPOCH_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""PostgreSQL counts microseconds from here."""


class CopyWriter:
    """Copies packed rows into one table of each tenant, over a connection of its own.

    A tenant's rows are due when there are `ROWS` of them or the oldest waits `AGE_S`; all that are due go in one
    transaction. When it fails each tenant is tried alone, and one that fails alone rests for a while, so that one
    tenant's locked table never stops another's. A month without a partition gets it from the pool.

    Bounded: beyond `LIMIT` waiting rows in the process the oldest of the tenant with most are dropped and counted.
    """

    ROWS = 1_000
    AGE_S = 2.0
    EVERY_S = 0.25
    BATCH = 5_000
    LIMIT = 100_000
    RETRY_S = 0.5
    REST_S = 5.0
    MADE_S = 60.0

    def __init__(self, gateway: Gateway, name: str, table: str, columns: Iterable[str]) -> None:
        self._gateway = gateway
        self._name = name
        self._table = table
        self._columns = sql.SQL(", ").join(map(sql.Identifier, columns))
        self._connection = Connection(LOCK_TIMEOUT)
        self.rows: defaultdict[str, list[bytes]] = defaultdict(list)
        self._since: dict[str, float] = {}
        self._rests_until: dict[str, float] = {}
        self._made_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._writing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return sum(map(len, self.rows.values()))

    async def run(self) -> None:
        """Write what is due, and keep the buffers bounded meanwhile, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch())
                group.create_task(self._write_on())
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def flush(self) -> None:
        """Write everything, whatever its age, but for tenants whose table does not take it now."""
        async with self._writing:
            while work := self._take(
                schema
                for schema, rows in self.rows.items()
                if rows and self._rests_until.get(schema, 0.0) <= time.monotonic()
            ):
                if not await self._write(work):
                    return

    # -- what is due

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.EVERY_S)
            self._drop_excess()
            moment = time.monotonic()
            for schema, rows in self.rows.items():
                if rows:
                    self._since.setdefault(schema, moment)
            if self._due(moment):
                self._wake.set()

    def _due(self, moment: float) -> list[str]:
        return [
            schema
            for schema, rows in self.rows.items()
            if (len(rows) >= self.ROWS or (rows and moment - self._since.get(schema, moment) >= self.AGE_S))
            and self._rests_until.get(schema, 0.0) <= moment
        ]

    def _drop_excess(self) -> None:
        excess = self.waiting - self.LIMIT
        while excess > 0:
            schema = max(self.rows, key=lambda name: len(self.rows[name]))
            rows = self.rows[schema]
            others = max((len(some) for name, some in self.rows.items() if name != schema), default=0)
            count = min(excess, max(len(rows) - others, 1))
            del rows[:count]
            self._gateway.count(f"{self._name}_dropped", count)
            excess -= count

    def _take(self, schemas: Iterable[str]) -> dict[str, list[bytes]]:
        work = {}
        for schema in sorted(schemas):
            rows = self.rows[schema]
            work[schema] = rows[: self.BATCH]
            del rows[: self.BATCH]
            self._since.pop(schema, None)
        return work

    def _give_back(self, work: dict[str, list[bytes]]) -> None:
        for schema, rows in work.items():
            self.rows[schema][:0] = rows
        self._drop_excess()

    # -- writing

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            async with self._writing:
                while due := self._due(time.monotonic()):
                    if not await self._write(self._take(due)):
                        await asyncio.sleep(self.RETRY_S)
                        break

    async def _write(self, work: dict[str, list[bytes]]) -> bool:
        """Write a batch; False when the database is away and everything waits on."""
        try:
            try:
                await self._copy(work)
            except psycopg.Error as error:
                if self._connection.is_broken:
                    raise
                log.warning(
                    "copy_failed", table=self._table, tenants=len(work), error=str(error).splitlines()[0]
                )
                await self._one_by_one(work, error)
        except (psycopg.Error, OSError) as error:
            log.warning(
                "copy_failed", table=self._table, count=sum(map(len, work.values())), error=str(error)
            )
            await self._connection.close()
            self._give_back(work)
            return False
        except Exception:
            log.exception("copy_failed", table=self._table)
            await self._connection.close()
            self._give_back(work)
            return False
        return True

    async def _copy(self, work: dict[str, list[bytes]]) -> None:
        connection = await self._connection.get()
        if len(work) == 1:
            for schema, rows in work.items():
                await self._copy_in(connection, schema, rows)
        else:
            async with connection.transaction():
                for schema, rows in work.items():
                    await self._copy_in(connection, schema, rows)
        self._gateway.count(f"{self._name}_stored", sum(map(len, work.values())))
        work.clear()

    async def _copy_in(
        self, connection: psycopg.AsyncConnection[object], schema: str, rows: list[bytes]
    ) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(schema, self._table), self._columns
        )
        async with connection.cursor() as cursor, cursor.copy(statement) as copy:
            await copy.write(b"".join((COPY_HEAD, *rows, COPY_END)))

    async def _one_by_one(self, work: dict[str, list[bytes]], failure: psycopg.Error) -> None:
        """Tenant by tenant. `work` keeps what is not decided yet."""
        only = len(work) == 1
        for schema in list(work):
            alone = {schema: work[schema]}
            try:
                if only:
                    raise failure
                await self._copy(alone)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                if self._lacks_partition(schema, error):
                    self._rests_until[schema] = float("inf")
                    self._give_back(alone)
                    self._gateway.spawn(self._make_partitions(schema))
                    del work[schema]
                    continue
                log.error("rows_refused", table=self._table, schema=schema, error=str(error))
                self._gateway.count(f"{self._name}_refused", len(alone[schema]))
            except psycopg.Error as error:
                if self._connection.is_broken:
                    raise
                log.warning("copy_of_tenant_failed", table=self._table, schema=schema, error=str(error))
                self._rests_until[schema] = time.monotonic() + self.REST_S
                self._give_back(alone)
            del work[schema]

    def _lacks_partition(self, schema: str, error: psycopg.Error) -> bool:
        """Whether a row is of a month without partition, and partitions were not made just now."""
        since = time.monotonic() - self._made_at.get(schema, -self.MADE_S)
        return isinstance(error, psycopg.errors.CheckViolation) and since >= self.MADE_S

    async def _make_partitions(self, schema: str) -> None:
        pause_s = self.REST_S
        try:
            await self._gateway.pool.run(schema, _partitions_of_yesterday_and_on)
            self._made_at[schema] = time.monotonic()
            pause_s = 0.0
        except Exception as error:  # noqa: BLE001 - its rows wait, and are dropped when they are too many
            log.error("partitions_not_made", schema=schema, error=str(error))
        finally:
            self._rests_until[schema] = time.monotonic() + pause_s
            self._wake.set()


def _partitions_of_yesterday_and_on() -> None:
    moment = now()
    ensure_partitions(at=moment - timedelta(days=1))  # rows of last month may have waited for a database
    ensure_partitions(at=moment)


# --- Rows of telemetry ------------------------------------------------------------------------------------
#
# A field is its length (4 bytes, -1 for null) and its value. A numeric is its number of digits, the weight of the first
# one, its sign and its scale, then digits of base 10,000; PostgreSQL strips zeros at either end itself.

COLUMNS = (
    "connector_id",
    "transaction_no",
    "kind",
    "at",
    "voltage_v",
    "current_a",
    "soc_percent",
    "remaining_minutes",
    "energy_kwh",
    "amount_yuan",
    "max_temp_c",
    "demand_voltage_v",
    "demand_current_a",
    "min_temp_c",
    "status_bits",
)
NULL = struct.pack(">i", -1)
TENTHS = struct.pack(">ihhHH", 12, 2, 0, 0, 1)
"""What stands before the two digits of a number of 0.1 V or 0.1 A."""
TEN_THOUSANDTHS = struct.pack(">ihhHH", 14, 3, 1, 0, 4)
"""What stands before the three digits of a number of 0.0001 kWh or 0.0001 yuan."""
CELSIUS = [NULL, *(struct.pack(">ih", 2, raw - 50) for raw in range(1, 256))]
"""A temperature by its byte on the wire; 0 is unknown (YKC V1.6, 0x13)."""

HEAD = struct.Struct(">hiqi32s")
KINDS = {kind: struct.pack(">ihi", 2, kind, 8) for kind in TelemetryKind}
"""The kind, and the length of the time behind it."""
REALTIME_KIND = KINDS[TelemetryKind.REALTIME]
DEMAND_KIND = KINDS[TelemetryKind.DEMAND]
BATTERY_KIND = KINDS[TelemetryKind.BATTERY]
MEASURED = f"{HEAD.size}s10sq12sHH12sHHihii"
REALTIME_ROW = struct.Struct(f">{MEASURED}12sHHH12sHHH").pack
REALTIME_ENDS = [temperature + 4 * NULL for temperature in CELSIUS]
DEMAND_ROW = struct.Struct(f">{MEASURED}24sHH12sHH8s").pack
DEMAND_GAP = 3 * NULL + TENTHS
BATTERY_ROW = struct.Struct(f">{HEAD.size}s10sq24s").pack
BATTERY_END = struct.Struct(">ii").pack


class TelemetryWriter(CopyWriter):
    """Rows of frames 0x13, 0x23 and 0x25 while a gun charges."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway, "telemetry", Telemetry._meta.db_table, COLUMNS)

    def realtime(self, gun: Gun, m: Realtime) -> None:
        """Keep a 0x13; `gun.reported_at` is its time."""
        if m.transaction_no != gun.charge:
            _begin(gun, m.transaction_no)
        voltage, current, energy, amount = m.output_voltage, m.output_current, m.energy_kwh, m.amount
        self.rows[gun.session.schema].append(
            REALTIME_ROW(
                gun.row_head, REALTIME_KIND, int(gun.reported_at * 1e6) - EPOCH_US,
                TENTHS, voltage // 10, voltage % 10 * 1_000, TENTHS, current // 10, current % 10 * 1_000,
                2, m.soc, 4, m.remaining_minutes,
                TEN_THOUSANDTHS, energy // 100_000_000, energy // 10_000 % 10_000, energy % 10_000,
                TEN_THOUSANDTHS, amount // 100_000_000, amount // 10_000 % 10_000, amount % 10_000,
            ) + REALTIME_ENDS[m.battery_max_temp]
        )  # fmt: skip

    def demand(self, gun: Gun, m: BmsDemand) -> None:
        """Keep a 0x23. Its currents count from -400 A, and batteries count a charging current negative."""
        if m.transaction_no != gun.charge:
            _begin(gun, m.transaction_no)
        current, demanded = abs(m.bms_current - 4_000), abs(m.demand_current - 4_000)
        self.rows[gun.session.schema].append(
            DEMAND_ROW(
                gun.row_head, DEMAND_KIND, int(time.time() * 1e6) - EPOCH_US,
                TENTHS, m.bms_voltage // 10, m.bms_voltage % 10 * 1_000, TENTHS, current // 10, current % 10 * 1_000,
                2, m.soc, 4, m.remaining_minutes,
                DEMAND_GAP, m.demand_voltage // 10, m.demand_voltage % 10 * 1_000,
                TENTHS, demanded // 10, demanded % 10 * 1_000, NULLS_2,
            )
        )  # fmt: skip

    def battery(self, gun: Gun, m: BmsInfo) -> None:
        """Keep a 0x25."""
        if m.transaction_no != gun.charge:
            _begin(gun, m.transaction_no)
        self.rows[gun.session.schema].append(
            BATTERY_ROW(gun.row_head, BATTERY_KIND, int(time.time() * 1e6) - EPOCH_US, NULLS_6)
            + BATTERY_MIDDLES[m.max_battery_temp]
            + CELSIUS[m.min_battery_temp]
            + BATTERY_END(4, m.status_bits)
        )


NULLS_2 = 2 * NULL
NULLS_6 = 6 * NULL
BATTERY_MIDDLES = [temperature + NULLS_2 for temperature in CELSIUS]


def _begin(gun: Gun, transaction_no: bytes) -> None:
    """Pack what is the same in all rows of a charge."""
    gun.charge = transaction_no
    number = transaction_no.hex().upper().encode()
    gun.row_head = HEAD.pack(len(COLUMNS), 8, gun.connector_id, len(number), number)
