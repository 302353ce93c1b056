"""The nightly check, closing by command, and the export of the journal."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.common.ids import Actor
from apps.common.time import SHANGHAI, business_day, now
from apps.orders import closing, tasks
from apps.wallet import books
from apps.wallet.models import DayClosing, JournalEntry, LedgerCheck, Wallet
from tests import factories

pytestmark = pytest.mark.usefixtures("tenant")


def days_ago(number: int):
    return business_day(now()) - timedelta(days=number)


def top_up(customer, amount, back):
    day = days_ago(back)
    return factories.top_up(
        customer, amount, at=datetime(day.year, day.month, day.day, 9, 30, tzinfo=SHANGHAI)
    )


@pytest.fixture
def history():
    customer = factories.a_customer("0")
    return customer, [top_up(customer, f"{back + 1}.00", back) for back in (5, 4, 2, 0)]


def damage():
    Wallet.objects.update(principal=999)


def closed():
    return sorted(DayClosing.objects.values_list("day", flat=True))


def until_two_days_ago():
    """Yesterday can be closed only from ten minutes after midnight on: the tests run at any hour."""
    return days_ago(2)


def test_clean_books_are_checked_and_closed(history):
    check, days = closing.close_books(until=until_two_days_ago())
    assert (check.differences, check.found, check.totals["entries"]) == (0, [], "4")
    assert [closing.day for closing in days] == closed() == [days_ago(n) for n in (5, 4, 3, 2)]


def test_books_with_differences_stay_open_and_raise_an_alarm(history):
    damage()
    check, days = closing.close_books(actor=Actor("staff", "1", "王"))
    assert (days, check.differences, check.asked_by) == ([], 1, "王")
    assert check.found[0]["check"] == "wallet differs from its accounts"
    assert check.found[0]["figures"]["principal"] == "999.00"
    assert closed() == []


def test_the_nightly_task_works_once_a_night(history):
    tasks.close_books()
    assert LedgerCheck.objects.count() == 1
    assert closed()[-1] == books.closable_until()
    tasks.close_books()
    assert LedgerCheck.objects.count() == 1
    damage()
    tasks.check_books("staff", "1", "王", close=False)
    assert LedgerCheck.objects.first().differences == 1
    tasks.close_books()  # something is wrong: it looks again
    assert LedgerCheck.objects.count() == 3


def test_somebody_who_asks_closes_as_well(history):
    tasks.check_books("staff", "1", "王", close=True)
    assert DayClosing.objects.first().closed_by == "staff 王"


def run(*arguments):
    out = io.StringIO()
    code = 0
    try:
        call_command("close_day", "--tenant", "alpha", *arguments, stdout=out)
    except SystemExit as stopped:
        code = stopped.code
    connection.set_schema("t_alpha")
    return code, out.getvalue()


def test_close_day_shows_then_closes_then_has_nothing_to_do(history):
    day = str(days_ago(2))
    code, out = run("--day", day, "--dry-run")
    assert code == 0
    assert f"t_alpha: {days_ago(5)} 1 entries, 6.00 yuan" in out
    assert "4 days to close, 0 of 1 tenants left open" in out
    assert closed() == []
    code, out = run("--day", day, "--json")
    figures = json.loads(out)["t_alpha"]
    assert (code, figures["differences"], [one["day"] for one in figures["closed"]]) == (
        0,
        0,
        [str(days_ago(n)) for n in (5, 4, 3, 2)],
    )
    assert figures["closed"][0]["digest"] == DayClosing.objects.last().digest
    code, out = run("--day", day)
    assert (code, out) == (0, "0 days closed, 0 of 1 tenants left open\n")


def test_close_day_says_what_keeps_it_from_closing(history):
    today = str(days_ago(0))
    for arguments in (["--day", today], ["--day", today, "--dry-run"], ["--day", today, "--skip-check"]):
        code, out = run(*arguments)
        assert (code, closed()) == (1, [])
        assert f"营业日 {today} 尚未结束" in out
    damage()
    code, out = run("--day", str(days_ago(2)))
    assert code == 1
    assert "1 differences, nothing is closed" in out
    assert closed() == []
    code, out = run("--day", str(days_ago(2)), "--skip-check")
    assert (code, len(closed())) == (0, 4)


def test_close_day_knows_its_tenants_and_dates():
    with pytest.raises(CommandError) as stopped:
        call_command("close_day", "--tenant", "nobody")
    assert stopped.value.returncode == 2
    with pytest.raises(CommandError):
        call_command("close_day", "--day", "yesterday")


# --- Export -----------------------------------------------------------------------------------------------


def export(*arguments):
    out = io.StringIO()
    call_command("export_journal", "--tenant", "alpha", *arguments, stdout=out, stderr=io.StringIO())
    connection.set_schema("t_alpha")
    return out.getvalue()


def test_the_journal_as_csv(history):
    customer, recharges = history
    text = export("--from", str(days_ago(4)), "--to", str(days_ago(2)))
    assert text.startswith("\ufeffentry,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    entries = JournalEntry.objects.filter(reference__in=[recharges[1], recharges[2]])
    assert [row["entry"] for row in rows] == [str(pk) for pk in sorted(e.pk for e in entries) for _ in "ab"]
    assert rows[0] | {"entry": ""} == {
        "entry": "",
        "business_day": str(days_ago(4)),
        "posted_at": f"{days_ago(4)} 09:30:00",
        "kind": "recharge",
        "reference": recharges[1],
        "key": f"recharge:{recharges[1]}",
        "memo": "",
        "account": "channel_clearing",
        "channel": "sandbox",
        "customer": "",
        "enterprise": "",
        "debit": "5.00",
        "credit": "",
    }
    assert (rows[1]["account"], rows[1]["customer"], rows[1]["debit"], rows[1]["credit"]) == (
        "customer_principal",
        str(customer.pk),
        "",
        "5.00",
    )
    assert sum(Decimal(row["debit"] or 0) for row in rows) == sum(Decimal(row["credit"] or 0) for row in rows)


def test_the_journal_as_json_lines_and_into_a_file(history, tmp_path):
    lines = [json.loads(line) for line in export("--format", "jsonl").splitlines()]
    assert len(lines) == 8
    assert sum(Decimal(line["amount"]) for line in lines) == 0
    assert lines[0]["posted_at"] == f"{days_ago(5)}T09:30:00+08:00"
    path = tmp_path / "journal.csv"
    assert export("--output", str(path)) == ""
    assert len(path.read_text("utf-8").splitlines()) == 9


def test_no_text_of_the_journal_is_a_formula(history):
    customer, _ = history
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(
            "update wallet_journalentry set memo = '=HYPERLINK(\"http://x\")', reference = '12345678901234'"
        )
    rows = list(csv.DictReader(io.StringIO(export().removeprefix("\ufeff"))))
    assert {row["memo"] for row in rows} == {'\'=HYPERLINK("http://x")'}
    assert {row["reference"] for row in rows} == {"\t12345678901234"}


def test_an_export_knows_its_tenant_and_range():
    with pytest.raises(CommandError) as stopped:
        call_command("export_journal", "--tenant", "nobody")
    assert stopped.value.returncode == 2
    with pytest.raises(CommandError, match="--from"):
        call_command("export_journal", "--tenant", "alpha", "--from", "2026-03-02", "--to", "2026-03-01")
