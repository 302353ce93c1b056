"""The books in the back office: pages, filters, files, and lists that nobody counts."""

from __future__ import annotations

import csv
import io
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.backoffice.models import AuditEntry
from apps.common import keyset
from apps.common.ids import SYSTEM
from apps.common.time import SHANGHAI, business_day, now
from apps.wallet import accounts, books, ledger, services
from apps.wallet.admin import books as books_pages
from apps.wallet.enums import AccountKind, JournalKind
from apps.wallet.models import Account, DayClosing, LedgerCheck, Posting, Wallet
from tests import factories
from tests.staff import a_user, boss, signed_in

JOURNAL = "/admin/wallet/journalentry/"
TRIAL = "/admin/wallet/account/trial-balance/"
OWN, HELD = AccountKind.CUSTOMER_PRINCIPAL, AccountKind.HELD_PRINCIPAL


def ago(days: int):
    return business_day(now()) - timedelta(days=days)


def noon(days: int) -> datetime:
    day = ago(days)
    return datetime(day.year, day.month, day.day, 12, tzinfo=SHANGHAI)


def hold(customer, amount, key, days):
    with transaction.atomic():
        wallet = services.lock_wallet(customer_id=customer.pk)
        value = Decimal(amount)
        ledger.post(
            key=key,
            kind=JournalKind.HOLD if value > 0 else JournalKind.RELEASE,
            wallet=wallet,
            reference=key,
            lines=[ledger.debit(OWN, value), ledger.credit(HELD, value)],
            at=noon(days),
        )


@pytest.fixture
def history(tenant):
    """Top-ups and holds over ten days; the first eight are closed, and what came later is open."""
    customer = factories.a_customer("0", nickname="张三")
    other = factories.a_customer("0", nickname="李四")
    factories.top_up(customer, "100.00", at=noon(9))
    factories.top_up(other, "50.00", at=noon(9))
    hold(customer, "30.00", "h1", 8)
    hold(customer, "-30.00", "r1", 5)
    hold(customer, "20.00", "h2", 1)
    factories.top_up(customer, "5.00", at=noon(0))
    books.close_days(until=ago(2), actor=SYSTEM)
    return customer, other


def d(text: str) -> Decimal:
    return Decimal(text)


# --- Reads ------------------------------------------------------------------------------------------------


def trial(first: int, last: int) -> dict[str, tuple[Decimal, ...]]:
    found = accounts.trial_balance(first=ago(first), last=ago(last))
    assert found.is_balanced
    return {
        line.kind.value: (line.sums.opening, line.sums.debits, line.sums.credits, line.sums.closing)
        for line in found.lines
        if any((line.sums.opening, line.sums.debits, line.sums.credits))
    }


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (9, 9, {"channel_clearing": "0 150 0 150", "customer_principal": "0 0 150 -150"}),
        (
            8,
            5,
            {
                "channel_clearing": "150 0 0 150",
                "customer_principal": "-150 30 30 -150",
                "held_principal": "0 30 30 0",
            },
        ),
        (
            5,
            0,
            {
                "channel_clearing": "150 5 0 155",
                "customer_principal": "-120 20 35 -135",
                "held_principal": "-30 30 20 -20",
            },
        ),
        (
            1,
            0,
            {
                "channel_clearing": "150 5 0 155",
                "customer_principal": "-150 20 5 -135",
                "held_principal": "0 0 20 -20",
            },
        ),
        (
            0,
            0,
            {
                "channel_clearing": "150 5 0 155",
                "customer_principal": "-130 0 5 -135",
                "held_principal": "-20 0 0 -20",
            },
        ),
        (30, 20, {}),
        (
            -1,
            -1,
            {
                "channel_clearing": "155 0 0 155",
                "customer_principal": "-135 0 0 -135",
                "held_principal": "-20 0 0 -20",
            },
        ),
    ],
)
def test_a_trial_balance_of_any_days_is_the_same_closed_or_open(history, first, last, expected):
    wanted = {kind: tuple(Decimal(part) for part in text.split()) for kind, text in expected.items()}
    assert trial(first, last) == wanted
    with connection.cursor() as cursor:  # the same from the journal alone
        cursor.execute("set constraints all immediate")
        cursor.execute("set local session_replication_role = replica")
        for table in ("wallet_dayclosing", "wallet_daybalance", "wallet_accountday"):
            cursor.execute(f"delete from {table}")
    assert trial(first, last) == wanted


def test_balances_of_accounts_now(history):
    customer, other = history
    found = accounts.balances(list(Account.objects.values_list("pk", flat=True)))
    named = {(a.kind, a.wallet and a.wallet.customer_id): found[a.pk] for a in Account.objects.all()}
    assert named == {
        ("channel_clearing", None): d("155"),
        ("customer_principal", customer.pk): d("-85"),
        ("customer_principal", other.pk): d("-50"),
        ("held_principal", customer.pk): d("-20"),
    }


def test_a_statement_of_an_account_runs_backwards_over_its_pages(history):
    customer, _ = history
    account = Account.objects.get(wallet__customer=customer, kind=OWN)
    rows, place = [], None
    for _page in range(10):
        found = accounts.account_statement(account=account, before=place, limit=2)
        rows += [(line.posting.amount, line.balance) for line in found.rows]
        if found.older is None:
            break
        place = keyset.read_place(Posting, accounts.PLACE, found.older)
    assert rows == [
        (d("-5"), d("-85")),
        (d("20"), d("-80")),
        (d("-30"), d("-100")),
        (d("30"), d("-70")),
        (d("-100"), d("-100")),
    ]
    some = accounts.account_statement(account=account, first=ago(8), last=ago(5)).rows
    assert [(line.posting.amount, line.balance) for line in some] == [
        (d("-30"), d("-100")),
        (d("30"), d("-70")),
    ]


def test_a_statement_of_a_wallet_shows_each_movement_and_what_is_left(history):
    customer, _ = history
    wallet = Wallet.objects.get(customer=customer)
    rows = accounts.wallet_statement(wallet=wallet).rows
    assert [(r.entry.reference[:1], r.change.principal, r.change.set_aside) for r in rows] == [
        ("R", d("5"), d("0")),
        ("h", d("-20"), d("20")),
        ("r", d("30"), d("-30")),
        ("h", d("-30"), d("30")),
        ("R", d("100"), d("0")),
    ]
    assert [(r.after.principal, r.after.set_aside, r.after.total) for r in rows] == [
        (d("85"), d("20"), d("105")),
        (d("80"), d("20"), d("100")),
        (d("100"), d("0"), d("100")),
        (d("70"), d("30"), d("100")),
        (d("100"), d("0"), d("100")),
    ]
    assert (rows[0].after.principal, rows[0].after.set_aside) == (wallet.principal, wallet.held)


# --- Pages ------------------------------------------------------------------------------------------------


def text_of(response) -> str:
    assert response.status_code == 200
    return response.content.decode()


def file_of(response) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text_of(response).removeprefix("\ufeff"))))


def test_the_chart_has_every_kind_in_its_group(history):
    text = text_of(boss().get("/admin/wallet/account/chart/"))
    places = [text.index(f">{group}<") for group in ("资产", "负债", "收入", "费用")]
    assert places == sorted(places)
    for kind in AccountKind:
        assert f">{kind.label}</a>" in text, kind
    assert "155.00" in text


def test_the_trial_balance_page_proves_itself_and_is_exported(history):
    client = boss()
    days = {"from": str(ago(5)), "to": str(ago(0))}
    text = text_of(client.get(TRIAL, days))
    assert "平衡" in text
    assert text.count("-30.00") >= 1
    rows = file_of(client.get(TRIAL, {**days, "export": "1"}))
    assert rows[-1] == ["合计", "", "", "0.00", "55.00", "55.00", "0.00"]
    assert ["资产", "支付渠道清算", "沙箱", "150.00", "5.00", "0.00", "155.00"] in rows
    assert AuditEntry.objects.filter(action="wallet.account_exported").count() == 1


@pytest.mark.parametrize(
    "days", [{"from": "x"}, {"to": "2026-02-30"}, {"from": "2027-01-01", "to": "2026-01-01"}]
)
def test_days_that_are_none_are_said_to_be(history, days):
    assert "bo-table" in text_of(boss().get(TRIAL, days))


def test_statements_have_pages_and_files(history, monkeypatch):
    monkeypatch.setattr(books_pages, "LINES", 2)
    customer, _ = history
    client = boss()
    account = Account.objects.get(wallet__customer=customer, kind=OWN)
    wallet = Wallet.objects.get(customer=customer)
    for path in (
        f"/admin/wallet/account/{account.pk}/statement/",
        f"/admin/wallet/wallet/{wallet.pk}/statement/",
    ):
        seen, address = 0, path
        for _page in range(5):
            text = text_of(client.get(address))
            seen += text.count("/admin/wallet/journalentry/")
            older = re.search(r'href="(\?[^"]*before=[^"]*)" rel="next"', text)
            if older is None:
                break
            address = path + older[1].replace("&amp;", "&")
        assert seen - text.count('/admin/wallet/journalentry/"') * 3 <= 5 + 3
        assert len(file_of(client.get(path, {"export": "1"}))) == 6
        assert client.get(path, {"before": "nonsense"}).status_code == 404
        assert client.get(path, {"before": "2026-01-01~99999999999999999999999"}).status_code == 404
    assert client.get("/admin/wallet/account/987654321/statement/").status_code == 404


def test_who_may_not_see_accounts_sees_no_books(history):
    customer, _ = history
    account = Account.objects.filter(wallet__customer=customer).first()
    client = signed_in(a_user("wallet.view_wallet"))
    for path in (TRIAL, "/admin/wallet/account/chart/", f"/admin/wallet/account/{account.pk}/statement/"):
        assert client.get(path).status_code == 403
    assert client.get(f"/admin/wallet/wallet/{account.wallet_id}/statement/").status_code == 200
    client = signed_in(a_user("wallet.view_account"))
    assert client.get(TRIAL).status_code == 200
    assert client.get(f"/admin/wallet/wallet/{account.wallet_id}/statement/").status_code == 403


# --- The journal: a list that nobody counts ---------------------------------------------------------------


def references(response) -> list[str]:
    text = text_of(response)
    return re.findall(r'class="field-reference[^"]*"[^>]*>([^<]+)<', text)


@pytest.fixture
def long_journal(tenant):
    customer = factories.a_customer("0")
    factories.top_up(customer, "1000.00", at=noon(9))
    for number in range(75):
        hold(customer, "0.01" if number % 3 else "0.02", f"h{number:02d}", 8 - number // 15)
    return customer


def way(response, name: str) -> str | None:
    found = re.search(rf'href="(\?[^"]*)"[^>]*>{name}<', text_of(response))
    return found and found[1].replace("&amp;", "&")


def test_the_journal_is_walked_to_its_end_and_back_without_counting(long_journal):
    client = boss()
    with CaptureQueriesContext(connection) as asked:
        page = client.get(JOURNAL)
    assert not [query["sql"] for query in asked.captured_queries if "COUNT(" in query["sql"].upper()]
    seen = [references(page)]
    assert way(page, "较新") is None
    while (address := way(page, "较早")) is not None:
        page = client.get(JOURNAL + address)
        seen.append(references(page))
    assert [len(part) for part in seen] == [30, 30, 16]
    flat = [reference for part in seen for reference in part]
    assert flat[:75] == [f"h{number:02d}" for number in reversed(range(75))]
    back = [references(page)]
    while (address := way(page, "较新")) is not None:
        page = client.get(JOURNAL + address)
        back.append(references(page))
    assert back == seen[::-1]
    assert way(client.get(JOURNAL + (way(client.get(JOURNAL), "较早") or "")), "最新") == "?"


def test_an_old_page_asks_as_much_as_the_first(long_journal):
    client = boss()
    counts = []
    address = ""
    for _page in range(3):
        with CaptureQueriesContext(connection) as asked:
            page = client.get(JOURNAL + address)
        counts.append(len([q for q in asked.captured_queries if "tenancy_domain" not in q["sql"]]))
        address = way(page, "较早") or ""
    assert len(set(counts)) == 1


def test_filters_stay_on_the_next_page_and_lead_to_the_newest(long_journal):
    client = boss()
    page = client.get(JOURNAL, {"kind__exact": "hold"})
    address = way(page, "较早")
    assert "kind__exact=hold" in address
    page = client.get(JOURNAL + address)
    assert len(references(page)) == 30
    assert "older" not in (way(page, "最新") or "")
    day = {"business_day_from": str(ago(7)), "business_day_to": str(ago(6))}
    assert references(client.get(JOURNAL, day)) == [f"h{number}" for number in range(44, 14, -1)]
    assert len(references(client.get(JOURNAL, {"account": "channel_clearing"}))) == 1
    assert len(references(client.get(JOURNAL, {"account": "held_principal"}))) == 30
    assert len(references(client.get(JOURNAL, {"account": "customer_bonus"}))) == 0
    assert references(client.get(JOURNAL, {"q": "h33"})) == ["h33"]
    assert len(references(client.get(JOURNAL, {"q": long_journal.nickname}))) == 30
    assert references(client.get(JOURNAL, {"q": "nobody"})) == []
    assert client.get(JOURNAL, {"o": "1"}).status_code == 200
    assert len(file_of(client.get(JOURNAL + "export/"))) == 77


@pytest.mark.parametrize(
    "place",
    [
        "x",
        "2026-01-01",
        "2026-01-01~1~2",
        "2026-13-01~1",
        "2026-01-01~x",
        "2026-01-01~" + "9" * 30,
        "~",
        "\0",
    ],
)
def test_a_place_that_is_none_leads_back_to_the_list(long_journal, place):
    client = boss()
    for name in ("older", "newer"):
        answer = client.get(JOURNAL, {name: place})
        assert answer.status_code in {302, 200}
        assert client.get(JOURNAL, {name: place}, follow=True).status_code == 200


def test_an_empty_journal_says_so(tenant):
    page = boss().get(JOURNAL)
    assert references(page) == []
    assert way(page, "较早") is None


# --- Closing and checking by hand -------------------------------------------------------------------------


def test_a_button_checks_and_closes(history, django_capture_on_commit_callbacks):
    client = boss()
    path = "/admin/wallet/dayclosing/check-and-close/"
    assert "核对" in text_of(client.get(path))
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(path, {"_form_submitted": "on"})
    assert answer.headers["HX-Redirect"] == "/admin/wallet/dayclosing/"
    assert LedgerCheck.objects.get().differences == 1  # a hold without an order
    assert books.closed_through() == ago(2)
    text = text_of(client.get("/admin/wallet/dayclosing/"))
    assert "1 处差异" in text
    assert str(ago(2)) in text
    shown = text_of(client.get(f"/admin/wallet/ledgercheck/{LedgerCheck.objects.get().pk}/change/"))
    assert "held money differs from open holds" in shown
    overview = text_of(client.get("/admin/"))
    assert re.search(r"账务差异</span><b[^>]*>1<", overview)


def test_a_closed_day_shows_its_balances(history):
    day = DayClosing.objects.get(day=ago(8))
    text = text_of(boss().get(f"/admin/wallet/dayclosing/{day.pk}/change/"))
    assert day.digest in text
    assert "-120.00" in text


def test_checking_has_a_permission_of_its_own(history):
    client = signed_in(a_user("wallet.view_dayclosing", "wallet.view_ledgercheck"))
    for path in ("/admin/wallet/dayclosing/check-and-close/", "/admin/wallet/ledgercheck/check-now/"):
        assert client.post(path, {"_form_submitted": "on"}).status_code == 403
    assert not LedgerCheck.objects.exists()
    client = signed_in(a_user("wallet.view_ledgercheck", "wallet.run_ledgercheck"))
    assert client.post("/admin/wallet/ledgercheck/check-now/", {"_form_submitted": "on"}).status_code == 200


def test_pages_of_the_books_ask_little(history):
    client = boss()
    for path, most in ((TRIAL, 12), ("/admin/wallet/account/chart/", 12), ("/admin/wallet/dayclosing/", 12)):
        with CaptureQueriesContext(connection) as asked:
            client.get(path)
        assert len(asked.captured_queries) <= most, [query["sql"][:80] for query in asked.captured_queries]
