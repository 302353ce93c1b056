"""Partitions: made for this and the next month, dropped when old, the same from every side."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection

from apps.common.schema import schema_context
from apps.common.time import SHANGHAI
from apps.piles import partitions
from apps.piles.models import RawFrame, Telemetry
from apps.piles.partitions import ensure_partitions, keep_partitions, partitions_of

TELEMETRY, FRAMES = "piles_telemetry", "piles_rawframe"


@pytest.fixture(autouse=True)
def none_yet(tenant):
    for table in partitions.TABLES:
        for name in partitions_of(table):
            with connection.cursor() as cursor:
                cursor.execute(f"drop table {name}")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=SHANGHAI)


def a_row(moment: datetime) -> None:
    Telemetry.objects.create(at=moment, connector_id=1, kind=0x13, transaction_no="1")


def a_frame(moment: datetime, number: int = 1) -> None:
    RawFrame.objects.create(
        at=moment, pile_code="1", number=number, connection_id="", is_down=False, verdict="ok", frame=b"h"
    )


def test_this_and_the_next_month_are_made_once():
    assert ensure_partitions(at=at(2026, 12, 31, 23, 59, 59)) == [
        "piles_telemetry_202612",
        "piles_telemetry_202701",
        "piles_rawframe_202612",
        "piles_rawframe_202701",
    ]
    assert ensure_partitions(at=at(2026, 12, 1)) == []
    assert ensure_partitions(at=at(2027, 1, 1)) == ["piles_telemetry_202702", "piles_rawframe_202702"]


def test_months_are_those_of_shanghai_and_meet_without_a_gap():
    ensure_partitions(at=at(2026, 11, 5))
    for moment in (at(2026, 11, 1), at(2026, 12, 1) - timedelta(microseconds=1), at(2026, 12, 1)):
        a_row(moment)
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from piles_telemetry_202611")
        assert cursor.fetchone() == (2,)
        cursor.execute("select count(*) from piles_telemetry_202612")
        assert cursor.fetchone() == (1,)


def test_rows_are_found_by_their_transaction_through_an_index():
    ensure_partitions(at=at(2026, 11, 5))
    with connection.cursor() as cursor:
        cursor.execute("select indexdef from pg_indexes where tablename = 'piles_telemetry_202611' and schemaname = %s",
                       [connection.schema_name])  # fmt: skip
        (definition,) = cursor.fetchone()
    assert definition.endswith("(transaction_no, at)")


def test_what_is_older_than_the_tenant_wants_is_dropped(tenant):
    tenant.telemetry_months, tenant.frame_days = 2, 7
    tenant.save()
    for month in (7, 8, 9, 10):
        ensure_partitions(at=at(2026, month, 1))
    for month in (8, 9, 10):
        a_row(at(2026, month, 1))
    a_frame(at(2026, 10, 31))
    a_frame(at(2026, 11, 1))
    a_frame(at(2026, 11, 8, 11))
    a_frame(at(2026, 11, 8, 12))
    kept = keep_partitions(at=at(2026, 11, 15, 12))
    assert kept.made == ["piles_telemetry_202612", "piles_rawframe_202612"]
    assert kept.dropped == [
        "piles_telemetry_202607",
        "piles_telemetry_202608",
        "piles_rawframe_202607",
        "piles_rawframe_202608",
        "piles_rawframe_202609",
        "piles_rawframe_202610",
    ]
    assert kept.frames_deleted == 2
    assert list(Telemetry.objects.order_by("at").values_list("at", flat=True)) == [
        at(2026, 9, 1),
        at(2026, 10, 1),
    ]
    assert list(RawFrame.objects.values_list("at", flat=True)) == [at(2026, 11, 8, 12)]
    again = keep_partitions(at=at(2026, 11, 15, 12))
    assert (again.made, again.dropped, again.frames_deleted) == ([], [], 0)


def test_a_frame_month_stays_while_one_of_its_days_is_wanted(tenant):
    tenant.frame_days = 7
    tenant.save()
    ensure_partitions(at=at(2026, 10, 1))
    assert "piles_rawframe_202610" not in keep_partitions(at=at(2026, 11, 7, 23)).dropped
    assert "piles_rawframe_202610" in keep_partitions(at=at(2026, 11, 8)).dropped


def test_a_new_tenant_has_none(other_tenant):
    with schema_context(other_tenant.schema_name):
        ensure_partitions(at=at(2026, 11, 5))
        assert len(partitions_of(TELEMETRY)) == 2
    assert partitions_of(TELEMETRY) == []
    with schema_context("tenant_template"):
        assert partitions_of(TELEMETRY) == []


def test_the_command_names_each_tenant_and_what_it_did(capsys):
    call_command("keep_partitions", "--tenant", "alpha")
    assert partitions_of(FRAMES)
    out = capsys.readouterr().out
    assert out.startswith("alpha: 4 made, 0 dropped, 0 old frames deleted\n")
    call_command("keep_partitions", "--json")
    answer = '{"tenant": "alpha", "dry_run": false, "made": [], "dropped": [], "frames_deleted": 0}'
    assert answer in capsys.readouterr().out
