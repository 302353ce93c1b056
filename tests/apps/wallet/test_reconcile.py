"""The bills of payment channels against our top-ups: what agrees, what does not, and what is done about it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.backoffice import approvals
from apps.backoffice.enums import ApprovalRule, ApprovalState
from apps.backoffice.models import AuditEntry
from apps.common.differences import DifferenceState
from apps.common.ids import Actor
from apps.common.schema import current_schema
from apps.common.time import business_day, day_bounds, now
from apps.orders.ledger_check import differences
from apps.wallet import channels, recharges, reconcile
from apps.wallet.channels.base import BillKind, BillRow, Unknown, UnknownBillLayout
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.enums import BillState, JournalKind, RechargeState
from apps.wallet.errors import BillDayNotOver, DifferenceDecided, NothingToAsk
from apps.wallet.merchants import merchant_for
from apps.wallet.models import (
    ChannelBillRow,
    ChannelDay,
    ChannelDifference,
    JournalEntry,
    MerchantAccount,
    Recharge,
    SandboxTrade,
)
from tests import factories
from tests.apps.orders.test_at_once import at_once
from tests.staff import a_user, signed_in

STAFF, OTHER = Actor("staff", "7", "王芳"), Actor("staff", "8", "李强")
YESTERDAY = business_day(now()) - timedelta(days=1)
START, END = day_bounds(YESTERDAY)
NOON = START + timedelta(hours=12)
YUAN = Decimal


class Provider(SandboxChannel):
    """The channel of the tests: a real one of ours, whose bill the test writes."""

    def __init__(self, rows: Sequence[BillRow] = ()) -> None:
        self.rows: list[BillRow] = list(rows)
        self.bills: dict[date, list[BillRow]] = {}
        self.error: Exception | None = None
        self.asked: list[date] = []

    def download_bill(self, day: date) -> Sequence[BillRow]:
        self.asked.append(day)
        assert not connection.in_atomic_block or connection.savepoint_ids == [], (
            "network inside a transaction"
        )
        if self.error:
            raise self.error
        return list(self.bills.get(day, self.rows))


@pytest.fixture
def merchant(tenant: Any) -> MerchantAccount:
    return merchant_for("sandbox")


@pytest.fixture
def provider(merchant: MerchantAccount, monkeypatch: pytest.MonkeyPatch) -> Provider:
    made = Provider()
    monkeypatch.setitem(channels._channels, (current_schema(), merchant.pk, merchant.updated_at), made)
    return made


def paid(amount: str, *, at: datetime = NOON, state: RechargeState = RechargeState.PAID) -> Recharge:
    """A top-up that was paid at that time, or was not."""
    customer = factories.a_customer("0")
    made = recharges.create_recharge(
        customer=customer, amount=YUAN(amount), channel="sandbox", request_key="k"
    )
    if state == RechargeState.PAID:
        recharges.pay_sandbox(customer=customer, recharge_no=made.recharge_no, at=at)
    made.refresh_from_db()
    return made


def row(recharge: Recharge, **changes: Any) -> BillRow:
    """The line that an honest provider writes of a top-up."""
    values: dict[str, Any] = {
        "kind": BillKind.PAYMENT,
        "out_trade_no": recharge.recharge_no,
        "channel_trade_no": f"SANDBOX{recharge.recharge_no}",
        "amount": recharge.amount,
        "fee": (recharge.amount * YUAN("0.006")).quantize(YUAN("0.00001")),
        "at": NOON,
    }
    return BillRow(**{**values, **changes})


def found() -> list[tuple[str, str, str | None, str | None, str]]:
    return [
        (one.kind, one.out_no, one.ours and str(one.ours), one.theirs and str(one.theirs), one.state)
        for one in ChannelDifference.objects.order_by("kind", "subject")
    ]


def fees() -> list[tuple[str, str]]:
    return [
        (entry.reference, str(entry.postings.get(account__kind="channel_fee").amount))
        for entry in JournalEntry.objects.filter(kind=JournalKind.CHANNEL_FEE).order_by("pk")
    ]


# --- Matching ---------------------------------------------------------------------------------------------


def test_a_day_that_agrees(merchant: MerchantAccount, provider: Provider) -> None:
    first, second = paid("100.00"), paid("33.33")
    paid("8.00", at=END)  # of today
    provider.rows = [row(first), row(second)]

    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)

    assert run == reconcile.ChannelRun("沙箱", YESTERDAY, BillState.RECONCILED, "", 2, 0, 0)
    day = ChannelDay.objects.get()
    assert (day.their_payments, day.their_paid, day.our_payments, day.our_paid) == (
        2,
        YUAN("133.33"),
        2,
        YUAN("133.33"),
    )
    assert (day.fee, day.fee_booked, day.revision) == (YUAN("0.79998"), YUAN("0.80"), 1)
    assert fees() == [(f"FEE{merchant.pk}-{YESTERDAY:%Y%m%d}", "0.80")]
    assert [one.out_no for one in ChannelBillRow.objects.all()] == [first.recharge_no, second.recharge_no]
    assert differences() == []


def test_every_kind_of_difference(merchant: MerchantAccount, provider: Provider) -> None:
    ours = paid("10.00")
    other = paid("20.00")
    waiting = paid("30.00", state=RechargeState.CREATED)
    provider.rows = [
        row(other, amount=YUAN("20.01")),
        row(waiting),
        row(waiting),
        row(ours, out_trade_no="R-UNKNOWN"),
        row(ours, kind=BillKind.REFUND, amount=YUAN("5.00"), out_refund_no="F-UNKNOWN", fee=YUAN("-0.03000")),
    ]
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.differences, run.undecided) == (6, 6)
    assert found() == [
        ("amount_differs", other.recharge_no, "20.00", "20.01", "open"),
        ("only_ours", ours.recharge_no, "10.00", None, "open"),
        ("only_theirs", "R-UNKNOWN", None, "10.00", "open"),
        ("only_theirs", waiting.recharge_no, "30.00", "30.00", "open"),
        ("only_theirs", "F-UNKNOWN", None, "5.00", "open"),
        ("state_differs", waiting.recharge_no, "30.00", "30.00", "open"),
    ]
    twice = ChannelDifference.objects.get(kind="only_theirs", out_no=waiting.recharge_no)
    assert twice.figures["copy"] == "2"


def test_a_payment_through_another_account_is_theirs_only(
    merchant: MerchantAccount, provider: Provider
) -> None:
    elsewhere = MerchantAccount.objects.create(channel="sandbox", name="二号", merchant_no="2")
    recharge = paid("10.00")
    Recharge.objects.filter(pk=recharge.pk).update(merchant=elsewhere)
    provider.rows = [row(recharge)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert found() == [("only_theirs", recharge.recharge_no, "10.00", "10.00", "open")]
    assert ChannelDifference.objects.get().figures["merchant"] == str(elsewhere.pk)


def test_a_payment_around_midnight_is_in_the_neighbours_bill(
    merchant: MerchantAccount, provider: Provider
) -> None:
    recharge = paid("10.00", at=END - timedelta(seconds=1))
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert found() == [("only_ours", recharge.recharge_no, "10.00", None, "open")]
    tomorrow = END + timedelta(days=1, hours=12)
    provider.rows = [row(recharge, at=END)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY + timedelta(days=1), at=tomorrow)
    reconcile.match_again(channel_day_id=ChannelDay.objects.get(day=YESTERDAY).pk)
    assert found() == [("only_ours", recharge.recharge_no, "10.00", None, "cleared")]


# --- Bills ------------------------------------------------------------------------------------------------


def test_the_same_bill_again_is_stored_and_booked_once(merchant: MerchantAccount, provider: Provider) -> None:
    provider.rows = [row(paid("100.00"))]
    for _ in range(3):
        reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert ChannelBillRow.objects.count() == 1
    assert ChannelDay.objects.get().revision == 1
    assert [amount for _, amount in fees()] == ["0.60"]


def test_a_bill_that_changed_supersedes_and_books_what_is_more(
    merchant: MerchantAccount, provider: Provider
) -> None:
    first, second = paid("100.00"), paid("50.00")
    provider.rows = [row(first)]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 1
    provider.rows = [row(first), row(second)]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 0
    provider.rows = [row(second, fee=YUAN("0.00000"))]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 1
    day = ChannelDay.objects.get()
    assert (day.revision, day.fee_booked) == (3, YUAN("0.00"))
    assert [amount for _, amount in fees()] == ["0.60", "0.30", "-0.90"]
    assert list(ChannelBillRow.objects.order_by("pk").values_list("revision", "superseded")) == [
        (1, True),
        (2, True),
        (2, True),
        (3, False),
    ]
    assert differences() == []


def test_a_bill_without_trades(merchant: MerchantAccount, provider: Provider) -> None:
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.state, run.rows, run.differences) == (BillState.RECONCILED, 0, 0)
    assert fees() == []


@pytest.mark.parametrize(
    ("error", "state", "problem"),
    [
        (Unknown("bill_not_ready"), BillState.WAITING, "bill_not_ready"),
        (UnknownBillLayout("columns missing: 手续费"), BillState.FAILED, "columns missing: 手续费"),
    ],
)
def test_a_bill_that_cannot_be_had_is_asked_for_later(
    merchant: MerchantAccount, provider: Provider, error: Exception, state: BillState, problem: str
) -> None:
    recharge = paid("100.00")
    provider.error = error
    moment = START + timedelta(days=1, hours=10)
    for gap in (timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=2)):
        runs = reconcile.reconcile_due(at=moment)
        assert [(run.state, run.problem) for run in runs] == [(state, problem)]
        assert ChannelDay.objects.get().next_try_at == moment + gap
        assert reconcile.reconcile_due(at=moment + gap - timedelta(seconds=1)) == []
        moment += gap
    provider.error, provider.rows = None, [row(recharge)]
    assert [run.state for run in reconcile.reconcile_due(at=moment)] == [BillState.RECONCILED]
    day = ChannelDay.objects.get()
    assert (day.problem, day.tries, day.next_try_at) == ("", 0, None)
    assert not ChannelDifference.objects.exists()


def test_a_download_that_fails_leaves_the_bill_that_is_there(
    merchant: MerchantAccount, provider: Provider
) -> None:
    provider.rows = [row(paid("100.00"))]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    provider.error = Unknown("timeout")
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.state, run.problem, run.rows) == (BillState.RECONCILED, "timeout", 1)


def test_a_day_that_is_not_over(merchant: MerchantAccount, provider: Provider) -> None:
    with pytest.raises(BillDayNotOver):
        reconcile.reconcile_day(merchant=merchant, day=business_day(now()))
    assert provider.asked == []


def test_a_dry_run_stores_nothing(merchant: MerchantAccount, provider: Provider) -> None:
    provider.rows = [row(paid("100.00"), amount=YUAN("1.00"))]
    run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY, dry_run=True)
    assert (run.rows, run.differences, run.undecided) == (1, 1, 1)
    provider.error = Unknown("timeout")
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY, dry_run=True)
    assert not ChannelDay.objects.exists()
    assert not ChannelBillRow.objects.exists()
    assert fees() == []


def test_what_is_due(merchant: MerchantAccount, provider: Provider) -> None:
    morning = END + timedelta(hours=9, minutes=59)
    assert reconcile.reconcile_due(at=morning) == []
    recharge = paid("10.00")
    ten = END + timedelta(hours=10)
    assert [run.undecided for run in reconcile.reconcile_due(at=ten)] == [1]
    assert reconcile.reconcile_due(at=ten + timedelta(minutes=30)) == []  # open, and matched today
    # The next day it is matched again, without a download of the old bill.
    Recharge.objects.filter(pk=recharge.pk).update(paid_at=END + timedelta(hours=1))
    provider.rows, provider.asked = [row(recharge)], []
    runs = reconcile.reconcile_due(at=ten + timedelta(days=1))
    assert provider.asked == [YESTERDAY + timedelta(days=1)]
    assert [(run.day, run.undecided) for run in runs] == [
        (YESTERDAY + timedelta(days=1), 0),
        (YESTERDAY, 0),
    ]


def test_a_day_that_raises_stops_no_other(merchant: MerchantAccount, provider: Provider) -> None:
    ten = END + timedelta(hours=10)
    ChannelDay.objects.create(merchant=merchant, day=YESTERDAY - timedelta(days=1), next_try_at=ten)
    broken = row(paid("10.00"), fee=YUAN("99999999999.00000"))  # more than any column holds
    provider.bills = {YESTERDAY - timedelta(days=1): [broken]}
    assert [(run.day, run.rows) for run in reconcile.reconcile_due(at=ten)] == [(YESTERDAY, 0)]
    assert ChannelDay.objects.get(day=YESTERDAY - timedelta(days=1)).next_try_at == ten  # still due
    provider.bills = {}
    later = reconcile.reconcile_due(at=ten + timedelta(minutes=30))
    assert [run.day for run in later] == [YESTERDAY - timedelta(days=1)]


# --- Decisions --------------------------------------------------------------------------------------------


def a_difference(provider: Provider, merchant: MerchantAccount, amount: str = "10.00") -> ChannelDifference:
    recharge = paid(amount)
    provider.rows = [row(recharge, amount=recharge.amount - 1)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    return ChannelDifference.objects.get(recharge=recharge)


def test_a_decision_stands_until_the_figures_change(merchant: MerchantAccount, provider: Provider) -> None:
    one = a_difference(provider, merchant)
    approval = reconcile.request_resolution(difference=one, reason="已线下核实", actor=STAFF)
    assert approval.state == ApprovalState.EXECUTED  # one yuan needs nobody else
    one.refresh_from_db()
    assert (one.state, one.resolution, one.resolved_by) == ("resolved", "已线下核实", "王芳")
    assert ChannelDay.objects.get().differences_open == 0
    with pytest.raises(DifferenceDecided):
        reconcile.request_resolution(difference=one, reason="again", actor=STAFF)
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 0
    provider.rows = [row(one.recharge, amount=YUAN("2.00"))]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 1
    one.refresh_from_db()
    assert (one.state, one.reopened, one.theirs) == (DifferenceState.OPEN, 1, YUAN("2.00"))


def test_a_large_difference_needs_a_second_person(merchant: MerchantAccount, provider: Provider) -> None:
    recharge = paid("500.00")
    provider.rows = []
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    one = ChannelDifference.objects.get(recharge=recharge)
    approval = reconcile.request_resolution(difference=one, reason="银行已确认", actor=STAFF)
    one.refresh_from_db()
    assert (approval.state, one.state) == (ApprovalState.PENDING, "open")
    approvals.approve(approval.pk, OTHER)
    one.refresh_from_db()
    assert (one.state, one.resolution, one.resolved_by) == ("resolved", "银行已确认", "王芳 + 李强")
    assert ChannelDay.objects.get().differences_open == 0


def test_the_tenants_rule_decides_who_is_needed(merchant: MerchantAccount, provider: Provider) -> None:
    approvals.set_policy(
        code="wallet.resolve_difference",
        rule=ApprovalRule.ALWAYS,
        threshold=None,
        actor=STAFF,
        reason="stricter",
    )
    one = a_difference(provider, merchant)
    assert (
        reconcile.request_resolution(difference=one, reason="x", actor=STAFF).state == ApprovalState.PENDING
    )


# --- Query now --------------------------------------------------------------------------------------------


def test_what_is_paid_there_is_healed_by_asking(merchant: MerchantAccount, provider: Provider) -> None:
    waiting = paid("30.00", state=RechargeState.CREATED)
    provider.pay(waiting.recharge_no, waiting.amount, at=NOON)
    provider.rows = [row(waiting)]
    assert reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided == 1
    one = ChannelDifference.objects.get()
    assert one.kind == "state_differs"
    assert reconcile.query_now(difference_id=one.pk).undecided == 0
    one.refresh_from_db()
    waiting.refresh_from_db()
    assert (one.state, waiting.state, waiting.paid_at) == ("cleared", RechargeState.PAID, NOON)
    assert differences() == []


def test_nothing_can_be_asked_about_other_differences(merchant: MerchantAccount, provider: Provider) -> None:
    one = a_difference(provider, merchant)
    with pytest.raises(NothingToAsk):
        reconcile.query_now(difference_id=one.pk)


# --- Pages ------------------------------------------------------------------------------------------------

SEES = (
    "wallet.view_channelday",
    "wallet.view_channeldifference",
    "wallet.view_channelbillrow",
    "wallet.view_merchantaccount",
)
DECIDES = (*SEES, "wallet.reconcile_channel")
DAYS = "/admin/wallet/channelday/"
DIFFERENCES = "/admin/wallet/channeldifference/"


def test_a_days_page_shows_both_sides_and_the_differences(
    merchant: MerchantAccount, provider: Provider
) -> None:
    one = a_difference(provider, merchant)
    client = signed_in(a_user(*DECIDES))
    page = client.get(f"{DAYS}{one.channel_day_id}/change/").content.decode()
    for text in (one.out_no, "10.00", "9.00", "-1.00", "金额不符", "0.06"):
        assert text in page
    empty = client.get(f"{DAYS}{one.channel_day_id}/change/?kind=only_ours").content.decode()
    assert one.out_no in empty  # a tab that is not there shows all


def test_a_difference_is_resolved_on_its_page(merchant: MerchantAccount, provider: Provider) -> None:
    one = a_difference(provider, merchant)
    client = signed_in(a_user(*DECIDES, display_name="王芳"))
    for reason in ("", "已线下核实", "again"):
        client.post(f"{DIFFERENCES}{one.pk}/resolve/", {"_form_submitted": "on", "reason": reason})
    one.refresh_from_db()
    assert (one.state, one.resolution, one.resolved_by) == ("resolved", "已线下核实", "王芳")


def test_the_provider_is_asked_on_its_page(merchant: MerchantAccount, provider: Provider) -> None:
    waiting = paid("30.00", state=RechargeState.CREATED)
    provider.pay(waiting.recharge_no, waiting.amount, at=NOON)
    provider.rows = [row(waiting)]
    reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    one = ChannelDifference.objects.get()
    client = signed_in(a_user(*DECIDES))
    assert f"{DIFFERENCES}{one.pk}/query/" in client.get(f"{DIFFERENCES}{one.pk}/change/").content.decode()
    client.post(f"{DIFFERENCES}{one.pk}/query/", {"_form_submitted": "on"})
    waiting.refresh_from_db()
    one.refresh_from_db()
    assert (waiting.state, one.state) == (RechargeState.PAID, "cleared")
    assert AuditEntry.objects.filter(action="wallet.channeldifference_queried").count() == 1


def test_who_may_only_look_neither_resolves_nor_asks_nor_reconciles(
    merchant: MerchantAccount, provider: Provider
) -> None:
    one = a_difference(provider, merchant)
    provider.asked = []
    reader = signed_in(a_user(*SEES))
    for address in (
        f"{DIFFERENCES}{one.pk}/resolve/",
        f"{DIFFERENCES}{one.pk}/query/",
        f"{DAYS}{one.channel_day_id}/again/",
        f"{DAYS}reconcile/",
    ):
        data = {"_form_submitted": "on", "reason": "x", "merchant": merchant.pk, "day": str(YESTERDAY)}
        assert reader.post(address, data).status_code == 403, address
    one.refresh_from_db()
    assert (one.state, provider.asked) == ("open", [])


def test_a_day_is_reconciled_from_the_list(merchant: MerchantAccount, provider: Provider) -> None:
    client = signed_in(a_user(*DECIDES))
    for day in (business_day(now()), YESTERDAY):
        client.post(f"{DAYS}reconcile/", {"_form_submitted": "on", "merchant": merchant.pk, "day": str(day)})
    assert provider.asked == [YESTERDAY]
    day = ChannelDay.objects.get()
    assert day.state == BillState.RECONCILED
    client.post(f"{DAYS}{day.pk}/again/", {"_form_submitted": "on"})
    assert provider.asked == [YESTERDAY, YESTERDAY]
    assert AuditEntry.objects.filter(action="wallet.channelday_reconciled").count() == 2


def test_the_lists_ask_as_much_for_three_rows_as_for_one(
    merchant: MerchantAccount, provider: Provider
) -> None:
    client = signed_in(a_user(*DECIDES))
    lists = (DAYS, f"{DAYS}?open=1", DIFFERENCES, "/admin/wallet/channelbillrow/")
    counts: dict[str, list[int]] = {}
    for rows in (1, 3):
        provider.rows += [row(paid("10.00"), amount=YUAN(1)) for _ in range(rows)]
        for days in range(1, rows + 1):
            reconcile.reconcile_day(merchant=merchant, day=YESTERDAY - timedelta(days=days - 1))
        for address in lists:
            with CaptureQueriesContext(connection) as queries:
                assert client.get(address).status_code == 200
            counts.setdefault(address, []).append(len(queries))
    assert all(len(set(numbers)) == 1 for numbers in counts.values()), counts


# --- Command and task -------------------------------------------------------------------------------------


def run_command(*arguments: str) -> tuple[int, dict[str, Any]]:
    out = io.StringIO()
    try:
        call_command("reconcile", "--tenant", "alpha", "--json", *arguments, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def test_the_command_says_by_its_exit_code_whether_all_agrees(
    merchant: MerchantAccount, provider: Provider
) -> None:
    recharge = paid("10.00")
    provider.rows = [row(recharge)]
    code, report = run_command("--dry-run")
    assert (code, [run["what"] for run in report["runs"]]) == (0, ["sandbox", "energy"])
    assert not ChannelDay.objects.exists()
    code, report = run_command("--channels")
    assert (code, report["open"], report["runs"][0]["rows"]) == (0, 0, 1)
    provider.rows = []
    code, report = run_command("--merchant", "sandbox", "--day", str(YESTERDAY))
    assert (code, report["open"], report["day"]) == (1, 1, str(YESTERDAY))
    provider.error = Unknown("bill_not_ready")
    code, report = run_command("--channels", "--day", str(YESTERDAY - timedelta(days=1)))
    assert (code, report["without_bill"], report["runs"][0]["problem"]) == (1, 1, "bill_not_ready")
    code, report = run_command("--energy")
    assert (code, [run["what"] for run in report["runs"]]) == (0, ["energy"])


def test_the_command_asks_for_the_accounts_that_the_night_asks_for(
    merchant: MerchantAccount, provider: Provider
) -> None:
    """Also one out of use through which something was paid on that day."""
    provider.rows = [row(paid("10.00"))]
    MerchantAccount.objects.filter(pk=merchant.pk).update(is_active=False)
    code, report = run_command("--channels")
    assert (code, [run["merchant"] for run in report["runs"]]) == (0, ["sandbox"])
    code, report = run_command("--channels", "--day", str(YESTERDAY - timedelta(days=1)))
    assert (code, report["runs"]) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--day", "yesterday"), "not a day"),
        (("--day", "2999-01-01"), "2999-01-01"),
        (("--merchant", "nobody"), "no such merchant account"),
    ],
)
def test_the_command_refuses_what_cannot_be(
    merchant: MerchantAccount, provider: Provider, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(CommandError, match=said) as refused:
        call_command("reconcile", "--tenant", "alpha", *arguments)
    assert refused.value.returncode == 2


# --- Everything at once -----------------------------------------------------------------------------------


def test_runs_and_decisions_at_once_book_one_fee_and_keep_one_decision(committed: Any) -> None:
    merchant = merchant_for("sandbox")
    customer = factories.a_customer("0")
    for amount in ("100.00", "50.00"):
        made = recharges.create_recharge(
            customer=customer, amount=YUAN(amount), channel="sandbox", request_key=amount
        )
        recharges.pay_sandbox(customer=customer, recharge_no=made.recharge_no, at=NOON)
    SandboxTrade.objects.filter(out_trade_no=made.recharge_no).delete()  # in no bill

    def run() -> int:
        return reconcile.reconcile_day(merchant=merchant, day=YESTERDAY).undecided

    assert at_once(*[run] * 6) == [1] * 6
    assert [amount for _, amount in fees()] == ["0.60"]
    assert ChannelBillRow.objects.count() == 1
    one = ChannelDifference.objects.get()

    def resolve() -> str:
        return reconcile.request_resolution(difference=one, reason="x", actor=STAFF).state

    results = at_once(resolve, resolve, resolve, run, run)
    assert results.count(ApprovalState.EXECUTED) == 1
    assert results.count("wallet.difference_decided") == 2
    one.refresh_from_db()
    day = ChannelDay.objects.get()
    assert (one.state, day.differences_open, day.differences_found) == ("resolved", 0, 1)
    assert differences() == []


def test_thousands_of_rows_are_no_query_each(merchant: MerchantAccount, provider: Provider) -> None:
    """Storing, matching and booking, with a difference in every hundredth row; `make bench` measures ten thousand."""
    customer = factories.a_customer("0")
    made = recharges.create_recharge(
        customer=customer, amount=YUAN("10.00"), channel="sandbox", request_key="k"
    )
    moments = [NOON + timedelta(seconds=number) for number in range(2_000)]
    paid_ones = Recharge.objects.bulk_create(
        [
            Recharge(
                recharge_no=f"RC{number:08d}",
                wallet_id=made.wallet_id,
                amount=YUAN("10.00"),
                channel="sandbox",
                merchant=merchant,
                state=RechargeState.PAID,
                paid_at=at,
                request_key=str(number),
            )
            for number, at in enumerate(moments)
        ],
        batch_size=5_000,
    )
    provider.rows = [
        row(one, at=one.paid_at, amount=YUAN("10.01") if number % 100 == 0 else one.amount)
        for number, one in enumerate(paid_ones)
    ]
    with connection.cursor() as cursor:
        cursor.execute("analyze wallet_recharge")  # as autovacuum does after a while
    with CaptureQueriesContext(connection) as queries:
        run = reconcile.reconcile_day(merchant=merchant, day=YESTERDAY)
    assert (run.rows, run.differences) == (2_000, 20)
    assert len(queries) < 100
