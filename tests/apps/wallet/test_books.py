"""Closing of business days: once, in order, chained, and nothing is posted behind it."""

from __future__ import annotations

import threading
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from apps.backoffice.models import AuditEntry
from apps.common.ids import SYSTEM, Actor
from apps.common.schema import schema_context
from apps.common.time import SHANGHAI, business_day, now
from apps.orders.ledger_check import differences
from apps.wallet import books, ledger, services
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.errors import BooksInUse, DayClosed, DayNotOver
from apps.wallet.models import AccountDay, DayBalance, DayClosing, JournalEntry, Posting
from tests import factories

CASH, OWN, HELD = AccountKind.CHANNEL_CLEARING, AccountKind.CUSTOMER_PRINCIPAL, AccountKind.HELD_PRINCIPAL
FIRST = date(2026, 3, 1)
BOSS = Actor("staff", "7", "王会计")


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI)


def top_up(customer, amount, day):
    factories.top_up(customer, amount, at=noon(day))


def hold(customer, amount, number, day):
    with transaction.atomic():
        wallet = services.lock_wallet(customer_id=customer.pk)
        value = Decimal(amount)
        ledger.post(
            key=f"h{number}",
            kind=JournalKind.HOLD,
            wallet=wallet,
            reference=f"h{number}",
            lines=[ledger.debit(OWN, value), ledger.credit(HELD, value)],
            at=noon(day),
        )


def history():
    """Three days, the second without entries; what is held comes back on the third."""
    customer, other = factories.a_customer("0"), factories.a_customer("0")
    top_up(customer, "100.00", FIRST)
    top_up(other, "7.00", FIRST)
    hold(customer, "30.00", 1, FIRST)
    hold(customer, "-30.00", 2, FIRST + timedelta(days=2))
    return customer


@pytest.fixture
def customer(tenant):
    return history()


def test_days_are_closed_in_order_with_their_balances(customer):
    done = []
    closings = books.close_days(until=FIRST + timedelta(days=2), actor=BOSS, progress=done.append)
    assert closings == done
    assert [(str(c.day), c.entries, c.moved) for c in closings] == [
        ("2026-03-01", 3, Decimal("137.00")),
        ("2026-03-02", 0, Decimal("0.00")),
        ("2026-03-03", 1, Decimal("30.00")),
    ]
    assert [c.previous_digest for c in closings] == ["", closings[0].digest, closings[1].digest]
    assert len({c.digest for c in closings}) == 3
    assert {c.closed_by for c in closings} == {"staff 王会计"}
    found = {(str(b.day), b.kind): (b.debits, b.credits, b.balance) for b in DayBalance.objects.all()}
    zero, hundred = Decimal("0.00"), Decimal("107.00")
    assert found == {
        ("2026-03-01", "channel_clearing"): (hundred, zero, hundred),
        ("2026-03-01", "customer_principal"): (Decimal("30.00"), hundred, Decimal("-77.00")),
        ("2026-03-01", "held_principal"): (zero, Decimal("30.00"), Decimal("-30.00")),
        ("2026-03-02", "channel_clearing"): (zero, zero, hundred),
        ("2026-03-02", "customer_principal"): (zero, zero, Decimal("-77.00")),
        ("2026-03-02", "held_principal"): (zero, zero, Decimal("-30.00")),
        ("2026-03-03", "channel_clearing"): (zero, zero, hundred),
        ("2026-03-03", "customer_principal"): (zero, Decimal("30.00"), Decimal("-107.00")),
        ("2026-03-03", "held_principal"): (Decimal("30.00"), zero, zero),
    }
    own = AccountDay.objects.filter(account__wallet__customer=customer, account__kind=OWN).order_by("day")
    assert [(str(row.day), row.balance) for row in own] == [
        ("2026-03-01", Decimal("-70.00")),
        ("2026-03-03", Decimal("-100.00")),
    ]
    assert AuditEntry.objects.filter(action="wallet.dayclosing_closed").count() == 3
    assert differences() == []


def test_closing_again_closes_nothing(customer):
    books.close_days(until=FIRST, actor=SYSTEM)
    digest = DayClosing.objects.get().digest
    assert books.close_days(until=FIRST, actor=SYSTEM) == []
    assert [str(c.day) for c in books.close_days(until=FIRST + timedelta(days=1), actor=SYSTEM)] == [
        "2026-03-02"
    ]
    assert DayClosing.objects.get(day=FIRST).digest == digest
    assert books.closed_through() == FIRST + timedelta(days=1)


def test_a_day_that_is_not_over_is_not_closed(customer):
    today = business_day(now())
    for day in (today, today + timedelta(days=1)):
        with pytest.raises(DayNotOver):
            books.close_days(until=day, actor=SYSTEM)
    assert not DayClosing.objects.exists()


def test_books_without_entries_have_no_day_to_close(tenant):
    assert books.close_days(until=FIRST, actor=SYSTEM) == []
    assert books.preview(until=FIRST) == []


def test_a_preview_writes_nothing(customer):
    days = books.preview(until=FIRST + timedelta(days=2))
    assert [(str(d.day), d.entries, d.moved) for d in days] == [
        ("2026-03-01", 3, Decimal("137.00")),
        ("2026-03-02", 0, Decimal("0.00")),
        ("2026-03-03", 1, Decimal("30.00")),
    ]
    assert not DayClosing.objects.exists()


@pytest.mark.parametrize("back", [0, 1, 400])
def test_nothing_is_posted_into_a_closed_day(customer, back):
    books.close_days(until=FIRST + timedelta(days=1), actor=SYSTEM)
    day = FIRST + timedelta(days=1 - back)
    with pytest.raises(DayClosed, match=str(day)):
        hold(customer, "1.00", 9, day)
    assert not JournalEntry.objects.filter(key="h9").exists()
    hold(customer, "1.00", 9, FIRST + timedelta(days=2))
    assert JournalEntry.objects.get(key="h9").business_day == FIRST + timedelta(days=2)


def test_no_posting_is_added_to_a_closed_day(customer):
    books.close_days(until=FIRST, actor=SYSTEM)
    entry = JournalEntry.objects.filter(business_day=FIRST).first()
    leg = entry.postings.first()
    with pytest.raises(IntegrityError, match="is closed"), transaction.atomic():
        entry.postings.bulk_create(
            [
                Posting(entry=entry, account=leg.account, amount=amount, business_day=FIRST)
                for amount in (1, -1)
            ]
        )


def test_what_is_closed_cannot_be_changed(customer):
    books.close_days(until=FIRST, actor=SYSTEM)
    for model in (DayClosing, DayBalance, AccountDay):
        for change in (lambda rows: rows.update(day=FIRST), lambda rows: rows.delete()):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                change(model.objects.all())


DAMAGE = {
    "closed day differs from its digest": [
        "update wallet_journalentry set memo = 'x' where key = 'h1'",
        "update wallet_journalentry set posted_at = posted_at + interval '1 microsecond' where key = 'h1'",
        (
            "update wallet_posting set amount = amount * 2 where entry_id in"
            " (select id from wallet_journalentry where key = 'h1')"
        ),
        "delete from wallet_posting where entry_id = (select id from wallet_journalentry where key = 'h1')",
        "delete from wallet_journalentry where key = 'h1'",
        (
            "insert into wallet_journalentry (key, kind, reference, posted_at, business_day, memo)"
            " values ('x', 'hold', 'x', now(), '2026-03-02', '')"
        ),
        "update wallet_daybalance set balance = balance + 1 where day = '2026-03-02' and kind = 'held_principal'",
        "update wallet_dayclosing set moved = moved + 1 where day = '2026-03-03'",
        "update wallet_account set channel = 'other' where kind = 'channel_clearing'",
    ],
    "closed days are no chain": [
        "update wallet_dayclosing set previous_digest = 'x' where day = '2026-03-02'",
        "delete from wallet_dayclosing where day = '2026-03-01'",
        "delete from wallet_dayclosing where day = '2026-03-02'",
    ],
    "entry on a day that was closed without it": [
        "update wallet_journalentry set business_day = '2026-02-27' where key = 'h1'",
    ],
    "posting on another day than its entry": ["update wallet_posting set business_day = '2026-03-02'"],
    "closed balance of an account differs": [
        "update wallet_accountday set balance = balance + 1 where day = '2026-03-03'",
        "delete from wallet_accountday where day = '2026-03-03'",
    ],
    "closed balance of a kind differs": [
        "update wallet_daybalance set balance = balance + 1 where day = '2026-03-02' and kind = 'held_principal'",
        "delete from wallet_daybalance where day = '2026-03-03'",
    ],
}


@pytest.mark.parametrize(
    ("check", "damage"), [(check, damage) for check, several in DAMAGE.items() for damage in several]
)
def test_tampering_with_closed_days_is_found(customer, check, damage):
    books.close_days(until=FIRST + timedelta(days=3), actor=SYSTEM)
    assert check not in {found.check for found in differences()}
    with connection.cursor() as cursor:
        cursor.execute("set constraints all immediate")
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(damage)
        assert cursor.rowcount > 0
    assert check in {found.check for found in differences()}


def test_every_check_of_the_books_has_its_damage():
    assert set(DAMAGE) == set(books.BOOK_CHECKS)


# --- At the same time -------------------------------------------------------------------------------------


def in_thread(function):
    """Run in a thread with a connection of its own in alpha's schema; returns (thread, what it raised)."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with schema_context("t_alpha"):
                function()
        except BaseException as error:  # noqa: BLE001 - given to the test
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, raised


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_locks where not granted")
        return cursor.fetchone()[0] > 0


def until_waiting() -> None:
    for _ in range(500):
        if waits_for_a_lock():
            return
        threading.Event().wait(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("already", [False, True], ids=["first closing", "later closing"])
def test_closing_waits_for_who_posts_on_the_day(committed, already):
    customer = history()
    day = FIRST
    if already:
        books.close_days(until=FIRST, actor=SYSTEM)
        day = FIRST + timedelta(days=1)
    with transaction.atomic():
        hold(customer, "5.00", 10, day)
        thread, raised = in_thread(lambda: books.close_days(until=day, actor=SYSTEM))
        until_waiting()
        assert not DayClosing.objects.filter(day=day).exists()
    thread.join(30)
    assert raised == []
    closing = DayClosing.objects.get(day=day)
    assert closing.entries == (1 if already else 4)
    assert not {item.check for item in differences()} & set(books.BOOK_CHECKS)


def test_who_posts_while_the_day_is_closed_is_refused(committed):
    customer, other = history(), factories.a_customer("0")
    books.close_days(until=FIRST, actor=SYSTEM)
    day = FIRST + timedelta(days=1)
    with transaction.atomic():
        books._close(day, SYSTEM)
        late, raised = in_thread(lambda: hold(customer, "5.00", 11, day))
        until_waiting()
        today, refused = in_thread(lambda: top_up(other, "1.00", business_day(now())))
        today.join(30)
        assert not today.is_alive()  # nobody waits for the closing of another day
    late.join(30)
    today.join(30)
    assert [type(error) for error in raised] == [DayClosed]
    assert refused == []
    assert not JournalEntry.objects.filter(key="h11").exists()
    assert DayClosing.objects.get(day=day).entries == 0
    assert not {item.check for item in differences()} & set(books.BOOK_CHECKS)


def test_several_close_the_same_days_once(committed):
    history()
    last = FIRST + timedelta(days=9)
    threads = [in_thread(lambda: books.close_days(until=last, actor=SYSTEM)) for _ in range(4)]
    for thread, _raised in threads:
        thread.join(60)
    assert [raised for _thread, raised in threads] == [[], [], [], []]
    assert DayClosing.objects.count() == 10
    assert not {item.check for item in differences()} & set(books.BOOK_CHECKS)


def test_no_entry_slips_into_a_closed_day(committed):
    """Many post on many days while the days are closed one by one."""
    customers = [factories.a_customer("0") for _ in range(4)]
    for customer in customers:
        top_up(customer, "1000.00", FIRST)
    days = [FIRST + timedelta(days=number) for number in range(20)]
    refused: list[str] = []

    def poster(number):
        def run():
            for turn in range(60):
                try:
                    hold(customers[number], "0.01", f"{number}-{turn}", days[(turn * 7 + number) % 20])
                except DayClosed:
                    refused.append(f"{number}-{turn}")

        return run

    threads = [in_thread(poster(number)) for number in range(4)]
    threads.append(in_thread(lambda: [books.close_days(until=day, actor=SYSTEM) for day in days]))
    for thread, _raised in threads:
        thread.join(100)
    assert [raised for _thread, raised in threads] == [[]] * 5
    assert DayClosing.objects.count() == 20
    assert JournalEntry.objects.filter(kind=JournalKind.HOLD).count() == 240 - len(refused)
    assert sum(DayClosing.objects.values_list("entries", flat=True)) == JournalEntry.objects.count()
    assert not {item.check for item in differences()} & set(books.BOOK_CHECKS)


def test_days_stay_open_while_history_is_written(committed):
    history()
    hour = threading.Event()
    began = threading.Event()

    def write():
        with books.being_written():
            began.set()
            hour.wait(30)

    thread, raised = in_thread(write)
    began.wait(30)
    with pytest.raises(BooksInUse):
        books.close_days(until=FIRST, actor=SYSTEM)
    hour.set()
    thread.join(30)
    assert raised == []
    assert len(books.close_days(until=FIRST, actor=SYSTEM)) == 1
