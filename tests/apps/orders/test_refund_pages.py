"""The pages of order refunds: the button, the review, who may what."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from apps.backoffice.models import AuditEntry
from apps.orders.models import Order, OrderRefund
from apps.wallet import services
from tests.apps.orders.test_refunds import WANG, ask, settled
from tests.staff import a_user, signed_in

READ = ("orders.view_order", "orders.view_orderrefund")


def test_staff_apply_and_a_second_person_approves(tenant: Any) -> None:
    order = settled()
    first = a_user(*READ, "orders.apply_orderrefund", "orders.review_orderrefund", display_name="王芳")
    client, page = signed_in(first), f"/admin/orders/order/{order.pk}/"
    assert "退款" in client.get(f"{page}change/").content.decode()
    dialog = client.get(f"{page}refund/").content.decode()
    assert 'value="8.00"' in dialog
    assert 'value="4.00"' in dialog
    key = re.search(r'name="key" value="([0-9a-f-]{36})"', dialog)
    assert key is not None
    sent = {
        "_form_submitted": "True",
        "electricity": "8.00",
        "service": "1.00",
        "reason": "跳枪",
        "key": key[1],
    }
    for _ in range(2):  # pressed twice
        answer = client.post(f"{page}refund/", sent)
        assert answer.headers["HX-Redirect"] == f"{page}change/"
    refund = OrderRefund.objects.get()
    assert (refund.amount, refund.applied_by) == (Decimal("9.00"), "王芳")

    review = f"/admin/orders/orderrefund/{refund.pk}/"
    assert client.post(f"{review}approve/", {"_form_submitted": "True"}).status_code == 403
    refund.refresh_from_db()
    assert refund.state == "applied"
    html = client.get(f"{review}change/").content.decode()
    assert "这是您发起的申请，须由另一人批准。" in html
    assert f"{review}approve/" not in html

    other = signed_in(a_user(*READ, "orders.review_orderrefund", display_name="李强"))
    answer = other.post(f"{review}approve/", {"_form_submitted": "True"})
    assert answer.headers["HX-Redirect"] == f"{review}change/"
    refund.refresh_from_db()
    assert (refund.state, refund.principal, refund.reviewed_by) == ("done", Decimal("9.00"), "李强")
    assert services.wallet_of(customer=order.customer).principal == Decimal("97.00")
    deeds = list(AuditEntry.objects.order_by("id").values_list("action", "actor_name", "reason"))
    assert ("orders.order_refund_applied", "王芳", "跳枪") in deeds
    assert ("orders.orderrefund_approved", "李强", "") in deeds
    assert other.post(f"{review}reject/", {"_form_submitted": "True", "reason": "x"}).status_code == 403
    html = other.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    assert refund.refund_no in html


def test_a_rejection_needs_a_reason(tenant: Any) -> None:
    refund = ask(settled())
    client = signed_in(a_user(*READ, "orders.review_orderrefund"))
    page = f"/admin/orders/orderrefund/{refund.pk}/reject/"
    assert client.post(page, {"_form_submitted": "True", "reason": ""}).status_code == 200
    refund.refresh_from_db()
    assert refund.state == "applied"
    client.post(page, {"_form_submitted": "True", "reason": "记录正常"})
    refund.refresh_from_db()
    assert (refund.state, refund.review_reason) == ("rejected", "记录正常")


def test_each_button_needs_its_own_permission(tenant: Any) -> None:
    refund = ask(settled())
    order = Order.objects.get()
    client = signed_in(a_user(*READ, "orders.change_orderrefund", "orders.change_order"))
    post = {"_form_submitted": "True", "reason": "x", "electricity": "0.00", "service": "1.00"}
    for page in (
        f"orderrefund/{refund.pk}/approve",
        f"orderrefund/{refund.pk}/reject",
        f"order/{order.pk}/refund",
    ):
        assert client.post(f"/admin/orders/{page}/", post).status_code == 403
    refund.refresh_from_db()
    assert refund.state == "applied"


def test_amounts_typed_wrong_come_back_with_words(tenant: Any) -> None:
    order = settled()
    client = signed_in(a_user(*READ, "orders.apply_orderrefund"))
    page = f"/admin/orders/order/{order.pk}/refund/"
    for amount in ("-1", "0.001", "abc", "1e400", "99999999999999", "NaN", ""):
        answer = client.post(
            page, {"_form_submitted": "True", "electricity": amount, "service": "0", "reason": "x"}
        )
        assert answer.status_code == 200, amount
    client.post(page, {"_form_submitted": "True", "electricity": "8.01", "service": "0", "reason": "x"})
    assert (
        "最多可退电费 8.00 元、服务费 4.00 元"
        in client.get(f"/admin/orders/order/{order.pk}/change/").content.decode()
    )
    assert not OrderRefund.objects.exists()


def test_a_refund_is_found_by_number_order_and_phone(tenant: Any) -> None:
    refund, other = ask(settled(), applied_by=WANG), ask(settled())
    client = signed_in(a_user(*READ))
    phone = refund.order.customer.phone.removeprefix("+86")
    for term in (refund.refund_no, refund.order.order_no, phone):
        html = client.get("/admin/orders/orderrefund/", {"q": term}).content.decode()
        assert refund.refund_no in html
        assert other.refund_no not in html
    assert "待审核" in html
    export = client.get("/admin/orders/orderrefund/export/").content.decode()
    assert refund.refund_no in export
