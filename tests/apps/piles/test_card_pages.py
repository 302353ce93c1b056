"""The pages of offline cards: what each pile holds, written and deleted by buttons of piles and stations."""

from __future__ import annotations

from typing import Any

import pytest

from apps.backoffice.models import AuditEntry
from apps.customers.cards import add_card, set_card_state
from apps.customers.models import Card, CardState
from apps.piles.enums import CardOnPile, CommandKind, CommandState
from apps.piles.models import OfflineCard, PileCommand
from tests import factories
from tests.staff import a_user, signed_in

pytestmark = pytest.mark.usefixtures("tenant")
DIALOG = {"_form_submitted": "True", "reason": "换卡"}
READER = ("piles.view_pile", "piles.view_offlinecard", "sites.view_station", "customers.view_card")


def a_card(number: int, **fields: Any) -> Card:
    words = {"works_offline": True, **fields}
    return add_card(
        customer=factories.a_customer("0"), logical_no=f"{number}", physical_no=f"{number:08X}", **words
    )


def manager() -> Any:
    return signed_in(a_user(*READER, "piles.manage_offline_cards"))


def listed(pile: Any) -> dict[str, str]:
    return dict(pile.offline_cards.values_list("logical_no", "state"))


def test_a_pile_gets_the_cards_that_may_charge_offline_and_loses_the_others() -> None:
    pile = factories.a_pile()
    a_card(1)
    a_card(2, works_offline=False)
    frozen = a_card(3)
    OfflineCard.objects.create(
        pile=pile, logical_no="3".zfill(16), physical_no=frozen.physical_no, state=CardOnPile.STORED
    )
    set_card_state(card=frozen, state=CardState.FROZEN)
    client = manager()
    url = f"/admin/piles/pile/{pile.pk}/write-cards/"
    client.get(url)
    client.post(url, {"_form_submitted": "True"})  # without a reason
    assert PileCommand.objects.count() == 0
    answer = client.post(url, DIALOG)
    assert "待写入：1，待删除：1" in client.get(answer["HX-Redirect"]).content.decode()
    assert listed(pile) == {"1".zfill(16): "wanted", "3".zfill(16): "unwanted"}
    entry = AuditEntry.objects.get(action="piles.pile_commanded")
    assert entry.changes == {"command": [None, "sync_cards"], "written": [None, 1], "deleted": [None, 1]}
    assert (entry.reason, PileCommand.objects.get().kind) == ("换卡", CommandKind.CLEAR_CARDS)
    again = client.post(url, DIALOG)
    assert "待写入：1，待删除：1" in client.get(again["HX-Redirect"]).content.decode()
    assert PileCommand.objects.count() == 1  # it owes an answer


def test_all_piles_of_a_station_at_once() -> None:
    station = factories.a_station()
    here = [factories.a_pile(station=station), factories.a_pile(station=station, online=False)]
    there = factories.a_pile()
    a_card(1)
    client = manager()
    client.post(f"/admin/sites/station/{station.pk}/write-cards/", DIALOG)
    assert [listed(pile) for pile in (*here, there)] == [{"1".zfill(16): "wanted"}] * 2 + [{}]
    assert [row.pile for row in PileCommand.objects.all()] == [here[0]]
    OfflineCard.objects.update(state=CardOnPile.STORED)
    PileCommand.objects.update(state=CommandState.DONE)
    client.post(f"/admin/sites/station/{station.pk}/clear-cards/", DIALOG)
    assert [listed(pile) for pile in here] == [{"1".zfill(16): "unwanted"}] * 2
    sent = PileCommand.objects.get(kind=CommandKind.CLEAR_CARDS)
    assert (sent.pile, sent.payload) == (here[0], {"physical_nos": ["0000000000000001"]})
    assert AuditEntry.objects.filter(action="sites.station_commanded").count() == 2


def test_a_pile_is_asked_which_cards_it_has() -> None:
    pile = factories.a_pile()
    client = manager()
    url = f"/admin/piles/pile/{pile.pk}/ask-cards/"
    answer = client.post(url, {"_form_submitted": "True"})
    assert "没有可下发到这些桩的内容" in client.get(answer["HX-Redirect"]).content.decode()
    OfflineCard.objects.create(pile=pile, logical_no="1", physical_no="0000000000000001", state="stored")
    client.post(url, {"_form_submitted": "True"})
    assert PileCommand.objects.get().payload == {"physical_nos": ["0000000000000001"]}


@pytest.mark.parametrize("page", ["write-cards", "clear-cards", "ask-cards"])
def test_the_buttons_need_their_permission(page: str) -> None:
    pile = factories.a_pile()
    stranger = signed_in(a_user(*READER, "piles.add_pilecommand", "piles.change_pile"))
    assert stranger.post(f"/admin/piles/pile/{pile.pk}/{page}/", DIALOG).status_code == 403
    if page != "ask-cards":
        assert stranger.post(f"/admin/sites/station/{pile.station_id}/{page}/", DIALOG).status_code == 403


def test_the_list_says_whose_card_is_where_and_how_far_it_is() -> None:
    pile = factories.a_pile()
    card = a_card(77)
    OfflineCard.objects.create(pile=pile, logical_no="77", physical_no=card.physical_no, state="failed")
    OfflineCard.objects.create(pile=pile, logical_no="78", physical_no="00000000000000FF", state="stored")
    client = manager()
    page = client.get("/admin/piles/offlinecard/").content.decode()
    assert [word in page for word in (str(card.customer), pile.pile_code, "失败", "已写入")] == [True] * 4
    found = client.get("/admin/piles/offlinecard/?state__exact=failed").content.decode()
    assert (card.physical_no in found, "00000000000000FF" in found) == (True, False)
    found = client.get(f"/admin/piles/offlinecard/?q={pile.pile_code}").content.decode()
    assert card.physical_no in found
    line = client.get(f"/admin/piles/pile/{pile.pk}/change/").content.decode()
    assert f"/admin/piles/offlinecard/?pile__id__exact={pile.pk}" in line
    assert client.get(f"/admin/piles/offlinecard/?pile__id__exact={pile.pk}").status_code == 200
    line = client.get(f"/admin/customers/card/{card.pk}/change/").content.decode()
    assert f"/admin/piles/offlinecard/?q={card.physical_no}" in line
    row = pile.offline_cards.get(logical_no="77")
    assert str(card.customer) in client.get(f"/admin/piles/offlinecard/{row.pk}/change/").content.decode()
    export = client.get("/admin/piles/offlinecard/export/").content.decode()
    assert f"77,{card.physical_no},\t{pile.pile_code}," in export
