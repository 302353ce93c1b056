"""The customer pages: who sees a phone number, and how a customer is found."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backoffice.models import AuditEntry
from apps.customers.cards import check_pin, pin_digest
from apps.customers.errors import PinWrong
from tests import factories
from tests.staff import a_user, signed_in

LIST = "/admin/customers/customer/"


@pytest.mark.parametrize(
    ("permissions", "seen"),
    [(("customers.view_customer",), False), (("customers.view_customer", "customers.view_phone"), True)],
)
def test_a_phone_number_is_masked_everywhere(tenant: Any, permissions: tuple[str, ...], seen: bool) -> None:
    customer = factories.a_customer("0", phone="+8613912345678", nickname="")
    client = signed_in(a_user(*permissions))
    for page in (LIST, f"{LIST}{customer.pk}/change/"):
        html = client.get(page).content.decode()
        assert ("13912345678" in html) is seen, page
        assert "139****5678" in html
    assert "13912345678" not in client.get(f"{LIST}export/").content.decode()


@pytest.mark.parametrize(
    ("term", "found"), [("13912345678", 1), ("+8613912345678", 1), ("1391234", 0), ("小王", 1)]
)
def test_a_whole_number_finds_a_customer(tenant: Any, term: str, found: int) -> None:
    factories.a_customer("0", phone="+8613912345678", nickname="小王")
    factories.a_customer("0")
    client = signed_in(a_user("customers.view_customer"))
    assert len(client.get(LIST, {"q": term}).context_data["cl"].result_list) == found


def test_a_pin_is_set_with_its_permission_and_shown_to_nobody(tenant: Any) -> None:
    customer = factories.a_customer("0")
    url = f"{LIST}{customer.pk}/pin/"
    form = {"_form_submitted": "True", "reason": "柜台办理", "pin": "864209"}
    stranger = signed_in(a_user("customers.view_customer", "customers.view_phone", "customers.change_card"))
    assert stranger.post(url, form).status_code == 403
    client = signed_in(a_user("customers.view_customer", "customers.set_pin", "backoffice.view_auditentry"))
    for wrong in (
        {"pin": "123"},
        {"pin": "1234567890123"},
        {"pin": "12a4"},
        {"pin": "１２３４"},
        {"reason": ""},
    ):
        client.post(url, form | wrong)
    customer.refresh_from_db()
    assert customer.pin == ""
    assert "未设置" in client.get(f"{LIST}{customer.pk}/change/").content.decode()
    client.post(url, form)
    customer.refresh_from_db()
    check_pin(customer=customer, digest=pin_digest("864209"))
    entry = AuditEntry.objects.get(action="customers.customer_pin_set")
    assert (entry.changes, entry.reason) == ({"has_pin": [False, True]}, "柜台办理")
    pages = (f"{LIST}{customer.pk}/change/", LIST, url, "/admin/backoffice/auditentry/")
    shown = [client.get(page).content.decode() for page in pages]
    assert [page for page in shown if "864209" in page or customer.pin in page] == []
    assert "设置桩上密码" in shown[3]
    client.post(url, {**form, "pin": ""})
    customer.refresh_from_db()
    with pytest.raises(PinWrong):
        check_pin(customer=customer, digest=pin_digest("864209"))
