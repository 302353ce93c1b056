"""The pages of wallet refunds, transfers by hand and debts: who may what, and what is shown."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.db import connection

from apps.backoffice.models import AuditEntry
from apps.orders import settling
from apps.wallet import refund_run, refunds, services
from apps.wallet.models import Debt, WalletPolicy, WalletRefund, WalletRefundPart
from tests import factories
from tests.apps.orders.test_refunds import give_bonus
from tests.apps.wallet.test_refunds import LI, aged, ask, fresh, topped_up
from tests.staff import a_user, signed_in

READ = ("wallet.view_wallet", "wallet.view_walletrefund", "wallet.view_walletrefundpart", "wallet.view_debt")
POST = {"_form_submitted": "True"}


def reviewer(**names: str) -> Any:
    return signed_in(a_user(*READ, "wallet.review_walletrefund", **names))


def test_from_the_wallets_button_to_the_bank(tenant: Any, django_capture_on_commit_callbacks: Any) -> None:
    customer = topped_up("100.00", "30.00")
    aged(customer, 400)
    wallet = services.wallet_of(customer=customer)
    first = signed_in(
        a_user(*READ, "wallet.apply_walletrefund", "wallet.review_walletrefund", display_name="王芳")
    )
    dialog = first.get(f"/admin/wallet/wallet/{wallet.pk}/refund/").content.decode()
    assert 'value="130.00"' in dialog
    key = re.search(r'name="key" value="([0-9a-f-]{36})"', dialog)
    assert key is not None
    for _ in range(2):
        first.post(
            f"/admin/wallet/wallet/{wallet.pk}/refund/",
            {**POST, "amount": "130.00", "reason": "销户", "key": key[1]},
        )
    refund = WalletRefund.objects.get()
    page = f"/admin/wallet/walletrefund/{refund.pk}/"
    assert first.post(f"{page}approve/", POST).status_code == 403
    html = first.get(f"{page}change/").content.decode()
    assert "这是您发起的申请，须由另一人批准。" in html
    assert f"{page}approve/" not in html
    assert f"{page}reject/" not in html
    assert f"{page}approve/" in reviewer().get(f"{page}change/").content.decode()
    assert fresh(refund).state == "applied"

    with django_capture_on_commit_callbacks(execute=True):
        answer = reviewer(display_name="李强").post(f"{page}approve/", POST)
    assert answer.headers["HX-Redirect"] == f"{page}change/"
    assert (fresh(refund).state, fresh(refund).paid) == ("executing", Decimal("30.00"))
    html = first.get(f"{page}change/").content.decode()
    for words in ("待人工转账", "渠道已打款", "审核通过", "李强", "30.00"):
        assert words in html, words

    part = WalletRefundPart.objects.get(state="manual")
    listed = first.get("/admin/wallet/walletrefundpart/", {"state__exact": "manual"}).content.decode()
    assert part.out_refund_no in listed
    transfer = f"/admin/wallet/walletrefundpart/{part.pk}/transferred/"
    sent = {**POST, "transfer_no": "2026112800001", "transfer_to": "张三 6222"}
    assert first.post(transfer, sent).status_code == 403
    third = signed_in(a_user(*READ, "wallet.transfer_part", display_name="赵敏"))
    third.post(transfer, sent)
    done = fresh(refund)
    assert (done.state, done.paid) == ("done", Decimal("130.00"))
    deeds = list(
        AuditEntry.objects.filter(action__startswith="wallet.")
        .order_by("id")
        .values_list("action", "actor_name")
    )
    assert deeds == [
        ("wallet.wallet_refund_applied", "王芳"),
        ("wallet.walletrefund_approved", "李强"),
        ("wallet.walletrefundpart_transferred", "赵敏"),
    ]
    for term in (refund.refund_no, part.out_refund_no, "2026112800001", customer.phone.removeprefix("+86")):
        assert (
            part.out_refund_no in third.get("/admin/wallet/walletrefundpart/", {"q": term}).content.decode()
        )


def test_a_rejection_needs_a_reason(tenant: Any) -> None:
    customer = topped_up("100.00")
    refund = ask(customer)
    client, page = reviewer(), f"/admin/wallet/walletrefund/{refund.pk}/"
    assert client.post(f"{page}reject/", {**POST, "reason": ""}).status_code == 200
    assert fresh(refund).state == "applied"
    client.post(f"{page}reject/", {**POST, "reason": "资料不全"})
    assert (fresh(refund).state, fresh(refund).review_reason) == ("rejected", "资料不全")
    assert client.post(f"{page}approve/", POST).status_code == 403


def test_each_button_needs_its_own_permission(tenant: Any) -> None:
    customer = topped_up("100.00")
    aged(customer, 400)
    refund = ask(customer)
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.run_due()
    other = ask(topped_up("10.00"))
    client = signed_in(a_user(*READ, "wallet.change_walletrefund", "wallet.change_walletrefundpart"))
    data = {**POST, "reason": "x", "amount": "1.00", "transfer_no": "1", "transfer_to": "x"}
    for path in (
        f"walletrefund/{other.pk}/approve",
        f"walletrefund/{other.pk}/reject",
        f"walletrefund/{other.pk}/by-hand",
        f"walletrefundpart/{refund.parts.get().pk}/transferred",
        f"wallet/{other.wallet_id}/refund",
    ):
        assert client.post(f"/admin/wallet/{path}/", data).status_code == 403, path
    assert (fresh(refund).state, fresh(other).state) == ("executing", "applied")


def test_a_short_merchant_account_is_said_aloud(tenant: Any) -> None:
    refund = ask(topped_up("100.00"))
    refunds.approve(refund_no=refund.refund_no, reviewer=LI)
    refund_run.begin(refund_no=refund.refund_no)
    refund.parts.update(state="short", problem="NOT_ENOUGH: 基本账户余额不足")
    client = reviewer()
    html = client.get(f"/admin/wallet/walletrefund/{refund.pk}/change/").content.decode()
    assert 'role="alert"' in html
    assert "请在渠道商户平台充值" in html
    chips = client.get("/admin/wallet/walletrefund/").content.decode()
    assert re.search(r"商户余额不足 <b>1</b>", chips)


def test_debts_are_recovered_where_there_is_money(tenant: Any) -> None:
    customer = factories.a_customer("5.00")
    order = factories.a_charging_order(customer=customer)
    settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)
    debt = Debt.objects.get()
    page = f"/admin/wallet/debt/{debt.pk}/"
    client = signed_in(a_user(*READ, "wallet.recover_debt", display_name="王芳"))
    assert client.post(f"{page}recover/", POST).status_code == 403  # nothing to take
    give_bonus(customer, "3.00")
    assert "立即追缴" in client.get(f"{page}change/").content.decode()
    assert signed_in(a_user(*READ)).post(f"{page}recover/", POST).status_code == 403
    client.post(f"{page}recover/", POST)
    debt.refresh_from_db()
    assert (debt.recovered, debt.recovered_bonus, debt.outstanding) == (Decimal(3), Decimal(3), Decimal(4))
    html = client.get("/admin/wallet/debt/", {"debt": "open"}).content.decode()
    assert order.order_no in html
    assert "1 位车主欠费（元） <b>4.00</b>" in html
    assert order.order_no not in client.get("/admin/wallet/debt/", {"debt": "closed"}).content.decode()
    with connection.cursor() as cursor:
        cursor.execute("update wallet_debt set created_at = created_at - interval '31 days'")
    assert order.order_no in client.get("/admin/wallet/debt/", {"age": "30"}).content.decode()
    assert order.order_no not in client.get("/admin/wallet/debt/", {"age": "90"}).content.decode()
    assert AuditEntry.objects.filter(action="wallet.debt_recovered", actor_name="王芳").count() == 1


def test_the_rule_for_the_bonus_is_changed_with_a_permission(tenant: Any) -> None:
    row = WalletPolicy.objects.get()
    page = f"/admin/wallet/walletpolicy/{row.pk}/change/"
    reader = signed_in(a_user("wallet.view_walletpolicy"))
    assert reader.get("/admin/wallet/walletpolicy/").headers["location"] == page
    data = {"bonus_on_refund": "keep", "note": ""}
    assert signed_in(a_user("wallet.view_walletpolicy")).post(page, data).status_code == 403
    client = signed_in(a_user("wallet.view_walletpolicy", "wallet.change_walletpolicy", display_name="王芳"))
    client.post(page, data)
    assert refunds.policy().bonus_on_refund == "keep"
    entry = AuditEntry.objects.get(action__startswith="wallet.")
    assert (entry.actor_name, entry.action) == ("王芳", "wallet.walletpolicy_changed")
