"""Top-ups through the providers' sandboxes, over real HTTP both ways, with every fault that they can have."""

from __future__ import annotations

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection

from apps.common.time import now
from apps.customers.models import CustomerIdentity
from apps.orders.ledger_check import differences
from apps.wallet import notices, recharges, tasks
from apps.wallet.channels.base import Mismatch
from apps.wallet.errors import ChannelBusy, ChannelNotAvailable, PayerUnknown, RechargeClosed
from apps.wallet.merchants import check_connection, merchant_for, refresh_keys, switch
from apps.wallet.models import JournalEntry, MerchantAccount, PaymentNotice, Recharge
from tests import broker, factories
from tests.apps.orders.test_at_once import at_once
from tests.apps.wallet.conftest import TIMEOUT, Console, Shopping, Site, open_shop

HUNDRED = Decimal("100.00")


def overdue(recharge: Recharge) -> None:
    """Its time is over, here; the provider still takes money."""
    Recharge.objects.filter(pk=recharge.pk).update(
        expires_at=now() - timedelta(seconds=1), next_check_at=now() - timedelta(seconds=1)
    )


def beat() -> None:
    """What beat does, some minutes later."""
    Recharge.objects.exclude(next_check_at=None).update(next_check_at=now())
    tasks.check_recharges()
    PaymentNotice.objects.filter(state="received").update(received_at=now() - timedelta(minutes=1))
    tasks.process_notices()


def booked(shopping: Shopping, principal: str, bonus: str = "0.00") -> None:
    """This much is in the wallet, and the books agree."""
    wallet = shopping.wallet()
    assert (wallet.principal, wallet.bonus) == (Decimal(principal), Decimal(bonus))
    assert differences() == []


# --- The way it should go ---------------------------------------------------------------------------------


def test_a_top_up_is_booked_with_its_bonus_when_the_provider_tells(shopping: Shopping) -> None:
    tier = factories.a_tier("100.00", "5.00")
    recharge, params = shopping.begin()
    booked(shopping, "0.00")
    paid = shopping.pay(params)
    booked(shopping, "100.00", "5.00")
    recharge.refresh_from_db()
    assert (recharge.state, recharge.bonus, recharge.next_check_at) == ("paid", Decimal("5.00"), None)
    assert recharge.channel_trade_no == paid.get("transaction_id", paid.get("trade_no"))
    assert [rule["tier"] for rule in recharge.bonus_rule] == [tier.pk]
    notice = PaymentNotice.objects.get()
    assert (notice.state, notice.times, notice.amount, notice.recharge_id) == (
        "done",
        1,
        HUNDRED,
        recharge.pk,
    )
    assert [delivery["accepted"] for delivery in shopping.console.state()["deliveries"]] == [True]
    # Nothing of what the notice says can be read in the database.
    with connection.cursor() as cursor:
        cursor.execute("select headers || body from wallet_paymentnotice")
        assert recharge.recharge_no not in cursor.fetchone()[0]


def test_a_silent_provider_is_asked(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    tasks.check_recharges()  # too early
    assert Recharge.objects.get().checks == 0
    beat()
    waiting = Recharge.objects.get()
    assert (waiting.state, waiting.checks) == ("created", 1)
    assert waiting.next_check_at > now()
    shopping.pay(params, notify="no")
    beat()
    booked(shopping, "100.00")
    assert Recharge.objects.get().next_check_at is None


def test_what_is_not_paid_in_time_is_closed_at_the_provider_first(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    overdue(recharge)
    beat()
    recharge.refresh_from_db()
    assert (recharge.state, recharge.closed_at is not None) == ("closed", True)
    order = shopping.at_provider(recharge.recharge_no)
    assert order.get("state", order.get("status")) in {"CLOSED", "TRADE_CLOSED"}
    with pytest.raises(RechargeClosed):
        recharges.prepare_payment(recharge=recharge)
    # Half an hour later the provider is asked once more, and then no more.
    beat()
    assert Recharge.objects.get().next_check_at is None
    booked(shopping, "0.00")


# --- Notices that should not be believed, or not twice ------------------------------------------------------


def test_a_notice_sent_twice_is_booked_once(shopping: Shopping) -> None:
    _, params = shopping.begin()
    shopping.console.fault("duplicate_callback")
    shopping.pay(params)
    booked(shopping, "100.00")
    assert PaymentNotice.objects.get().times == 2
    assert [delivery["accepted"] for delivery in shopping.console.state()["deliveries"]] == [True, True]
    assert JournalEntry.objects.count() == 1


def test_notices_out_of_order_find_their_top_ups(shopping: Shopping) -> None:
    shopping.console.fault("callback_out_of_order")
    _, first = shopping.begin("10.00", "a")
    _, second = shopping.begin("20.00", "b")
    shopping.pay(first)
    booked(shopping, "0.00")
    shopping.pay(second)
    booked(shopping, "30.00")
    assert sorted(PaymentNotice.objects.values_list("state", "amount")) == [
        ("done", Decimal("10.00")),
        ("done", Decimal("20.00")),
    ]


def test_a_forged_notice_is_refused_and_leaves_nothing(shopping: Shopping) -> None:
    _, params = shopping.begin()
    shopping.console.fault("bad_signature", only="notice")
    shopping.pay(params)
    assert [delivery["accepted"] for delivery in shopping.console.state()["deliveries"]] == [False]
    assert not PaymentNotice.objects.exists()
    booked(shopping, "0.00")
    beat()  # the money is there all the same, as the provider says when it is asked
    booked(shopping, "100.00")


def test_a_replayed_notice_moves_nothing_and_an_altered_one_is_refused(shopping: Shopping) -> None:
    _, params = shopping.begin()
    shopping.pay(params)
    ((path, headers, body),) = shopping.site.received
    signed = {k: v for k, v in headers.items() if k.startswith("wechatpay") or k == "content-type"}
    for _ in range(3):
        assert shopping.site.post(path, body, **signed)[0] in {200, 204}
    assert PaymentNotice.objects.get().times == 4
    altered = body.replace(b"1", b"2", 1)
    assert shopping.site.post(path, altered, **signed)[0] in {400, 401}
    assert PaymentNotice.objects.get().times == 4
    booked(shopping, "100.00")


def test_a_notice_of_another_amount_books_nothing_and_asks_for_a_person(shopping: Shopping) -> None:
    recharge, params = shopping.begin("100.00")
    shopping.pay(params, amount=1 if shopping.provider == "wechatpay" else "0.01")
    booked(shopping, "0.00")
    notice = PaymentNotice.objects.get()
    assert (notice.state, notice.error, notice.amount) == ("failed", "mismatch: amount", Decimal("0.01"))
    recharge.refresh_from_db()
    assert (recharge.state, recharge.problem) == ("created", "amount: 0.01")
    with pytest.raises(Mismatch):
        recharges.check_recharge(recharge_no=recharge.recharge_no)
    beat()
    booked(shopping, "0.00")


def test_money_that_comes_after_the_closing_is_booked(shopping: Shopping) -> None:
    factories.a_tier("100.00", "5.00", per_customer=1)
    recharge, params = shopping.begin("100.00", "first")
    overdue(recharge)
    beat()
    # The bonus is free again, and another top-up takes it.
    other, more = shopping.begin("100.00", "second")
    assert (recharge.bonus, other.bonus) == (Decimal("5.00"), Decimal("5.00"))
    shopping.pay(more)
    shopping.pay(params, force=True)
    booked(shopping, "200.00", "5.00")
    recharge.refresh_from_db()
    assert (recharge.state, recharge.bonus, recharge.bonus_rule[0]["used_up"]) == (
        "paid",
        Decimal("0.00"),
        True,
    )


def test_late_money_whose_notice_was_lost_is_found_by_the_last_question(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    overdue(recharge)
    beat()
    shopping.pay(params, force=True, notify="no")
    beat()
    booked(shopping, "100.00")


def test_a_payment_between_question_and_closing_is_found(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    overdue(recharge)
    shopping.console.fault("slow", only="close", seconds=1)
    pays = threading.Timer(0.5, lambda: shopping.pay(params, notify="no"))
    pays.start()
    recharges.check_recharge(recharge_no=recharge.recharge_no)
    pays.join()
    recharge.refresh_from_db()
    assert recharge.state == "paid"
    booked(shopping, "100.00")


def test_a_notice_for_another_account_or_tenant_is_not_taken(shopping: Shopping, other_tenant: Any) -> None:
    recharge, params = shopping.begin()
    shopping.pay(params, notify="no")
    other = MerchantAccount.objects.create(
        channel=shopping.provider,
        name="other",
        merchant_no="1900099999",
        app_id=shopping.merchant.app_id,
        credentials=shopping.merchant.credentials,
        base_url=shopping.merchant.base_url,
    )
    shopping.console("POST", "announce", out_trade_no=recharge.recharge_no)
    ((path, headers, body),) = shopping.site.received
    assert path == f"/notices/alpha/{shopping.provider}/{shopping.merchant.pk}/"
    signed = {k: v for k, v in headers.items() if k.startswith("wechatpay") or k == "content-type"}

    def to(place: str) -> int:
        return shopping.site.post(place, body, **signed)[0]

    assert to(f"/notices/alpha/{shopping.provider}/{other.pk}/") in {400, 401}
    assert to(f"/notices/beta/{shopping.provider}/{shopping.merchant.pk}/") == 404
    assert to(f"/notices/nobody/{shopping.provider}/{shopping.merchant.pk}/") == 404
    assert to(f"/notices/alpha/sandbox/{shopping.merchant.pk}/") == 404
    assert PaymentNotice.objects.get().merchant_id == shopping.merchant.pk
    booked(shopping, "100.00")


def test_what_is_no_notice(shopping: Shopping, platform_client: Any, tenant_client: Any) -> None:
    path = f"/notices/alpha/{shopping.provider}/{shopping.merchant.pk}/"
    for body in (b"", b"{}", b"\xff\xfe", b"a=b&c=d", b'{"id": 1}', b"[" * 5000):
        assert shopping.site.post(path, body)[0] in {400, 401}, body
    assert shopping.site.post(path, b"x" * 70_000)[0] == 413
    assert platform_client.get(path).status_code == 405
    assert tenant_client.post(path, b"{}", content_type="application/json").status_code in {400, 401}
    beta = path.replace("alpha", "beta")
    assert tenant_client.post(beta, b"{}", content_type="application/json").status_code == 404
    assert not PaymentNotice.objects.exists()


def test_a_notice_whose_task_was_lost_is_found(shopping: Shopping) -> None:
    _, params = shopping.begin()
    with broker.dead():
        shopping.pay(params)
        assert PaymentNotice.objects.get().state == "received"
    booked(shopping, "0.00")
    assert notices.pending_notices() == []  # its task may be on the way
    beat()
    booked(shopping, "100.00")
    assert PaymentNotice.objects.get().state == "done"


# --- Providers in trouble ---------------------------------------------------------------------------------


def test_a_provider_that_accepts_and_never_answers_gets_one_order(shopping: Shopping, settings: Any) -> None:
    settings.PAYMENT_TIMEOUT_S = (2.0, 0.5)
    shopping.merchant.save()  # a new client
    shopping.console.fault("timeout_after_accept", seconds=3, times=1)
    recharge, params = shopping.begin()
    assert len(shopping.console.state()["orders"]) == 1
    shopping.pay(params)
    booked(shopping, "100.00")


@pytest.mark.parametrize("fault", ["http_500", "rate_limited", "bad_signature", "timeout_after_accept"])
def test_a_provider_in_trouble_is_asked_again_under_the_same_number(
    shopping: Shopping, fault: str, settings: Any
) -> None:
    settings.PAYMENT_TIMEOUT_S = (2.0, 0.5)
    shopping.merchant.save()
    shopping.console.fault(fault, times=2, seconds=2)
    with pytest.raises(ChannelBusy):
        shopping.begin()
    recharge, params = shopping.begin()  # the same key: the driver tries again
    assert [row["out_trade_no"] for row in shopping.console.state()["orders"]] == [recharge.recharge_no]
    assert Recharge.objects.count() == 1
    shopping.pay(params, notify="no")
    shopping.console.fault(fault, times=1, seconds=2)
    beat()
    troubled = Recharge.objects.get()
    assert (troubled.state, troubled.checks, troubled.problem != "") == ("created", 1, True)
    beat()
    booked(shopping, "100.00")
    assert Recharge.objects.get().problem == ""


def test_slow_answers_and_unknown_fields_do_no_harm(shopping: Shopping) -> None:
    shopping.console.fault("slow", seconds=0.3)
    shopping.console.fault("unknown_field", times=None)
    _, params = shopping.begin()
    shopping.pay(params)
    booked(shopping, "100.00")


def test_an_order_that_is_paid_already_is_booked_instead_of_made_again(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    shopping.pay(params, notify="no")
    assert recharges.prepare_payment(recharge=recharge) == {}
    booked(shopping, "100.00")


def test_only_one_asks_for_a_top_up_at_a_time(shopping: Shopping) -> None:
    recharge, _ = shopping.begin()
    Recharge.objects.update(next_check_at=now())
    assert recharges.due_recharges() == [recharge.recharge_no]
    assert recharges.due_recharges() == []


# --- Who, where and how much ------------------------------------------------------------------------------


def test_who_pays_is_known_from_the_sign_in_only(shopping: Shopping) -> None:
    recharge, _ = shopping.begin()
    assert recharge.payer == CustomerIdentity.objects.get().openid
    CustomerIdentity.objects.update(app_id="another app")
    with pytest.raises(PayerUnknown):
        shopping.begin(key="other")
    assert Recharge.objects.count() == 1


def test_an_account_out_of_use_takes_no_new_money_and_books_what_comes(shopping: Shopping) -> None:
    _, params = shopping.begin()
    switch(merchant=shopping.merchant, is_active=False)
    with pytest.raises(ChannelNotAvailable):
        merchant_for(shopping.provider)
    shopping.pay(params)
    booked(shopping, "100.00")


def test_the_test_of_a_connection_proves_both_directions(shopping: Shopping) -> None:
    merchant = shopping.merchant
    assert check_connection(merchant=merchant).ok
    shopping.console.fault("bad_signature")
    assert check_connection(merchant=merchant).cause == "answer_signature"
    wrong = (
        {"merchant_no": "1900088888"} if shopping.provider == "wechatpay" else {"app_id": "2021999999999999"}
    )
    MerchantAccount.objects.filter(pk=merchant.pk).update(**wrong, updated_at=now())
    merchant.refresh_from_db()
    assert not check_connection(merchant=merchant).ok
    assert not shopping.console.state()["orders"]


def test_a_new_platform_certificate_is_fetched_when_a_notice_comes_with_it(
    wechatpay_server: Any, wechatpay_console: Console, site: Site, settings: Any
) -> None:
    settings.PAYMENT_TIMEOUT_S = TIMEOUT
    issued = wechatpay_server[0].issue(certificates=True)
    shop = open_shop("wechatpay", issued, wechatpay_server[1].url, wechatpay_console, site)
    wechatpay_console("POST", "settings", notice_key="certificate")
    serial = wechatpay_console("POST", "rotate", key="certificate")["id"]
    recharges.create_recharge(customer=shop.customer, amount=HUNDRED, channel="wechatpay", request_key="k")
    recharge = Recharge.objects.get()
    wechatpay_console.fault("http_500", only="certificates")
    with pytest.raises(ChannelBusy):  # answers are signed with the new one as well
        recharges.prepare_payment(recharge=recharge)
    assert serial not in MerchantAccount.objects.get().secrets["platform_keys"]
    cache.clear()  # five minutes later
    wechatpay_console("POST", "pay", out_trade_no=recharge.recharge_no)
    booked(shop, "0.00")  # refused, and the certificate fetched meanwhile
    assert serial in MerchantAccount.objects.get().secrets["platform_keys"]
    wechatpay_console("POST", "announce", out_trade_no=recharge.recharge_no)
    booked(shop, "100.00")
    assert refresh_keys(merchant=MerchantAccount.objects.get()) == []


def test_merchants_with_a_public_key_have_no_certificates_to_look_for(shopping: Shopping) -> None:
    assert refresh_keys(merchant=shopping.merchant) == []


# --- At the same time -------------------------------------------------------------------------------------


def test_a_double_click_makes_one_top_up_and_one_bonus(shopping: Shopping) -> None:
    factories.a_tier("100.00", "5.00", per_customer=1)
    results = at_once(*[lambda: shopping.begin()[1] for _ in range(4)])
    assert len(shopping.console.state()["orders"]) == Recharge.objects.count() == 1
    assert all(isinstance(result, dict) for result in results)
    several = at_once(*[lambda key=key: shopping.begin(key=key)[0].bonus for key in "abcd"])
    assert several == [Decimal("0.00")] * 4


def test_notice_question_and_button_at_once_book_once(shopping: Shopping) -> None:
    recharge, params = shopping.begin()
    shopping.pay(params, notify="no")
    number = recharge.recharge_no
    calls = [lambda: recharges.check_recharge(recharge_no=number).state for _ in range(3)]
    announce = lambda: shopping.console("POST", "announce", out_trade_no=number) and "paid"  # noqa: E731
    assert at_once(*calls, announce) == ["paid"] * 4
    booked(shopping, "100.00")
    assert JournalEntry.objects.count() == 1
