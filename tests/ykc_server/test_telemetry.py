"""Telemetry: every row of a charging gun stored, buffers bounded, one tenant's trouble never another's."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles import partitions
from apps.piles.models import Telemetry
from tests.ykc_server.harness import (
    CODE,
    OTHER_CODE,
    drop_connections,
    heartbeat,
    locked,
    make_pile,
    number,
    realtime,
    run,
    running,
)
from ykc_server.protocol.messages import BmsDemand, BmsInfo
from ykc_server.telemetry import CopyWriter, TelemetryWriter


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(CopyWriter, "AGE_S", 0.0)
    monkeypatch.setattr(CopyWriter, "EVERY_S", 0.01)
    monkeypatch.setattr(CopyWriter, "REST_S", 0.05)
    monkeypatch.setattr(CopyWriter, "RETRY_S", 0.02)


def charging(code: str = CODE, **changes):
    values = {
        "transaction_no": number(code),
        "status": "charging",
        "gun_plugged": "yes",
        "output_voltage": "655.3",
        "output_current": "120.9",
        "soc": 57,
        "battery_max_temp": -5,
        "remaining_minutes": 65_535,
        "energy_kwh": "429496.7295",
        "loss_energy_kwh": "12.3456",
        "amount": "0.0001",
    }
    return realtime(code, **values | changes)


def demand(code: str = CODE, **changes):
    values = {
        "transaction_no": number(code),
        "pile_no": code,
        "gun_no": "01",
        "demand_voltage": "750.0",
        "demand_current": "-250.5",
        "charge_mode": 2,
        "bms_voltage": "6553.5",
        "bms_current": "74.2",
        "max_cell_voltage_group": 0,
        "soc": 100,
        "remaining_minutes": 17,
        "pile_voltage": "748.1",
        "pile_current": "73.9",
        "charge_minutes": 3,
    }
    return BmsDemand.make(**values | changes)


def battery(code: str = CODE, **changes):
    values = {
        "transaction_no": number(code),
        "pile_no": code,
        "gun_no": "01",
        "max_cell_no": 8,
        "max_battery_temp": 41,
        "max_temp_point": 2,
        "min_battery_temp": None,
        "min_temp_point": 3,
        "status_bits": 0x1041,
    }
    return BmsInfo.make(**values | changes)


COLUMNS = [field.attname for field in Telemetry._meta.concrete_fields if field.attname not in ("at", "pk")]


def rows(**filters):
    return lambda: list(Telemetry.objects.filter(**filters).order_by("at", "kind").values(*COLUMNS))


def count(**filters):
    return lambda: Telemetry.objects.filter(**filters).count()


def drop_partitions(schema: str) -> None:
    with schema_context(schema), connection.cursor() as cursor:
        for table in partitions.TABLES:
            for name in partitions.partitions_of(table):
                cursor.execute(f"drop table {schema}.{name}")


def test_each_kind_of_row_is_stored_as_it_was_sent(committed):
    connector = make_pile().connectors.get()

    async def go():
        async with running() as host:
            wire = await host.pile()
            before = now()
            wire.send(charging(), demand(), battery(), realtime(transaction_no=number()))
            stored = await host.until(
                committed.schema_name, lambda: found if len(found := rows()()) == 3 else None
            )
            at = await host.query(
                committed.schema_name, lambda: list(Telemetry.objects.values_list("at", flat=True))
            )
            assert all(before - timedelta(milliseconds=1) <= moment <= now() for moment in at)
            assert host.gateway.counters["telemetry_stored"] == 3
            return {row["kind"]: row for row in stored}

    stored = run(go())
    nothing = dict.fromkeys(COLUMNS) | {"connector_id": connector.pk, "transaction_no": number()}
    assert stored == {
        0x13: nothing
        | {
            "kind": 0x13,
            "voltage_v": Decimal("655.3"),
            "current_a": Decimal("120.9"),
            "soc_percent": 57,
            "energy_kwh": Decimal("429496.7295"),
            "amount_yuan": Decimal("0.0001"),
            "max_temp_c": -5,
            "remaining_minutes": 65_535,
        },
        0x23: nothing
        | {
            "kind": 0x23,
            "voltage_v": Decimal("6553.5"),
            "current_a": Decimal("74.2"),
            "soc_percent": 100,
            "demand_voltage_v": Decimal("750.0"),
            "demand_current_a": Decimal("250.5"),
            "remaining_minutes": 17,
        },
        0x25: nothing | {"kind": 0x25, "max_temp_c": 41, "min_temp_c": None, "status_bits": 0x1041},
    }


def test_a_row_belongs_to_the_charge_and_gun_that_its_frame_names(committed):
    pile = make_pile(guns=2)
    by_no = dict(pile.connectors.values_list("connector_no", "pk"))

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(
                charging(battery_max_temp=None),
                demand(gun_no="02", transaction_no=number(counter=2)),
                battery(transaction_no=number(counter=3)),
                demand(gun_no="09"),
                battery(OTHER_CODE),
                heartbeat(),
            )
            await wire.expect("heartbeat_ack")
            stored = await host.until(
                committed.schema_name, lambda: found if len(found := rows()()) == 3 else None
            )
            assert host.gateway.counters["unknown_gun"] == 1
            assert host.gateway.counters["foreign_pile"] == 1
            return stored

    stored = run(go())
    assert {
        (row["kind"], row["connector_id"], row["transaction_no"], row["max_temp_c"]) for row in stored
    } == {
        (0x13, by_no["01"], number(), None),
        (0x23, by_no["02"], number(counter=2), None),
        (0x25, by_no["01"], number(counter=3), 41),
    }


def test_a_month_without_a_partition_gets_one(committed, other_tenant):
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)
    partitions.ensure_partitions()
    drop_partitions(other_tenant.schema_name)

    async def go():
        async with running() as host:
            wire, other = await host.pile(), await host.pile(OTHER_CODE)
            wire.send(charging())
            other.send(charging(OTHER_CODE), demand(OTHER_CODE))
            await host.until(committed.schema_name, count())
            await host.until(other_tenant.schema_name, lambda: count()() == 2)
            assert host.gateway.counters["telemetry_stored"] == 3

    run(go())
    with schema_context(other_tenant.schema_name):
        assert f"piles_telemetry_{now():%Y%m}" in partitions.partitions_of("piles_telemetry")


def test_one_tenants_locked_table_does_not_stop_anothers(committed, other_tenant):
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)
    partitions.ensure_partitions()
    with schema_context(other_tenant.schema_name):
        partitions.ensure_partitions()

    async def go():
        async with running() as host:
            wire, other = await host.pile(), await host.pile(OTHER_CODE)
            with locked(other_tenant.schema_name, "piles_telemetry"):
                other.send(charging(OTHER_CODE))
                wire.send(charging())
                await host.until(committed.schema_name, count())
                wire.send(demand())
                await host.until(committed.schema_name, lambda: count()() == 2)
                assert host.gateway.telemetry.waiting == 1
            await host.until(other_tenant.schema_name, count())
            assert host.gateway.counters["telemetry_stored"] == 3
            assert host.gateway.counters["telemetry_dropped"] == 0

    run(go())


def test_a_lost_connection_loses_no_row(committed):
    make_pile()
    partitions.ensure_partitions()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(charging())
            await host.until(committed.schema_name, count())
            drop_connections(host.started)
            wire.send(demand(), battery())
            await host.until(committed.schema_name, lambda: count()() == 3)

    run(go())


def test_stopping_stores_what_waits(committed, monkeypatch):
    monkeypatch.setattr(CopyWriter, "AGE_S", 60.0)
    make_pile()
    partitions.ensure_partitions()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(charging(), heartbeat())
            await wire.expect("heartbeat_ack")
            assert host.gateway.telemetry.waiting == 1

    run(go())
    assert count()() == 1


def test_a_thousand_rows_do_not_wait_for_the_clock(committed, monkeypatch):
    monkeypatch.setattr(CopyWriter, "AGE_S", 60.0)
    make_pile()
    partitions.ensure_partitions()

    async def go():
        async with running() as host:
            wire = await host.pile()
            wire.send(*[battery()] * 999, heartbeat())
            await wire.expect("heartbeat_ack")
            assert host.gateway.telemetry.waiting == 999
            wire.send(battery())
            await host.until(committed.schema_name, lambda: count()() == 1_000)

    run(go())


def test_beyond_the_limit_the_oldest_of_the_fullest_tenant_go(committed, monkeypatch):
    """The writer itself: three tenants, room for ten rows."""
    monkeypatch.setattr(CopyWriter, "LIMIT", 10)

    async def go():
        async with running() as host:
            writer = TelemetryWriter(host.gateway)
            for schema, size in (("a", 9), ("b", 7), ("c", 2)):
                writer.rows[schema] += [f"{schema}{index}".encode() for index in range(size)]
            writer._drop_excess()
            assert host.gateway.counters["telemetry_dropped"] == 8
            return dict(writer.rows)

    left = run(go())
    assert left == {"a": [b"a5", b"a6", b"a7", b"a8"], "b": [b"b3", b"b4", b"b5", b"b6"], "c": [b"c0", b"c1"]}


def test_stopping_ends_although_a_tenant_is_locked_or_has_no_partition(committed, other_tenant, monkeypatch):
    monkeypatch.setattr(CopyWriter, "AGE_S", 60.0)
    monkeypatch.setattr(CopyWriter, "REST_S", 60.0)
    make_pile()
    make_pile(OTHER_CODE, schema=other_tenant.schema_name)
    drop_partitions(committed.schema_name)
    with schema_context(other_tenant.schema_name):
        partitions.ensure_partitions()

    async def go():
        async with running() as host:
            wire, other = await host.pile(), await host.pile(OTHER_CODE)
            wire.send(charging(), heartbeat())
            other.send(charging(OTHER_CODE), heartbeat(OTHER_CODE))
            await wire.expect("heartbeat_ack")
            await other.expect("heartbeat_ack")
            with locked(other_tenant.schema_name, "piles_telemetry"):
                async with asyncio.timeout(3):
                    await host.gateway.telemetry.flush()
            assert len(host.gateway.telemetry.rows[other_tenant.schema_name]) == 1

    run(go())
    assert count()() == 1
