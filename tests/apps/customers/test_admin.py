"""The customer pages: who sees a phone number, and how a customer is found."""

from __future__ import annotations

from typing import Any

import pytest

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
