"""What is stored: transaction records, one alone and many at once, and rows of telemetry."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import psycopg
from django.db import connection as django_connection

from apps.common.schema import schema_context
from apps.orders.models import TransactionRecord as RecordTable
from apps.piles.models import Connector, Telemetry, TelemetryKind
from apps.piles.partitions import ensure_partitions
from ykc_server.bench import load
from ykc_server.bench.goals import Result, percentile, ratio
from ykc_server.bench.load import PileClient
from ykc_server.bench.processes import Measured
from ykc_server.bench.rigged import insert
from ykc_server.bench.stage import Stage, undisturbed
from ykc_server.gateway import Gateway
from ykc_server.ingest import Record, database_arguments, make_row
from ykc_server.protocol import Dialect
from ykc_server.protocol.message import seal
from ykc_server.protocol.messages import TransactionRecord
from ykc_server.session import Session

PILES = 500
ALONE = 100
PAUSE_S = 0.02
"""Between records that are alone: what follows a record (it is announced to be settled) is not the next one's wait."""
BATCH = 1_000
BATCHES = 20
RECORDS = RecordTable._meta.db_table
KINDS = (TelemetryKind.REALTIME, TelemetryKind.DEMAND, TelemetryKind.BATTERY)


# --- Records ----------------------------------------------------------------------------------------------


def record_frame(code: str, number: bytes, sequence: bytes = b"\0\0") -> bytes:
    """0x3B of a pile."""
    return seal(sequence + b"\0\x3b" + number + _rest(code))


def _rest(code: str) -> bytes:
    values: dict[str, Any] = {
        "transaction_no": "0" * 32,
        "pile_no": code,
        "gun_no": "01",
        "start_time": "2026-11-23T15:00:00+08:00",
        "end_time": "2026-11-23T15:30:00+08:00",
        "meter_start": "100.0000",
        "meter_end": "110.0000",
        "total_kwh": "10.0000",
        "total_loss_kwh": "10.0000",
        "total_amount": "12.0000",
        "vin": "LSVAU2180N2183294",
        "start_mode": "app",
        "transaction_time": "2026-11-23T15:30:00+08:00",
        "stop_reason": 0x40,
        "physical_card_no": "0",
    }
    for rate_class in ("sharp", "peak", "flat", "valley"):
        energy, amount = ("10.0000", "12.0000") if rate_class == "flat" else ("0.0000", "0.0000")
        values |= {
            f"{rate_class}_price": "1.20000",
            f"{rate_class}_kwh": energy,
            f"{rate_class}_loss_kwh": energy,
            f"{rate_class}_amount": amount,
        }
    return TransactionRecord.make(**values).encode()[22:-2]


class Sender:
    """Piles that keep one record in flight each."""

    def __init__(self, stage: Stage, process: Measured) -> None:
        self.stage = stage
        self.process = process
        self.fleet = stage.fleet(process)
        self.confirmed = 0
        self.waits_ms: list[float] = []
        self._rests: dict[str, bytes] = {}
        self._sent: dict[PileClient, tuple[bytes, float]] = {}
        self._counter = time.time_ns() // 1_000_000
        self._going = False
        self._quiet = asyncio.Event()

    async def log_in(self, codes: list[str]) -> None:
        await self.fleet.dial(codes)
        await self.fleet.log_in()
        for pile in self.fleet.piles:
            pile.on_frame = self._frame
            self._rests[pile.code] = _rest(pile.code)
            pile.write(load.realtime(pile.code, charging=False).encode(b"\1\0"))  # else it is asked for one

    async def many(self, seconds: float) -> float:
        """Return records confirmed per second."""
        self._going = True
        before, began = self.confirmed, time.perf_counter()
        for pile in self.fleet.piles:
            self._send(pile)
        await asyncio.sleep(seconds)
        rate = (self.confirmed - before) / (time.perf_counter() - began)
        await self._stop()
        return rate

    async def alone(self, count: int) -> float:
        """Return the p50 of one record after another, ms."""
        self.waits_ms.clear()
        for _ in range(count):
            self._quiet.clear()
            self._send(self.fleet.piles[0])
            await self._stop()
            await asyncio.sleep(PAUSE_S)
        return percentile(self.waits_ms, 0.5)

    async def _stop(self) -> None:
        self._going = False
        try:
            async with asyncio.timeout(load.ANSWER_TIMEOUT_S):
                while self._sent:
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            self.stage.errors.missing += len(self._sent)
            self._sent.clear()

    def _send(self, pile: PileClient) -> None:
        self._counter += 1
        number = bytes.fromhex(f"{pile.code}{self._counter:018d}")
        self._sent[pile] = (number, time.perf_counter())
        pile.write(seal(b"\0\0\0\x3b" + number + self._rests[pile.code]))

    def _frame(self, pile: PileClient, frame: bytes) -> None:
        number, since = self._sent.pop(pile, (b"", 0.0))
        if frame[5] != 0x40 or frame[6:22] != number or frame[22] != 0:
            self.stage.errors.wrong += 1
            return
        self.confirmed += 1
        self.waits_ms.append((time.perf_counter() - since) * 1e3)
        if self._going:
            self._send(pile)
        elif not self._sent:
            self._quiet.set()


async def records(stage: Stage) -> list[Result]:
    """Records confirmed per second, against a writer that commits each alone; and one record alone."""
    many, alone, cpu_us = [], [], []
    await asyncio.to_thread(stage.empty, RECORDS)
    with stage.gateway() as gateway, stage.helper("rigged", "rows") as rows:
        ours, theirs = Sender(stage, gateway), Sender(stage, rows)
        await ours.log_in(stage.piles(PILES))
        await theirs.log_in(stage.piles(PILES, after=PILES))
        await gateway.quiet()
        with undisturbed():
            for turn in range(stage.rounds):
                other = await theirs.many(stage.seconds)
                confirmed, used = ours.confirmed, gateway.cpu_s()
                own = await ours.many(stage.seconds)
                cpu_us.append((gateway.cpu_s() - used) * 1e6 / max(ours.confirmed - confirmed, 1))
                many.append((own, other))
                stage.note(f"records {turn + 1}: {own:,.0f}/s against {other:,.0f}, {own / other:.2f} x")
                await gateway.quiet(5.0)
                count = stage.some(ALONE)
                lone = await stage.on_server_core(
                    lambda n=count: lone_inserts(stage.schema, ours.fleet.piles[0].code, n)
                )
                own = await ours.alone(count)
                alone.append((own, lone))
                stage.note(f"record alone {turn + 1}: p50 {own:.2f} ms, lone INSERT and COMMIT {lone:.2f} ms")
        stored = await asyncio.to_thread(stage.count, RECORDS)
        expected = ours.confirmed + theirs.confirmed + stage.rounds * stage.some(ALONE)
        stage.errors.missing += abs(expected - stored)
        stage.note(f"records: {stored} rows, {expected} confirmed or inserted")
        ours.fleet.close()
        theirs.fleet.close()
    await asyncio.to_thread(stage.empty, RECORDS)
    note = f"{statistics.median(cpu_us):.0f} µs CPU per record"
    return [ratio("records", many, note=note), ratio("record_alone", alone)]


def lone_inserts(schema: str, code: str, count: int) -> float:
    """Return the p50 of a plain INSERT with its COMMIT from this thread, ms."""
    session = SimpleNamespace(schema=schema, pile_code=code)
    waits = []
    with psycopg.connect(**database_arguments(), autocommit=True) as connection:
        for _ in range(count):
            frame = record_frame(code, bytes.fromhex(f"{code}{time.time_ns() // 1_000:018d}"))
            row = make_row(Record(None, session, frame, datetime.now(UTC), 0.0))
            statement = insert(schema, row)
            began = time.perf_counter()
            connection.execute(*statement)
            waits.append((time.perf_counter() - began) * 1e3)
            time.sleep(PAUSE_S)
    return percentile(waits, 0.5)


# --- Telemetry --------------------------------------------------------------------------------------------


class Rows:
    """Packs rows of telemetry as the handlers do, with a gateway that is not running."""

    def __init__(self, schema: str) -> None:
        with schema_context(schema):
            ensure_partitions()
            found = Connector.objects.order_by("id").values_list("id", "pile__pile_code")[:200]
            connectors = list(found)
        django_connection.close()
        self.schema = schema
        self.gateway = Gateway()
        self.guns = []
        for pk, code in connectors:
            session = Session(
                schema=schema, pile_id=0, pile_code=code, connection_id="", connectors=[(pk, "01")],
                prices=None, since=0.0, dialect=Dialect(),
            )  # fmt: skip
            self.guns += session.guns.values()
        self.frames = [_frames(gun.session.pile_code) for gun in self.guns]
        self._made = 0

    def pack(self, count: int) -> None:
        """Decode `count` frames and hand them to the writer."""
        from ykc_server.protocol import DECODE

        writer: Any = self.gateway.telemetry
        keep = (writer.realtime, writer.demand, writer.battery)
        for _ in range(count):
            place, which = divmod(self._made, 3)
            place %= len(self.guns)
            gun, frame = self.guns[place], self.frames[place][which]
            gun.reported_at = time.time()
            keep[which](gun, DECODE[frame[5]](frame))
            self._made += 1

    def objects(self, count: int) -> list[Telemetry]:
        """Return `count` rows of the same content as model instances."""
        made = []
        for index in range(count):
            gun = self.guns[index // 3 % len(self.guns)]
            made.append(_object(gun, KINDS[index % 3], self.frames[index // 3 % len(self.guns)][index % 3]))
        return made


def _frames(code: str) -> list[bytes]:
    realtime = load.realtime(code, charging=True, energy=100_000).encode(b"\0\0")
    return [realtime, load.battery(code, 0x23, b"\0\0"), load.battery(code, 0x25, b"\0\0")]


def _object(gun: Any, kind: TelemetryKind, frame: bytes) -> Telemetry:
    from ykc_server.protocol import DECODE

    m: Any = DECODE[frame[5]](frame)
    values: dict[str, Any] = {"transaction_no": m.value("transaction_no")}
    if kind == TelemetryKind.REALTIME:
        values |= {
            "voltage_v": m.value("output_voltage"),
            "current_a": m.value("output_current"),
            "soc_percent": m.soc,
            "remaining_minutes": m.remaining_minutes,
            "energy_kwh": m.value("energy_kwh"),
            "amount_yuan": m.value("amount"),
            "max_temp_c": m.value("battery_max_temp"),
        }
    elif kind == TelemetryKind.DEMAND:
        values |= {
            "voltage_v": m.value("bms_voltage"),
            "current_a": abs(m.value("bms_current")),
            "soc_percent": m.soc,
            "remaining_minutes": m.remaining_minutes,
            "demand_voltage_v": m.value("demand_voltage"),
            "demand_current_a": abs(m.value("demand_current")),
        }
    else:
        values |= {
            "max_temp_c": m.value("max_battery_temp"),
            "min_temp_c": m.value("min_battery_temp"),
            "status_bits": m.status_bits,
        }
    return Telemetry(connector_id=gun.connector_id, kind=kind, at=datetime.now(UTC), **values)


async def telemetry(stage: Stage) -> list[Result]:
    """Rows stored per second, each from its frame on, in batches of a thousand, against the ORM's bulk_create."""
    rows = await asyncio.to_thread(Rows, stage.schema)
    await asyncio.to_thread(stage.empty, Telemetry._meta.db_table)
    batches = stage.some(BATCHES)
    measured, cpu_us = [], []
    for turn in range(stage.rounds):
        other = await stage.on_server_core(lambda: _bulk_create(rows, max(batches // 4, 1)))
        own, used_us = await stage.on_server_core(lambda: _copy(rows, batches))
        measured.append((own, other))
        cpu_us.append(used_us)
        stage.note(
            f"telemetry {turn + 1}: {own:,.0f} rows/s against {other:,.0f}, {used_us:.1f} µs CPU per row"
        )
    expected = stage.rounds * BATCH * (batches + max(batches // 4, 1))
    stage.errors.missing += abs(expected - await asyncio.to_thread(stage.count, Telemetry._meta.db_table))
    await asyncio.to_thread(stage.empty, Telemetry._meta.db_table)
    note = f"{statistics.median(cpu_us):.1f} µs CPU per row with its decoding"
    return [replace(ratio("telemetry", measured), note=note)]


def _copy(rows: Rows, batches: int) -> tuple[float, float]:
    async def run() -> tuple[float, float]:
        rows.gateway = Gateway()
        rows.pack(BATCH)
        await rows.gateway.telemetry.flush()  # opens the connection
        began, used = time.perf_counter(), time.thread_time()
        for _ in range(batches - 1):
            rows.pack(BATCH)
            await rows.gateway.telemetry.flush()
        lasted, used = time.perf_counter() - began, time.thread_time() - used
        await rows.gateway.telemetry.close()
        return max(batches - 1, 1) * BATCH / lasted, used * 1e6 / (max(batches - 1, 1) * BATCH)

    return asyncio.run(run())


def _bulk_create(rows: Rows, batches: int) -> float:
    with schema_context(rows.schema):
        Telemetry.objects.count()
        began = time.perf_counter()
        for _ in range(batches):
            Telemetry.objects.bulk_create(rows.objects(BATCH))
        lasted = time.perf_counter() - began
    django_connection.close()
    return batches * BATCH / lasted
