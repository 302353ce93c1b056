"""Filters of a list that people keep: their own, and those that are shared."""

from __future__ import annotations

from typing import Any

from apps.backoffice.models import SavedFilter
from apps.backoffice.saved_filters import MOST_OF_ONE
from tests import factories
from tests.staff import a_user, signed_in

LIST = "/admin/orders/order/"
FILTER = "state__exact=charging&state__exact=starting"


def save(client: Any, name: str, query: str = FILTER, **words: str) -> str:
    answer = client.post(f"{LIST}save-filter/?{query}", {"_form_submitted": "on", "name": name, **words})
    return str(answer.headers.get("HX-Redirect", ""))


def names(client: Any, query: str = "") -> list[tuple[str, bool]]:
    chips = client.get(f"{LIST}?{query}").context_data["saved_filters"]
    return [(chip.name, chip.active) for chip in chips]


def test_a_filter_is_saved_used_replaced_and_forgotten(tenant: Any) -> None:
    order, _other = factories.a_charging_order(), factories.a_station()
    client = signed_in(a_user("orders.view_order"))
    page = client.get(f"{LIST}?{FILTER}&p=0&e=1").content.decode()
    assert f"{LIST}save-filter/?{FILTER}".replace("&", "&amp;") in page
    # Where one is in the list is no part of a filter, and the order of its parts does not matter.
    assert save(client, "在充<b>", f"p=0&q=&e=1&{FILTER}", is_shared="on") == f"{LIST}?{FILTER}"
    row = SavedFilter.objects.get()
    assert (row.query, row.is_shared) == (FILTER, False)  # sharing needs its permission
    assert names(client) == [("在充<b>", False)]
    assert names(client, FILTER) == [("在充<b>", True)]
    answer = client.get(f"{LIST}?{FILTER}")
    assert "<b>在充" not in answer.content.decode()
    assert [one.pk for one in answer.context_data["cl"].result_list] == [order.pk]
    save(client, "在充<b>", "state__exact=completed")
    row.refresh_from_db()
    assert row.query == "state__exact=completed"
    assert client.get(f"{LIST}forget-filter/").status_code == 405
    assert client.post(f"{LIST}forget-filter/", {"filter": "x"}).status_code == 404
    assert client.post(f"{LIST}forget-filter/", {"filter": row.pk}).status_code == 302
    assert names(client) == []


def test_what_cannot_be_saved(tenant: Any) -> None:
    client = signed_in(a_user("orders.view_order"))
    for query in ("", "p=3", "nonsense=1", f"q={'1' * 2001}"):
        save(client, "x", query)
        assert not SavedFilter.objects.exists(), query[:30]
    assert save(client, "n" * 31) == ""
    assert not SavedFilter.objects.exists()
    for number in range(MOST_OF_ONE + 1):
        save(client, f"filter {number}")
    assert SavedFilter.objects.count() == MOST_OF_ONE
    stranger = signed_in(a_user("orders.view_transactionrecord"))
    assert (
        stranger.post(f"{LIST}save-filter/?{FILTER}", {"_form_submitted": "on", "name": "x"}).status_code
        == 403
    )
    assert stranger.post(f"{LIST}forget-filter/", {"filter": 1}).status_code == 403


def test_a_shared_filter_is_everybodys_and_is_forgotten_by_who_may_share(tenant: Any) -> None:
    chief = signed_in(a_user("orders.view_order", "backoffice.share_savedfilter", display_name="王芳"))
    other = signed_in(a_user("orders.view_order"))
    save(chief, "在充", is_shared="on")
    save(chief, "我的")
    save(other, "在充", "state__exact=abnormal")
    assert names(other) == [("在充", False), ("在充", False)]
    assert "王芳" in other.get(LIST).content.decode()
    shared = SavedFilter.objects.get(is_shared=True)
    mine = SavedFilter.objects.get(name="我的")
    for row in (shared, mine):
        assert other.post(f"{LIST}forget-filter/", {"filter": row.pk}).status_code == 404
    second = signed_in(a_user("orders.view_order", "backoffice.share_savedfilter"))
    assert second.post(f"{LIST}forget-filter/", {"filter": mine.pk}).status_code == 404
    assert second.post(f"{LIST}forget-filter/", {"filter": shared.pk}).status_code == 302
    assert names(other) == [("在充", False)]
