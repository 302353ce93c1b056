"""`manage.py settle`: what becomes of stored records, said in words, in JSON and by exit codes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from apps.orders.enums import OrderState, RecordState
from apps.orders.models import Order, TransactionRecord
from apps.piles.models import Alarm
from apps.wallet.models import JournalEntry
from tests import factories


@pytest.fixture
def backlog(tenant: Any) -> list[TransactionRecord]:
    """A record to settle, one that the audit holds, and one that nobody knows."""
    first, second, third = (factories.a_charging_order() for _ in range(3))
    backwards = {"meter_start": Decimal("1010.0000"), "meter_end": Decimal("1000.0000")}
    return [
        factories.a_record(first, {"flat": "10.0000"}),
        factories.a_record(second, {"flat": "10.0000"}, **backwards),
        factories.a_record(third, {"flat": "10.0000"}, transaction_no="9" * 32),
    ]


def lines(capsys: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def states() -> list[str]:
    return list(TransactionRecord.objects.order_by("id").values_list("state", flat=True))


EXPECTED = [("settled", "12.00", ""), ("held", None, ""), ("quarantined", None, "unknown_transaction")]


def test_each_record_is_worked_off(backlog: list[TransactionRecord], capsys: Any) -> None:
    call_command("settle", "--tenant", "alpha", "--json")
    *records, sums = lines(capsys)
    assert [(one["result"], one["payable"], one["detail"]) for one in records] == EXPECTED
    assert [one["transaction_no"] for one in records] == [record.transaction_no for record in backlog]
    assert records[0]["order_no"] == Order.objects.get(state=OrderState.COMPLETED).order_no
    assert sums == {
        "tenant": "t_alpha",
        "dry_run": False,
        "sums": {"settled": 1, "held": 1, "quarantined": 1},
    }
    assert states() == [RecordState.SETTLED, RecordState.HELD, RecordState.QUARANTINED]
    call_command("settle", "--tenant", "alpha")
    assert "t_alpha: nothing to settle" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(backlog: list[TransactionRecord], capsys: Any) -> None:
    before = (
        JournalEntry.objects.count(),
        Alarm.objects.count(),
        list(Order.objects.values().order_by("id")),
    )
    call_command("settle", "--tenant", "alpha", "--dry-run", "--json")
    *records, sums = lines(capsys)
    assert [(one["result"], one["payable"], one["detail"]) for one in records] == EXPECTED
    assert sums["dry_run"] is True
    assert states() == [RecordState.STORED] * 3
    after = (JournalEntry.objects.count(), Alarm.objects.count(), list(Order.objects.values().order_by("id")))
    assert after == before
    call_command("settle", "--tenant", "alpha", "--dry-run")
    assert "t_alpha: 1 held, 1 quarantined, 1 settled (dry run)" in capsys.readouterr().out


def test_a_record_that_cannot_be_read_stops_no_other(backlog: list[TransactionRecord], capsys: Any) -> None:
    TransactionRecord.objects.filter(pk=backlog[0].pk).update(report={"garbage": True})
    with pytest.raises(SystemExit) as stop:
        call_command("settle", "--tenant", "alpha", "--json")
    assert stop.value.code == 1
    *records, sums = lines(capsys)
    assert [one["result"] for one in records] == ["error", "held", "quarantined"]
    assert sums["sums"] == {"error": 1, "held": 1, "quarantined": 1}
    assert states() == [RecordState.STORED, RecordState.HELD, RecordState.QUARANTINED]


def test_limit_and_tenants(backlog: list[TransactionRecord], capsys: Any) -> None:
    with pytest.raises(CommandError) as error:
        call_command("settle", "--tenant", "nobody")
    assert error.value.returncode == 2
    call_command("settle", "--limit", "1")
    out = capsys.readouterr().out
    assert "t_alpha: 1 settled" in out
    assert "t_beta: nothing to settle" in out
    assert states() == [RecordState.SETTLED, RecordState.STORED, RecordState.STORED]
