"""PostgreSQL stops and comes back under a gateway that has work."""

from __future__ import annotations

from decimal import Decimal

from apps.orders.models import TransactionRecord
from apps.piles.models import Telemetry
from apps.piles.partitions import ensure_partitions
from tests.ykc_server.harness import (
    eventually,
    heartbeat,
    make_pile,
    number,
    realtime,
    record,
    run,
    running,
)
from ykc_server.ingest import RecordWriter
from ykc_server.telemetry import CopyWriter


def sample(index: int):
    return realtime(transaction_no=number(), status="charging", energy_kwh=f"{index}.0000")


async def _true(value: bool) -> bool:
    return value


def test_piles_do_not_notice_telemetry_is_bounded_and_records_are_confirmed_later(
    committed, database_server, monkeypatch
):
    monkeypatch.setattr(CopyWriter, "AGE_S", 0.0)
    monkeypatch.setattr(CopyWriter, "EVERY_S", 0.01)
    monkeypatch.setattr(CopyWriter, "LIMIT", 50)
    make_pile()
    ensure_partitions()
    sent = record()

    async def go():
        async with running() as host:
            counters = host.gateway.counters
            wire = await host.pile()
            wire.send(sample(0))
            await eventually(lambda: _true(counters["telemetry_stored"] == 1))
            database_server.stop()
            wire.send(sent)
            for index in range(1, 81):
                # The heartbeat is answered, and the record is not.
                await wire.silent(until=heartbeat(), answer="heartbeat_ack")
                wire.send(sample(index))
            await eventually(lambda: _true(counters["telemetry_dropped"] == 30))
            await wire.silent(until=heartbeat(), answer="heartbeat_ack")
            assert host.gateway.telemetry.waiting <= 50
            database_server.start()
            ack = await wire.expect("transaction_record_ack")
            assert (ack.transaction_no, ack.result) == (sent.transaction_no, 0)
            await eventually(lambda: _true(counters["telemetry_stored"] == 51))
            assert counters["telemetry_dropped"] == 30

    run(go())
    database_server.forget()
    stored = Telemetry.objects.order_by("energy_kwh").values_list("energy_kwh", flat=True)
    assert list(stored) == [Decimal(0), *(Decimal(index) for index in range(31, 81))]
    assert TransactionRecord.objects.get().times_received == 1


def test_a_record_that_waits_too_long_is_left_to_the_piles_repetition(
    committed, database_server, monkeypatch
):
    monkeypatch.setattr(RecordWriter, "KEEP_S", 0.0)
    monkeypatch.setattr(RecordWriter, "RETRY_S", 0.01)
    make_pile()
    sent = record()

    async def go():
        async with running() as host:
            wire = await host.pile()
            database_server.stop()
            wire.send(sent, heartbeat())
            await wire.expect("heartbeat_ack")
            await eventually(lambda: _true(host.gateway.records._idle.is_set()))
            database_server.start()
            wire.send(sent)
            await wire.expect("transaction_record_ack")

    run(go())
    database_server.forget()
    assert TransactionRecord.objects.get().times_received == 1
