"""The two batch writers: transaction records (group commit) and the last status of connectors (coalesced upserts).

Each has one database connection of its own and works on everything that came while it wrote the batch before. A batch
is one transaction over all its tenants, in psycopg's pipeline mode, sorted by schema and key: two gateways that store
the same rows in different orders would deadlock. When it fails, each tenant is tried alone, and then each record
alone, so that one tenant's locked table or one bad value never stops another's.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import structlog
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import sql

from apps.orders.enums import RecordState
from apps.orders.models import TransactionRecord
from apps.orders.tasks import settle_pending
from apps.piles.enums import AlarmKind, ConnectorState
from apps.piles.models import Connector, ConnectorStatus
from apps.piles.services import raise_alarm
from ykc_server import translate
from ykc_server.protocol import DECODE, ProtocolError
from ykc_server.protocol.message import seal
from ykc_server.session import Gun, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

PREPARED_MAX = 1_000  # more than tenants × statements, else psycopg prepares and forgets in turn
RECORD_LOCK_TIMEOUT = "1s"
STATUS_LOCK_TIMEOUT = "250ms"
AWAY = (psycopg.OperationalError, psycopg.InterfaceError)
TRANSACTION_NO, PILE_NO = slice(6, 22), slice(22, 29)  # of a record's frame
LIVE_EVERY_S = 1.0


def database_arguments() -> dict[str, Any]:
    """Return the keyword arguments of `psycopg.connect` for Django's default database."""
    settings = connections[DEFAULT_DB_ALIAS].settings_dict
    names = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    arguments = {key: settings[name] for key, name in names.items() if settings.get(name)}
    options = {
        key: value for key, value in settings.get("OPTIONS", {}).items() if key.startswith(("ssl", "target"))
    }
    return arguments | options


class Connection:
    """One psycopg connection that is opened when it is needed and opened again after it was lost."""

    def __init__(self, lock_timeout: str) -> None:
        self._lock_timeout = lock_timeout
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def get(self) -> psycopg.AsyncConnection[Any]:
        """Return the connection in autocommit mode. Raises psycopg.OperationalError."""
        if self._connection is None or self._connection.closed:
            made = await psycopg.AsyncConnection.connect(
                autocommit=True, connect_timeout=5, **database_arguments()
            )
            made.prepared_max = PREPARED_MAX
            await made.execute("SELECT set_config('lock_timeout', %s, false)", [self._lock_timeout])
            self._connection = made
        return self._connection

    @property
    def is_broken(self) -> bool:
        """Whether the last error took the connection with it; a lock time-out or a bad value does not."""
        return self._connection is None or self._connection.closed

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def write(self, work: dict[str, Any], statement: Any) -> None:
        """Execute `statement(schema, rows)` for each schema in one transaction. Raises psycopg.Error."""
        connection = await self.get()
        if len(work) == 1:
            for schema, rows in work.items():
                await connection.execute(*statement(schema, rows))
            return
        async with connection.pipeline(), connection.transaction():
            for schema in sorted(work):
                await connection.execute(*statement(schema, work[schema]))


# --- Transaction records ----------------------------------------------------------------------------------


class Record(msgspec.Struct, gc=False, eq=False):
    """A record as it came, and whom to answer."""

    pile: Any  # PileConsumer
    session: Any  # Session
    frame: bytes
    received_at: datetime
    arrived: float  # gateway.now


class Row(msgspec.Struct, gc=False):
    """What is stored of a record, in the order of RECORD_COLUMNS; equal keys are one row."""

    transaction_no: str
    pile_code: str
    connector_no: str
    digest: str
    connection_pile_code: str
    frame_type: int
    body: bytes
    report: str | None
    received_at: datetime
    state: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.transaction_no, self.pile_code, self.connector_no, self.digest)

    @property
    def is_own(self) -> bool:
        """Whether the pile that it names has sent it."""
        return self.connection_pile_code == self.pile_code


RECORD_COLUMNS = {
    "transaction_no": "text",
    "pile_code": "text",
    "connector_no": "text",
    "digest": "text",
    "connection_pile_code": "text",
    "frame_type": "int",
    "body": "bytea",
    "report": "text",
    "received_at": "timestamptz",
    "state": "text",
    "reason": "text",
    "times": "int",
}
# What another pile sent first is its own pile's record once that sends it as well, unless a person has decided.
_OWN = "r.state = 'quarantined' AND r.reason = 'foreign_pile' AND excluded.reason <> 'foreign_pile'"
RECORD_INSERT = f"""
INSERT INTO {{table}} AS r (transaction_no, pile_code, connector_no, digest, connection_pile_code, protocol,
                          frame_type, body, report, received_at, times_received, state, reason)
SELECT v.transaction_no, v.pile_code, v.connector_no, v.digest, v.connection_pile_code, 'ykc',
       v.frame_type, v.body, v.report::jsonb, v.received_at, v.times, v.state, v.reason
  FROM {{rows}} AS v ({{names}})
    ON CONFLICT (transaction_no, pile_code, connector_no, digest)
    DO UPDATE SET times_received = r.times_received + excluded.times_received,
       {
    ", ".join(
        f"{name} = CASE WHEN {_OWN} THEN excluded.{name} ELSE r.{name} END"
        for name in ("connection_pile_code", "received_at", "state", "reason")
    )
}
"""  # noqa: S608 - the texts above
# In binary form: in an array's text every quotation mark of a report would have to be escaped, by psycopg in Python.
MANY_RECORDS = f"unnest({', '.join(f'%b::{kind}[]' for kind in RECORD_COLUMNS.values())})"
ONE_RECORD = f"(VALUES ({', '.join(f'%b::{kind}' for kind in RECORD_COLUMNS.values())}))"
"""Nearly all records come alone; twelve arrays of one value each take longer to write and to read."""


@functools.lru_cache(maxsize=4_096)
def record_query(schema: str, rows: str) -> bytes:
    """Return RECORD_INSERT for a tenant. Composed once: that takes longer than sending it."""
    return (
        sql.SQL(RECORD_INSERT)
        .format(
            table=sql.Identifier(schema, TransactionRecord._meta.db_table),
            rows=sql.SQL(rows),
            names=sql.SQL(", ".join(RECORD_COLUMNS)),
        )
        .as_bytes()
    )


class RecordWriter:
    """Stores records and answers 0x40 after COMMIT. What could not be stored is not answered: the pile repeats it."""

    LIMIT = 50_000
    BATCH = 1_000
    AT_ONCE = 20
    RETRY_S = 0.5
    ANNOUNCE_EVERY_S = 0.1
    KEEP_S = 20.0  # a pile repeats after 30 s by itself

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._connection = Connection(RECORD_LOCK_TIMEOUT)
        self._waiting: deque[Record] = deque()
        self._decoded: list[tuple[Record, Row]] = []
        self._wake = asyncio.Event()
        self._beside = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._unsettled: set[str] = set()
        self._announced: dict[str, float] = {}

    def put(self, pile: PileConsumer, frame: bytes) -> None:
        """Queue a record's frame. Beyond the limit it is dropped, and the pile will repeat it."""
        if len(self._waiting) + len(self._decoded) >= self.LIMIT:
            self._gateway.sampled("record_dropped", pile_code=pile.session.pile_code)  # type: ignore[union-attr]
            return
        record = Record(pile, pile.session, frame, datetime.now(UTC), self._gateway.now)
        self._waiting.append(record)
        self._idle.clear()
        self._wake.set()
        self._beside.set()

    async def run(self) -> None:
        """Write batches until cancelled."""
        decoding = asyncio.create_task(self._decode_beside())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting or self._decoded:
                    if not self._decoded:
                        self._decode_some()
                    batch, self._decoded = self._decoded[: self.BATCH], self._decoded[self.BATCH :]
                    try:
                        await self._write(batch)
                    except AWAY as error:
                        log.warning("records_not_stored", count=len(batch), error=str(error))
                        await self._connection.close()
                        self._keep(batch)
                        await asyncio.sleep(self.RETRY_S)
                    except Exception:
                        log.exception("records_not_stored", count=len(batch))
                self._idle.set()
        finally:
            decoding.cancel()
            await self._connection.close()

    async def drain(self) -> None:
        """Wait until everything queued is written."""
        await self._idle.wait()

    async def _decode_beside(self) -> None:
        """Decode what comes while the database works on a batch: the next one is ready when that is stored."""
        while True:
            await self._beside.wait()
            self._beside.clear()
            while self._waiting:
                await asyncio.sleep(0)  # a burst of records after an outage must not hold up heartbeats
                self._decode_some()

    def _decode_some(self) -> None:
        for _ in range(min(self.AT_ONCE, len(self._waiting))):
            record = self._waiting.popleft()
            try:
                self._decoded.append((record, make_row(record)))
            except Exception:
                log.exception("record_not_read", frame=record.frame.hex())

    def _keep(self, batch: list[tuple[Record, Row]]) -> None:
        young = [pair for pair in batch if self._gateway.now - pair[0].arrived < self.KEEP_S]
        self._decoded = young + self._decoded

    async def _write(self, batch: list[tuple[Record, Row]]) -> None:
        by_schema: dict[str, list[tuple[Record, Row]]] = defaultdict(list)
        for pair in batch:
            by_schema[pair[0].session.schema].append(pair)
        stored: dict[str, list[tuple[Record, Row]]] = dict(by_schema)
        try:
            await self._connection.write(by_schema, self._statement)
        except psycopg.Error as error:
            if self._connection.is_broken:
                raise
            log.warning("record_batch_failed", tenants=len(by_schema), count=len(batch), error=str(error))
            stored = await self._one_by_one(by_schema, error)
        self._confirm(record for pairs in stored.values() for record, _ in pairs)
        for schema, pairs in stored.items():
            self._announce(schema, [row for _, row in pairs])

    async def _one_by_one(
        self, work: dict[str, list[tuple[Record, Row]]], failure: psycopg.Error
    ) -> dict[str, list[tuple[Record, Row]]]:
        """Tenant by tenant, then row by row; what fails alone is stored as bytes. Returns what is stored."""
        stored = {}
        for schema in sorted(work):
            try:
                if len(work) == 1:
                    raise failure
                await self._connection.write({schema: work[schema]}, self._statement)
                stored[schema] = work[schema]
            except (psycopg.DataError, psycopg.IntegrityError):
                stored[schema] = [pair for pair in work[schema] if await self._store_alone(schema, *pair)]
            except psycopg.Error as error:  # locked by a migration, or gone: no row of it would fare better
                if self._connection.is_broken:
                    raise
                log.warning("records_not_stored", schema=schema, count=len(work[schema]), error=str(error))
        return stored

    async def _store_alone(self, schema: str, record: Record, row: Row) -> bool:
        bare = msgspec.structs.replace(
            row, report=None, state=RecordState.QUARANTINED.value, reason="undecodable"
        )
        for attempt in (row, bare):
            try:
                await self._connection.write({schema: [(record, attempt)]}, self._statement)
            except psycopg.Error as error:
                if self._connection.is_broken:
                    raise
                log.warning("record_not_stored", schema=schema, number=row.transaction_no, error=str(error))
            else:
                return True
        return False

    def _statement(self, schema: str, pairs: list[tuple[Record, Row]]) -> tuple[bytes, list[Any]]:
        if len(pairs) == 1:
            return record_query(schema, ONE_RECORD), [*msgspec.structs.astuple(pairs[0][1]), 1]
        # Of equal keys the last stays: the pile's own, where another has sent it too.
        rows = {row.key: row for _, row in sorted(pairs, key=lambda pair: (pair[1].key, pair[1].is_own))}
        times = Counter(row.key for _, row in pairs)  # one statement may not meet the same row twice
        columns = [list(column) for column in zip(*map(msgspec.structs.astuple, rows.values()), strict=True)]
        return record_query(schema, MANY_RECORDS), [*columns, [times[key] for key in rows]]

    def _confirm(self, records: Iterable[Record]) -> None:
        answers: dict[PileConsumer, list[bytes]] = defaultdict(list)
        for record in records:
            number = record.frame[TRANSACTION_NO]
            if not record.pile.closed and len(record.frame) >= TRANSACTION_NO.stop + 2:
                answers[record.pile].append(seal(record.frame[2:4] + b"\0\x40" + number + b"\0"))
        for pile, frames in answers.items():
            pile.write(b"".join(frames))

    def _announce(self, schema: str, rows: list[Row]) -> None:
        """Let the stored records be settled, and raise alarms for those about another pile."""
        foreign = [
            (row.connection_pile_code, row.transaction_no) for row in rows if row.reason == "foreign_pile"
        ]
        if foreign:
            self._gateway.spawn(self._gateway.pool.run_surely(schema, _raise_foreign, foreign))
        if schema not in self._unsettled and any(row.state == RecordState.STORED for row in rows):
            self._unsettled.add(schema)
            self._gateway.spawn(self._settle(schema))

    async def _settle(self, schema: str) -> None:
        # In a burst every batch would send a message, which costs more than storing the batch.
        pause_s = self._announced.get(schema, 0.0) + self.ANNOUNCE_EVERY_S - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        self._announced[schema] = time.monotonic()
        self._unsettled.discard(schema)  # records of the next batch get a task of their own
        try:
            await self._gateway.pool.run(schema, settle_pending.apply_async, retry=False)
        except Exception as error:  # noqa: BLE001 - whatever the broker's client raises: the beat task finds them
            log.warning("settling_not_announced", schema=schema, error=str(error))


def make_row(record: Record) -> Row:
    """Decode a record as far as it can be. What cannot be used is still stored, in quarantine."""
    frame, session = record.frame, record.session
    body = frame[6:-2]
    row = Row(
        transaction_no=body[:16].hex().upper() if len(body) >= 16 else "",
        pile_code=body[16:23].hex().upper() if len(body) >= 23 else session.pile_code,
        connector_no=body[23:24].hex().upper(),
        digest=hashlib.sha256(body).hexdigest(),
        connection_pile_code=session.pile_code,
        frame_type=frame[5],
        body=body,
        report=None,
        received_at=record.received_at,
        state=RecordState.QUARANTINED.value,
        reason="undecodable",
    )
    try:
        m: Any = DECODE[frame[5]](frame)
        row.report = msgspec.json.encode(translate.transaction_report(m)).decode()
    except (ProtocolError, ValueError, ArithmeticError) as error:
        log.warning("record_undecodable", pile_code=session.pile_code, frame=frame.hex(), error=str(error))
    if row.pile_code != session.pile_code:
        row.reason = "foreign_pile"
    elif row.report is not None:
        row.state, row.reason = RecordState.STORED.value, ""
    return row


def _raise_foreign(records: list[tuple[str, str]]) -> None:
    for pile_code, transaction_no in records:
        raise_alarm(kind=AlarmKind.FOREIGN_RECORD, pile_code=pile_code, subject=transaction_no)


# --- Last status ------------------------------------------------------------------------------------------

STATUS_COLUMNS = {
    "connector_id": "bigint",
    "state": "text",
    "transaction_no": "text",
    "voltage": "bigint",
    "current": "bigint",
    "soc": "int",
    "temperature": "int",
    "energy": "bigint",
    "amount": "bigint",
    "charge_minutes": "int",
    "remaining_minutes": "int",
    "fault_bits": "int",
    "reported_at": "float8",
}
# Units of frame 0x13: 0.1 V, 0.1 A, °C + 50 with 0 for unknown, 0.0001 kWh, 0.0001 yuan. A connector that was deleted
# since the login finds no row to join.
STATUS_UPSERT = """
INSERT INTO {table} (connector_id, state, transaction_no, voltage_v, current_a, soc_percent, battery_temp_c,
                     energy_kwh, amount_yuan, charge_minutes, remaining_minutes, fault_bits, reported_at)
SELECT v.connector_id, v.state, v.transaction_no, v.voltage * 0.1, v.current * 0.1, v.soc,
       nullif(v.temperature, 0) - 50, v.energy * 0.0001, v.amount * 0.0001, v.charge_minutes, v.remaining_minutes,
       v.fault_bits, to_timestamp(v.reported_at)
  FROM unnest({casts}) AS v ({names})
  JOIN {connectors} c ON c.id = v.connector_id
 ORDER BY v.connector_id
    ON CONFLICT (connector_id) DO UPDATE SET
       state = excluded.state, transaction_no = excluded.transaction_no, voltage_v = excluded.voltage_v,
       current_a = excluded.current_a, soc_percent = excluded.soc_percent, battery_temp_c = excluded.battery_temp_c,
       energy_kwh = excluded.energy_kwh, amount_yuan = excluded.amount_yuan,
       charge_minutes = excluded.charge_minutes, remaining_minutes = excluded.remaining_minutes,
       fault_bits = excluded.fault_bits, reported_at = excluded.reported_at
"""


@functools.lru_cache(maxsize=4_096)
def status_query(schema: str) -> bytes:
    """Return STATUS_UPSERT for a tenant."""
    return (
        sql.SQL(STATUS_UPSERT)
        .format(
            table=sql.Identifier(schema, ConnectorStatus._meta.db_table),
            connectors=sql.Identifier(schema, Connector._meta.db_table),
            casts=sql.SQL(", ".join(f"%s::{kind}[]" for kind in STATUS_COLUMNS.values())),
            names=sql.SQL(", ".join(STATUS_COLUMNS)),
        )
        .as_bytes()
    )


class StatusWriter:
    """Writes the last status of every gun that reported since the last flush: once, however often it reported."""

    EVERY_S = 0.15
    ROWS = 2_000

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._connection = Connection(STATUS_LOCK_TIMEOUT)
        self.dirty: set[Gun] = set()  # bounded by the guns of the piles that are logged in
        self.held: set[Gun] = set()  # written, but their watchers were woken less than LIVE_EVERY_S ago
        self.flushing = asyncio.Lock()

    async def run(self) -> None:
        """Flush until cancelled."""
        try:
            while True:
                await asyncio.sleep(self.EVERY_S)
                if self.dirty:
                    await self.flush()
                elif self.held:
                    await self._push(())
        finally:
            await self._connection.close()

    async def flush(self) -> None:
        """Write what is dirty now. What could not be written stays dirty, unless its pile has gone."""
        async with self.flushing:
            guns, self.dirty = self.dirty, set()
            by_schema: dict[str, list[Gun]] = defaultdict(list)
            for gun in guns:
                by_schema[gun.session.schema].append(gun)
            failed: list[Gun] = []
            try:
                await self._write(by_schema, failed)
            except Exception as error:  # noqa: BLE001 - the next flush tries again, and a report is never fatal
                log.warning("status_not_stored", count=len(guns), error=str(error))
                await self._connection.close()
                failed = list(guns)
            # A gun that reported again meanwhile is dirty already; one whose pile has gone must stay "offline".
            self.dirty.update(gun for gun in failed if self._gateway.holds(gun.session))
            await self._push(guns.difference(failed))

    def drop(self, session: Session) -> None:
        """Forget what is not written of a pile that is gone: it must not overwrite "offline"."""
        self.dirty.difference_update(session.guns.values())
        self.held.difference_update(session.guns.values())

    async def _write(self, by_schema: dict[str, list[Gun]], failed: list[Gun]) -> None:
        work = {}
        for schema, guns in by_schema.items():
            work[schema] = guns[: self.ROWS]
            failed += guns[self.ROWS :]  # in the next flush
        try:
            await self._connection.write(work, self._statement)
        except psycopg.Error as error:
            if len(work) <= 1 or self._connection.is_broken:
                raise
            log.warning("status_batch_failed", tenants=len(work), error=str(error))
            for schema in sorted(work):
                try:
                    await self._connection.write({schema: work[schema]}, self._statement)
                except psycopg.Error as alone:
                    log.warning("status_not_stored", schema=schema, count=len(work[schema]), error=str(alone))
                    failed += work[schema]

    def _statement(self, schema: str, guns: list[Gun]) -> tuple[bytes, list[str]]:
        # Arrays as PostgreSQL reads them: no value needs an escape, and psycopg would look for one in each.
        return status_query(schema), [
            f"{{{','.join(map(str, column))}}}" for column in zip(*map(_status_row, guns), strict=True)
        ]

    async def _push(self, guns: Iterable[Gun]) -> None:
        """Tell whoever watches a charging order that its connector has news: once a second, what came between late."""
        moment, news = time.monotonic(), []
        told, self.held = self.held.union(guns), set()
        for gun in told:
            if translate.connector_state(gun) != ConnectorState.CHARGING:
                continue
            if moment - gun.pushed_at < LIVE_EVERY_S:
                self.held.add(gun)
            elif number := translate.transaction_no(gun):
                gun.pushed_at = moment
                news.append((gun.session.schema, number))
        if news:
            await self._gateway.watchers.wake(news)


def _status_row(gun: Gun) -> tuple[Any, ...]:
    m, state = gun.last, translate.connector_state(gun).value
    if m is None:
        return (gun.connector_id, state, '""', *[0] * 9, gun.reported_at)
    return (
        gun.connector_id,
        state,
        translate.transaction_no(gun) or '""',
        m.output_voltage,
        m.output_current,
        m.soc,
        m.battery_max_temp,
        m.energy_kwh,
        m.amount,
        m.charge_minutes,
        m.remaining_minutes,
        m.hardware_fault,
        gun.reported_at,
    )
