"""kill -9 at every step of a top-up or a refund: what beat does afterwards moves the money exactly once."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import pytest
from django.conf import settings

from apps.wallet import refunds
from apps.wallet.models import JournalEntry, PaymentNotice, Recharge, WalletRefund
from tests import factories
from tests.apps.wallet.conftest import Shopping
from tests.apps.wallet.test_recharges import beat, booked, overdue
from tests.apps.wallet.test_refunds import LI, ask, fresh
from tests.apps.wallet.test_refunds_at_providers import REFUND_CALL, instant, is_done, silent
from tests.apps.wallet.test_refunds_at_providers import beat as beat_refunds
from tests.forks import Forks

ON_THE_WAY = ["row not committed", "row written", "order at the provider"]
WITH_THE_NOTICE = [
    "notice believed",
    "notice stored",
    "notice in work",
    "money in the journal, not committed",
    "debts paid, not committed",
    "money booked",
    "notice not marked",
]
WITH_THE_QUESTION = [
    "top-up claimed",
    "answer of the query",
    "notice in work",
    "money in the journal, not committed",
    "money booked",
]
WITH_THE_CLOSING = ["top-up claimed", "answer of the query", "about to close", "closed at the provider"]

WITH_THE_REFUND = [
    "approved, no task",
    "task taken",
    "begun, not committed",
    "begun",
    "part claimed, not committed",
    "part claimed",
    "refund at the provider",
    "answer not booked",
    "refund booked",
]
WITH_THE_REFUNDS_QUESTION = [
    "part claimed",
    "answer about the refund",
    "answer not booked",
    "refund in the journal, not committed",
    "money in the journal, not committed",
    "refund closed, not committed",
    "refund booked",
]


class Killer(Protocol):
    def __call__(self, step: str, *arguments: object) -> None:
        """Have a process work that dies at the step."""


@pytest.fixture
def killed(forks: Forks) -> Killer:
    """Of a process that works with the settings of this one."""

    def at(step: str, *arguments: object) -> None:
        code, said = forks.run(
            "tests.apps.wallet.killed",
            *("t_alpha", step, *arguments),
            settings={"NOTICE_BASE_URL": settings.NOTICE_BASE_URL},
        )
        assert code == -signal.SIGKILL, said

    return at


@pytest.mark.parametrize("step", ON_THE_WAY)
def test_killed_while_it_begins(shopping: Shopping, killed: Killer, step: str) -> None:
    factories.a_tier("100.00", "5.00", per_customer=1)
    killed(step, "begin", shopping.customer.pk, shopping.provider)
    assert Recharge.objects.count() == (0 if step == "row not committed" else 1)
    beat()
    recharge, params = shopping.begin()  # the driver tries again, with the same key
    assert Recharge.objects.get().bonus == Decimal("5.00")
    assert [row["out_trade_no"] for row in shopping.console.state()["orders"]] == [recharge.recharge_no]
    shopping.pay(params)
    booked(shopping, "100.00", "5.00")


@pytest.mark.parametrize("step", WITH_THE_NOTICE)
@pytest.mark.parametrize("again", [True, False], ids=["told again", "never told again"])
def test_killed_while_a_notice_is_worked_on(
    shopping: Shopping, killed: Killer, step: str, again: bool, tmp_path: Path
) -> None:
    factories.a_tier("100.00", "5.00")
    recharge, params = shopping.begin()
    shopping.pay(params, notify="no")
    # The notice as the provider sends it, taken from the wire before our site has seen it.
    taken: list[tuple[str, dict[str, str], bytes]] = []
    shopping.site.keep_from = taken.append
    shopping.console("POST", "announce", out_trade_no=recharge.recharge_no)
    shopping.site.keep_from = None
    ((_, headers, body),) = taken
    place = tmp_path / "notice.json"
    place.write_text(json.dumps({"headers": headers, "body": body.decode()}))
    killed(step, "notice", shopping.provider, shopping.merchant.pk, place)
    if again:
        shopping.console("POST", "announce", out_trade_no=recharge.recharge_no)
    for _ in range(2):
        beat()
    booked(shopping, "100.00", "5.00")
    assert JournalEntry.objects.filter(kind="recharge").count() == 1
    assert not PaymentNotice.objects.exclude(state="done").exists()


@pytest.mark.parametrize("step", WITH_THE_QUESTION)
def test_killed_while_the_provider_is_asked(shopping: Shopping, killed: Killer, step: str) -> None:
    _, params = shopping.begin()
    shopping.pay(params, notify="no")
    killed(step, "check")
    for _ in range(2):
        beat()
    booked(shopping, "100.00")
    assert JournalEntry.objects.count() == 1


@pytest.mark.parametrize("step", WITH_THE_CLOSING)
@pytest.mark.parametrize("paid", [True, False], ids=["paid meanwhile", "never paid"])
def test_killed_while_it_is_closed(shopping: Shopping, killed: Killer, step: str, paid: bool) -> None:
    recharge, params = shopping.begin()
    overdue(recharge)
    killed(step, "check")
    if paid:
        shopping.pay(params, notify="no", force=True)
    for _ in range(2):
        beat()
    recharge.refresh_from_db()
    assert recharge.state == ("paid" if paid else "closed")
    booked(shopping, "100.00" if paid else "0.00")


@pytest.mark.parametrize("step", WITH_THE_REFUND)
def test_killed_while_a_refund_is_paid(shopping: Shopping, killed: Killer, step: str) -> None:
    refund = a_refund(shopping)
    killed(step, "approve", refund.refund_no)
    assert fresh(refund).state in {"approved", "executing", "done"}
    assert shopping.wallet().frozen == fresh(refund).open_amount
    for _ in range(3):
        beat_refunds()
    is_done(shopping, refund, "80.00")


@pytest.mark.parametrize("step", WITH_THE_REFUNDS_QUESTION)
def test_killed_while_the_provider_is_asked_about_a_refund(
    shopping: Shopping, killed: Killer, step: str
) -> None:
    refund = a_refund(shopping)
    shopping.console.fault("bad_signature", REFUND_CALL[shopping.provider])  # done there, unclear here
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    assert refund.parts.get().state == "asked"
    killed(step, "ask again")
    for _ in range(2):
        beat_refunds()
    is_done(shopping, refund, "80.00")


def a_refund(shopping: Shopping) -> WalletRefund:
    """80 of 100 yuan are asked for; the provider pays when it is asked to, and tells nobody."""
    _, params = shopping.begin()
    shopping.pay(params)
    shopping.site.keep_from = silent
    instant(shopping)
    return ask(shopping.customer, "80.00")
