"""Pages of merchant accounts, top-ups, notices and tiers: what they show, and never show; who may press what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from apps.backoffice import approvals
from apps.backoffice.errors import SamePerson
from apps.backoffice.models import Approval, AuditEntry
from apps.common.ids import Actor
from apps.orders.ledger_check import differences
from apps.wallet import merchants, recharges, wrong_amounts
from apps.wallet.channels import channel_of
from apps.wallet.channels.base import Mismatch
from apps.wallet.channels.sandbox import SandboxChannel
from apps.wallet.errors import NoWrongAmount
from apps.wallet.models import BonusTier, MerchantAccount, PaymentNotice, Recharge, SandboxTrade
from apps.wallet.services import wallet_of
from tests import factories
from tests.staff import a_user, boss, signed_in

pytestmark = pytest.mark.usefixtures("tenant")
BASE = "/admin/wallet"
DIALOG = {"_form_submitted": "on", "reason": "理由"}


def given(issued: dict[str, Any], **more: str) -> dict[str, str]:
    """What a person types of WeChat Pay's credentials."""
    return {
        "channel": "wechatpay",
        "name": "我们的商户",
        "merchant_no": issued["merchant_no"],
        "app_id": issued["app_id"],
        "base_url": "",
        "certificate_serial": issued["certificate_serial"],
        "private_key": issued["private_key"],
        "api_v3_key": issued["api_v3_key"],
        "public_key_id": issued["public_key_id"],
        "platform_keys": issued["platform_keys"][issued["public_key_id"]],
        **more,
    }


def secrets_of(issued: dict[str, Any]) -> list[str]:
    return [issued["api_v3_key"], issued["private_key"].splitlines()[1], issued["certificate_serial"]]


def test_keys_are_typed_in_once_and_never_come_back(wechatpay_issued: dict[str, Any]) -> None:
    client = boss()
    answer = client.post(f"{BASE}/merchantaccount/add/", given(wechatpay_issued))
    assert answer.status_code == 302, answer.context["errors"]
    merchant = MerchantAccount.objects.get()
    assert (merchant.is_default, merchant.is_active) == (True, True)
    assert channel_of(merchant).name == "wechatpay"
    page = f"{BASE}/merchantaccount/{merchant.pk}/change/"
    pages = (page, f"{BASE}/merchantaccount/", f"{BASE}/merchantaccount/export/")
    shown = [client.get(url).content.decode() for url in pages]
    with connection.cursor() as cursor:
        cursor.execute("select credentials from wallet_merchantaccount")
        shown.append(cursor.fetchone()[0])
    shown += [str(entry.changes) for entry in AuditEntry.objects.all()]
    for text in shown:
        for secret in secrets_of(wechatpay_issued):
            assert secret not in text
    assert merchant.fingerprints["api_v3_key"] in shown[0]
    # An empty field keeps what is stored; a new one replaces it; what does not fit is refused.
    before = merchant.secrets
    kept = {"name": "新名字", "base_url": "", **dict.fromkeys(given(wechatpay_issued).keys() - {"name"}, "")}
    assert client.post(page, kept).status_code == 302
    merchant.refresh_from_db()
    assert (merchant.secrets, merchant.name) == (before, "新名字")
    assert client.post(page, kept | {"api_v3_key": "0" * 32}).status_code == 302
    merchant.refresh_from_db()
    assert merchant.secrets == before | {"api_v3_key": "0" * 32}
    answer = client.post(page, kept | {"api_v3_key": "short"})
    assert (answer.status_code, "api_v3_key" in answer.context["adminform"].form.errors) == (200, True)
    answer = client.post(page, kept | {"private_key": "no key"})
    assert (answer.status_code, "private_key" in answer.context["adminform"].form.errors) == (200, True)
    merchant.refresh_from_db()
    assert merchant.secrets == before | {"api_v3_key": "0" * 32}


def test_new_keys_undo_nothing_that_was_stored_meanwhile(wechatpay_issued: dict[str, Any]) -> None:
    boss().post(f"{BASE}/merchantaccount/add/", given(wechatpay_issued))
    opened, merchant = MerchantAccount.objects.get(), MerchantAccount.objects.get()
    merchants.switch(merchant=merchant, is_active=False)
    merchants.store_credentials(merchant=merchant, given={"api_v3_key": "1" * 32})
    opened.name = "新名字"
    merchants.store_credentials(merchant=opened, given={"certificate_serial": "ABC123"})
    stored = MerchantAccount.objects.get()
    assert (stored.name, stored.is_active) == ("新名字", False)
    assert (stored.secrets["api_v3_key"], stored.secrets["certificate_serial"]) == ("1" * 32, "ABC123")


def test_two_people_do_not_write_over_each_others_keys(wechatpay_issued: dict[str, Any]) -> None:
    boss().post(f"{BASE}/merchantaccount/add/", given(wechatpay_issued))
    merchant = MerchantAccount.objects.get()
    page = f"{BASE}/merchantaccount/{merchant.pk}/change/"
    first, second = boss(), boss()
    seen = {"_seen": first.get(page).context_data["seen"]}
    kept = {"name": "新名字", "base_url": "", **dict.fromkeys(given(wechatpay_issued).keys() - {"name"}, "")}
    assert first.post(page, kept | seen | {"api_v3_key": "1" * 32}).status_code == 302
    answer = second.post(page, kept | seen | {"api_v3_key": "2" * 32}, follow=True)
    assert "您打开页面后，已有人修改了这条记录" in answer.content.decode()
    merchant.refresh_from_db()
    assert merchant.secrets["api_v3_key"] == "1" * 32


def test_who_may_only_look_sees_no_field_of_keys(wechatpay_issued: dict[str, Any]) -> None:
    boss().post(f"{BASE}/merchantaccount/add/", given(wechatpay_issued))
    merchant = MerchantAccount.objects.get()
    reader = signed_in(a_user("wallet.view_merchantaccount"))
    page = reader.get(f"{BASE}/merchantaccount/{merchant.pk}/change/").content.decode()
    assert "api_v3_key" not in page
    for action in ("test", "default", "switch"):
        assert reader.post(f"{BASE}/merchantaccount/{merchant.pk}/{action}/", DIALOG).status_code == 403


def test_an_account_is_switched_and_made_the_default_with_a_reason() -> None:
    first = MerchantAccount.objects.create(channel="wechatpay", name="a", merchant_no="1", is_default=True)
    second = MerchantAccount.objects.create(channel="wechatpay", name="b", merchant_no="2")
    client = boss()
    assert client.post(f"{BASE}/merchantaccount/{second.pk}/default/", DIALOG).status_code == 200
    assert client.post(f"{BASE}/merchantaccount/{first.pk}/switch/", DIALOG).status_code == 200
    rows = {row.name: (row.is_default, row.is_active) for row in MerchantAccount.objects.all()}
    assert rows == {"a": (False, False), "b": (True, True)}
    client.post(f"{BASE}/merchantaccount/{first.pk}/default/", DIALOG)  # not one that is out of use
    assert MerchantAccount.objects.get(is_default=True) == second
    assert (
        AuditEntry.objects.filter(action="wallet.merchantaccount_state_changed", reason="理由").count() == 2
    )


def test_query_now_asks_and_books() -> None:
    customer = factories.a_customer("0")
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
    )
    recharges.prepare_payment(recharge=recharge)
    SandboxChannel().pay(recharge.recharge_no, recharge.amount)
    page = f"{BASE}/recharge/{recharge.pk}/query/"
    reader = signed_in(a_user("wallet.view_recharge"))
    assert reader.post(page, DIALOG).status_code == 403
    assert Recharge.objects.get().state == "created"
    asker = signed_in(a_user("wallet.view_recharge", "wallet.query_recharge"))
    assert asker.post(page, DIALOG).status_code == 200
    assert Recharge.objects.get().state == "paid"
    entry = AuditEntry.objects.get(action="wallet.recharge_queried")
    assert entry.changes == {"state": ["created", "paid"]}


def wrongly_paid(amount: str) -> Recharge:
    """A top-up of 20 yuan with a bonus of 5, of which the provider says that another amount was paid."""
    factories.a_tier("20.00", "5.00")
    customer = factories.a_customer("0")
    recharge = recharges.create_recharge(
        customer=customer, amount=Decimal("20.00"), channel="sandbox", request_key="k"
    )
    SandboxChannel().pay(recharge.recharge_no, Decimal(amount))
    with pytest.raises(Mismatch):
        recharges.check_recharge(recharge_no=recharge.recharge_no)
    recharge.refresh_from_db()
    assert (recharge.state, recharge.problem, recharge.bonus) == ("created", f"amount: {amount}", Decimal(5))
    return recharge


def balances(recharge: Recharge) -> tuple[Decimal, Decimal]:
    wallet = wallet_of(customer=recharge.wallet.customer)
    return wallet.principal, wallet.bonus


def test_a_wrong_amount_is_booked_as_paid_when_two_people_say_so() -> None:
    recharge = wrongly_paid("12.34")
    page = f"{BASE}/recharge/{recharge.pk}/wrong-amount/"
    words = {**DIALOG, "decision": "book"}
    looks = ("wallet.view_recharge", "wallet.query_recharge")
    assert signed_in(a_user(*looks)).post(page, words).status_code == 403
    asker = a_user(*looks, "wallet.decide_wrong_amount", "wallet.approve_wrong_amount")
    button = f"/recharge/{recharge.pk}/wrong-amount/"
    assert button in signed_in(asker).get(f"{BASE}/recharge/{recharge.pk}/change/").content.decode()
    assert signed_in(asker).post(page, words).status_code == 200
    approval = Approval.objects.get(operation="wallet.wrong_amount")
    assert (approval.state, approval.amount) == ("pending", Decimal("12.34"))
    assert approval.changes["amount (yuan)"] == ["20.00", "12.34"]
    assert balances(recharge) == (Decimal(0), Decimal(0))
    with pytest.raises(SamePerson):
        approvals.approve(approval.pk, Actor("staff", str(asker.pk), "X"))

    approvals.approve(approval.pk, Actor("staff", "9002", "王芳"))
    assert balances(recharge) == (Decimal("12.34"), Decimal(0))
    recharge.refresh_from_db()
    assert (recharge.state, recharge.amount, recharge.bonus, recharge.problem) == (
        "paid",
        Decimal("12.34"),
        Decimal(0),
        "",
    )
    assert (recharge.bonus_uses.count(), recharge.channel_trade_no != "") == (0, True)
    assert recharges.check_recharge(recharge_no=recharge.recharge_no).amount == Decimal("12.34")
    assert differences() == []
    assert button not in signed_in(asker).get(f"{BASE}/recharge/{recharge.pk}/change/").content.decode()


def test_a_wrong_amount_that_is_given_back_is_not_booked() -> None:
    recharge = wrongly_paid("0.01")
    boss().post(f"{BASE}/recharge/{recharge.pk}/wrong-amount/", {**DIALOG, "decision": "given_back"})
    approvals.approve(Approval.objects.get().pk, Actor("staff", "9002", "王芳"))
    recharge.refresh_from_db()
    assert (recharge.state, recharge.problem, balances(recharge)) == ("closed", "", (Decimal(0), Decimal(0)))


def test_an_amount_that_is_right_needs_no_decision() -> None:
    recharge = wrongly_paid("12.34")
    SandboxTrade.objects.update(amount=Decimal("20.00"))
    boss().post(f"{BASE}/recharge/{recharge.pk}/wrong-amount/", {**DIALOG, "decision": "book"})
    assert Approval.objects.count() == 0
    assert recharges.check_recharge(recharge_no=recharge.recharge_no).state == "paid"
    assert balances(recharge) == (Decimal("20.00"), Decimal("5.00"))
    with pytest.raises(NoWrongAmount):
        wrong_amounts.request_decision(
            recharge_no=recharge.recharge_no,
            decision=wrong_amounts.Decision.BOOK,
            actor=Actor("staff", "1", "张三"),
            reason="x",
        )


def test_top_ups_are_found_filtered_and_exported() -> None:
    customer = factories.a_customer("30.00")
    paid = Recharge.objects.get()
    unpaid = recharges.create_recharge(
        customer=customer, amount=Decimal("40.00"), channel="sandbox", request_key="k"
    )
    Recharge.objects.filter(pk=unpaid.pk).update(problem="amount: 0.01")
    client = boss()

    def found(**query: str) -> set[str]:
        text = client.get(f"{BASE}/recharge/", query).content.decode()
        return {row.recharge_no for row in (paid, unpaid) if row.recharge_no in text}

    assert found() == {paid.recharge_no, unpaid.recharge_no}
    assert found(q=paid.channel_trade_no) == {paid.recharge_no}
    assert found(q=customer.phone.removeprefix("+86")) == {paid.recharge_no, unpaid.recharge_no}
    assert found(state__exact="created") == {unpaid.recharge_no}
    assert found(has_problem="1") == {unpaid.recharge_no}
    assert found(amount_from="35") == {unpaid.recharge_no}
    lines = client.get(f"{BASE}/recharge/export/", {"state__exact": "paid"}).content.decode().splitlines()
    assert len(lines) == 2
    assert "30.00" in lines[1]


def test_a_notice_is_processed_again_by_who_may() -> None:
    notice = factories.a_notice(state="failed")
    page = f"{BASE}/paymentnotice/{notice.pk}/process/"
    assert signed_in(a_user("wallet.view_paymentnotice")).post(page, DIALOG).status_code == 403
    assert boss().post(page, DIALOG).status_code == 200
    assert PaymentNotice.objects.get().state == "failed"  # still not believed
    assert AuditEntry.objects.filter(action="wallet.paymentnotice_processed").exists()


def test_tiers_are_added_on_a_form_and_switched_by_a_button() -> None:
    client = boss()
    words = {"name": "充100送5", "threshold": "100.00", "bonus": "5.00", "per_customer": ""}
    for wrong in (
        {"threshold": "-1"},
        {"bonus": "0"},
        {"bonus": "x"},
        {"bonus": "1.001"},
        {"per_customer": "0"},
    ):
        assert client.post(f"{BASE}/bonustier/add/", words | wrong).status_code == 200, wrong
    assert client.post(f"{BASE}/bonustier/add/", words).status_code == 302
    tier = BonusTier.objects.get()
    page = f"{BASE}/bonustier/{tier.pk}/switch/"
    editor = signed_in(a_user("wallet.view_bonustier", "wallet.change_bonustier"))
    assert editor.post(page, DIALOG).status_code == 403
    assert client.post(page, DIALOG).status_code == 200
    assert BonusTier.objects.get().is_active is False
