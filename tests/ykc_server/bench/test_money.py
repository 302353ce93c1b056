"""The measures of the money part do what they say: balanced books by COPY, the same row writes for pgbench."""

from __future__ import annotations

from collections import Counter

from django.db import connection

from apps.orders.ledger_check import differences
from apps.wallet import books
from apps.wallet.models import (
    ChannelDay,
    ChannelDifference,
    DayClosing,
    JournalEntry,
    Posting,
    Recharge,
    Wallet,
)
from tests import factories
from ykc_server.bench.money import journal, reconciliation, settlements


def indexes() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "select indexdef from pg_indexes where schemaname = current_schema()"
            " and tablename in ('wallet_journalentry', 'wallet_posting', 'wallet_recharge')"
        )
        return {definition for (definition,) in cursor.fetchall()}


def test_grown_books_are_right_and_can_be_closed(tenant: object) -> None:
    before = indexes()
    journal._grow(1_000, 20, lambda text: None)
    assert indexes() == before
    assert Counter(JournalEntry.objects.values_list("kind", flat=True)) == {
        "recharge": 200,
        "hold": 400,
        "release": 400,
    }
    assert (Posting.objects.count(), Recharge.objects.count(), Wallet.objects.count()) == (2_000, 200, 20)
    last = books.closable_until()
    books.close_days(until=last, actor=journal.SYSTEM)
    assert DayClosing.objects.count() == journal.DAYS
    assert sum(DayClosing.objects.values_list("entries", flat=True)) == 1_000
    assert differences() == []
    # New rows go on behind the copied ones.
    entry = JournalEntry.objects.order_by("-pk").first()
    with connection.cursor() as cursor:
        cursor.execute("select nextval(pg_get_serial_sequence('wallet_journalentry', 'id'))")
        assert cursor.fetchone()[0] == entry.pk + 1


def test_pgbench_writes_as_many_rows() -> None:
    text = settlements.script(3, 2)
    assert text.count("INSERT INTO") == 3
    assert text.count("UPDATE pgbench.rows") == 2
    assert text.startswith("BEGIN;\n")
    assert text.endswith("COMMIT;\n")


def test_pgbench_is_here() -> None:
    assert settlements.pgbench().endswith("pgbench")


def test_a_bill_is_made_and_reconciled_on_a_day_of_its_own(tenant: object) -> None:
    factories.a_customer("0")
    for days in (1, 2):
        day = reconciliation.fresh_day()
        wrong = reconciliation.make_day(day, 200)
        assert wrong == 2
        assert reconciliation.reconcile(day, 200, wrong) > 0
        assert ChannelDay.objects.count() == days
    newest = ChannelDay.objects.order_by("-day").first()
    assert (newest.day - reconciliation.FIRST_DAY).days == 1
    assert (newest.our_payments, newest.our_refunds, newest.their_payments, newest.their_refunds) == (
        180,
        20,
        180,
        20,
    )
    assert set(ChannelDifference.objects.values_list("kind", flat=True)) == {"amount_differs"}
