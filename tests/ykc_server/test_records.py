"""Transaction records: stored before 0x40, each once, whatever happens to connections, tenants or the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace

import pytest

from apps.orders.enums import RecordState
from apps.orders.models import TransactionRecord
from apps.piles.enums import AlarmKind
from apps.piles.models import Alarm
from apps.piles.reports import TransactionReport
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    drop_connections,
    eventually,
    heartbeat,
    locked,
    make_pile,
    number,
    record,
    run,
    running,
)
from ykc_server import ingest
from ykc_server.ingest import Record, make_row
from ykc_server.protocol import BY_NAME
from ykc_server.protocol.message import seal


def rows(**filters):
    return lambda: list(TransactionRecord.objects.filter(**filters).order_by("id"))


def test_a_record_is_stored_and_confirmed(committed):
    make_pile()
    sent = record(sequence=b"\xaa\x68")

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(sent)
            ack = await wire.expect("transaction_record_ack")
            assert (ack.transaction_no, ack.result, ack.sequence) == (sent.transaction_no, 0, b"\xaa\x68")
            return (await host.query(committed.schema_name, rows()))[0]

    stored = run(go())
    assert (stored.transaction_no, stored.pile_code, stored.connector_no) == (number(), CODE, "01")
    assert (stored.connection_pile_code, stored.protocol, stored.frame_type) == (CODE, "ykc", 0x3B)
    assert bytes(stored.body) == sent.encode()[6:-2]
    report = TransactionReport.from_json(stored.report)
    assert str(report.total_energy_kwh) == "10.0000"
    assert report.start_time == datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
    assert {name: str(period.energy_kwh) for name, period in report.periods.items()} == {
        "sharp": "0.0000",
        "peak": "10.0000",
        "flat": "0.0000",
        "valley": "0.0000",
    }
    assert (report.stop_code, report.vin, report.start_mode) == ("40", "LSVAU2180N2183294", 1)
    assert stored.times_received == 1


def test_a_record_that_is_repeated_because_its_confirmation_was_lost(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            confirm = host.gateway.records._confirm
            # The connection is cut between COMMIT and 0x40.
            host.gateway.records._confirm = lambda records: (wire.close(), confirm(records))
            wire.send(record())
            await host.until(committed.schema_name, rows())
            host.gateway.records._confirm = confirm
            again = await host.pile()
            again.send(record())
            assert (await again.expect("transaction_record_ack")).value("transaction_no") == number()
            return await host.query(committed.schema_name, rows())

    (stored,) = run(go())
    assert stored.times_received == 2


def test_the_same_record_at_the_same_instant_on_two_connections(committed):
    """Two gateway processes store the same two records in opposite order."""
    make_pile()
    make_pile(OTHER_CODE)
    mine, foreign = record(), record(counter=2)

    async def go():
        async with running() as one, running() as other:
            first, second = await one.pile(), await other.pile(OTHER_CODE)
            for _ in range(20):
                first.send(mine, foreign)
                second.send(foreign, mine)
                for wire in (first, second, first, second):
                    await wire.expect("transaction_record_ack")
            return await one.query(committed.schema_name, rows())

    stored = run(go())
    assert {(row.transaction_no, row.times_received) for row in stored} == {
        (number(), 40),
        (number(counter=2), 40),
    }


def test_one_record_twice_in_one_read(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(record(), record(), heartbeat())
            names = sorted([(await wire.receive()).spec.name for _ in range(3)])
            assert names == ["heartbeat_ack", "transaction_record_ack", "transaction_record_ack"]
            return await host.query(committed.schema_name, rows())

    (stored,) = run(go())
    assert stored.times_received == 2


def test_a_record_for_another_tenants_pile(committed, other_tenant):
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(record(OTHER_CODE))
            assert (await wire.expect("transaction_record_ack")).result == 0
            alarm = await host.until(
                committed.schema_name, lambda: Alarm.objects.filter(kind=AlarmKind.FOREIGN_RECORD).first()
            )
            assert (alarm.pile_code, alarm.subject) == (CODE, number(OTHER_CODE))
            assert await host.query(other_tenant.schema_name, rows()) == []
            return await host.query(committed.schema_name, rows())

    (stored,) = run(go())
    assert (stored.pile_code, stored.connection_pile_code) == (OTHER_CODE, CODE)
    assert (stored.state, stored.reason) == (RecordState.QUARANTINED, "foreign_pile")


def test_a_piles_own_record_counts_although_another_pile_sent_it_first(committed):
    make_pile()
    make_pile(OTHER_CODE)
    sent = record(OTHER_CODE)

    async def go():
        async with running() as host:
            another, own = await host.pile(), await host.pile(OTHER_CODE)
            another.send(sent)
            await another.expect("transaction_record_ack")
            (before,) = await host.query(committed.schema_name, rows())
            own.send(sent)
            await own.expect("transaction_record_ack")
            another.send(sent)
            await another.expect("transaction_record_ack")
            return before, *await host.query(committed.schema_name, rows())

    before, stored = run(go())
    assert (before.reason, before.connection_pile_code) == ("foreign_pile", CODE)
    assert (stored.connection_pile_code, stored.times_received) == (OTHER_CODE, 3)
    assert stored.reason in {"", "unknown_transaction"}  # before it was settled, or after
    assert stored.received_at > before.received_at


@pytest.mark.parametrize("own_first", [True, False])
def test_of_two_that_come_at_once_the_piles_own_is_stored(own_first):
    frame = record(OTHER_CODE).encode()
    pairs = []
    for code in (OTHER_CODE, CODE) if own_first else (CODE, OTHER_CODE):
        session = SimpleNamespace(pile_code=code)
        came = Record(None, session, frame, datetime.now(UTC), 0.0)
        pairs.append((came, make_row(came)))
    _query, values = ingest.RecordWriter._statement(None, "alpha", pairs)
    stored = dict(zip(ingest.RECORD_COLUMNS, values, strict=True))
    assert (stored["connection_pile_code"], stored["reason"], stored["times"]) == ([OTHER_CODE], [""], [2])


def test_records_that_cannot_be_read(committed):
    """With a transaction number they are answered 00, without one not; all are kept as bytes."""
    make_pile()
    whole = record().encode()[6:-2]

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(seal(b"\x01\0\0\x3b" + whole[:15]))
            await host.until(committed.schema_name, rows(transaction_no=""))
            wire.send(seal(b"\x02\0\0\x3b" + whole[:16]))
            assert (await wire.expect("transaction_record_ack")).sequence == b"\x02\0"
            wire.send(seal(b"\x03\0\0\x3b" + whole[:60]))
            assert (await wire.expect("transaction_record_ack")).result == 0
            return await host.query(committed.schema_name, rows())

    stored = run(go())
    assert [(row.state, row.reason) for row in stored] == [(RecordState.QUARANTINED, "undecodable")] * 3
    assert [row.transaction_no for row in stored] == ["", number(), number()]
    assert [len(bytes(row.body)) for row in stored] == [15, 16, 60]


def test_five_prices_and_the_record_of_v17(committed):
    """Known by length and by type; a pile that sent five prices knows a fifth rate class from then on."""
    make_pile()
    plain = record()
    values = {name: field.json(getattr(plain, name)) for name, field in plain.spec.fields.items()}
    five = {f"deep_valley_{name}": "1.0000" for name in ("price", "kwh", "loss_kwh", "amount")}
    meter = {"meter_no": "1", "meter_cipher": "0", "meter_protocol_version": "0", "meter_encryption": 0}
    messages = [
        BY_NAME["transaction_record_five_prices"].make(**values | five),
        BY_NAME["transaction_record_v17"].make(**values | meter),
    ]

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(*messages)
            await wire.expect("transaction_record_ack")
            await wire.expect("transaction_record_ack")
            return await host.query(committed.schema_name, rows())

    stored = {row.frame_type: row for row in run(go())}
    five_classes = TransactionReport.from_json(stored[0x3B].report).periods
    assert set(five_classes) == {"sharp", "peak", "flat", "valley", "deep_valley"}
    assert five_classes["deep_valley"].energy_kwh == Decimal("1.0000")
    report = TransactionReport.from_json(stored[0x3D].report)
    assert (str(report.meter_end), set(report.periods)) == ("110.0000", {"sharp", "peak", "flat", "valley"})


def test_a_locked_tenant_does_not_stop_another(committed, other_tenant):
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)

    async def go():
        async with running() as host:
            blocked, free = await host.pile(), await host.pile(OTHER_CODE)
            with locked(committed.schema_name, "orders_transactionrecord"):
                blocked.send(record())
                free.send(record(OTHER_CODE))
                assert (await free.expect("transaction_record_ack")).value("transaction_no") == number(
                    OTHER_CODE
                )
                await blocked.silent(until=heartbeat(), answer="heartbeat_ack")
            # Not stored, so not confirmed: the pile repeats it.
            blocked.send(record())
            await blocked.expect("transaction_record_ack")
            return await host.query(committed.schema_name, rows())

    assert len(run(go())) == 1


def test_a_value_that_the_database_refuses_does_not_stop_another(committed, other_tenant, monkeypatch):
    """A NUL in the decoded record: it is kept as bytes, the others of the batch as what they are."""
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)

    def with_nul(one: Record) -> ingest.Row:
        row = make_row(one)
        if row.transaction_no == number(counter=2):
            row.report = '{"vin": "\\u0000"}'
        return row

    monkeypatch.setattr(ingest, "make_row", with_nul)

    async def go():
        async with running() as host:
            mine, theirs = await host.pile(), await host.pile(OTHER_CODE)
            mine.send(record(), record(counter=2), record(counter=3))
            theirs.send(record(OTHER_CODE))
            acks = [(await mine.expect("transaction_record_ack")).value("transaction_no") for _ in range(3)]
            assert sorted(acks) == [number(counter=n) for n in (1, 2, 3)]
            await theirs.expect("transaction_record_ack")
            return await host.query(committed.schema_name, rows())

    stored = {row.transaction_no: row for row in run(go())}
    bad = stored[number(counter=2)]
    assert (bad.state, bad.reason, bad.report) == (RecordState.QUARANTINED, "undecodable", None)
    assert bytes(bad.body) == record(counter=2).encode()[6:-2]
    assert {row.reason for key, row in stored.items() if key != bad.transaction_no}.isdisjoint(
        {"undecodable"}
    )


def test_records_and_states_outlive_the_loss_of_the_database_connection(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(record())
            await wire.expect("transaction_record_ack")
            drop_connections(host.started)
            wire.send(record(counter=2))
            await wire.expect("transaction_record_ack")
            return await host.until(committed.schema_name, rows(transaction_no=number(counter=2)))

    run(go())


def test_a_burst_of_records_is_stored_in_few_batches(committed):
    for index in range(20):
        make_pile(f"{32_010_600_000_000 + index}")

    async def go():
        async with running() as host:
            codes = [f"{32_010_600_000_000 + index}" for index in range(20)]
            wires = [await host.pile(code) for code in codes]
            for wire, code in zip(wires, codes, strict=True):
                wire.send(*[record(code, counter) for counter in range(1, 11)])
            for wire in wires:
                for _ in range(10):
                    await wire.expect("transaction_record_ack")
            return await host.query(committed.schema_name, TransactionRecord.objects.count)

    assert run(go()) == 200


def test_stop_confirms_what_was_received(committed):
    make_pile()

    async def go():
        async with running() as host:
            wire = await host.pile()
            with locked(committed.schema_name, "orders_transactionrecord"):
                wire.send(record())
                await eventually(lambda: _true(not host.gateway.records._idle.is_set()))
                stopping = asyncio.create_task(host.gateway.stop())
                await asyncio.sleep(0)
            await stopping
            await wire.expect("transaction_record_ack")

    run(go())


async def _true(value):
    return value


@pytest.mark.parametrize("more", [1, 15, 17])
def test_bytes_after_a_record_are_kept_with_it(committed, more):
    make_pile()
    longer = record()
    longer.extra = bytes(more)

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(longer)
            await wire.expect("transaction_record_ack")
            return await host.query(committed.schema_name, rows())

    (stored,) = run(go())
    assert stored.reason != "undecodable"
    assert len(bytes(stored.body)) == 158 + more
