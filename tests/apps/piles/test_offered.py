"""The user platform's list of piles: what keeps drivers from each, in words and as a filter."""

from __future__ import annotations

from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.piles.admin.offered import OBSTACLES
from apps.piles.enums import ConnectorState, PileState
from apps.piles.models import Pile
from tests import factories
from tests.staff import a_user, boss, signed_in

LIST = "/admin/piles/offeredpile/"


def codes(client: Any, query: str = "") -> list[str]:
    return [pile.pile_code for pile in client.get(LIST + query).context_data["cl"].result_list]


def test_each_pile_says_whether_drivers_can_charge_there(tenant: Any) -> None:
    hidden = factories.a_station(is_published=False, state="closed")
    closed = factories.a_station(state="maintenance")
    piles = {
        "yes": factories.a_pile(),
        "hidden": factories.a_pile(station=hidden),
        "closed": factories.a_pile(station=closed),
        "disabled": factories.a_pile(online=False),
        "offline": factories.a_pile(online=False),
    }
    Pile.objects.filter(pk=piles["disabled"].pk).update(state=PileState.DISABLED)
    gone = factories.a_pile()
    Pile.objects.filter(pk=gone.pk).update(state=PileState.RETIRED)
    client = boss()
    assert sorted(codes(client)) == sorted(pile.pile_code for pile in piles.values())
    for offer, pile in piles.items():
        assert codes(client, f"?offer={offer}") == [pile.pile_code], offer
        page = client.get(f"{LIST}{pile.pk}/change/").content.decode()
        words = "可充电" if offer == "yes" else str(OBSTACLES[offer][1])
        assert f">{words}</span>" in page
        assert f"/admin/piles/pile/{pile.pk}/change/" in page
    export = client.get(f"{LIST}export/?offer=closed").content.decode()
    assert f"{piles['closed'].pile_code},{closed.name},充电站未营业,直流,120.00,1" in export
    assert client.get(f"{LIST}{gone.pk}/change/", follow=True).status_code in {302, 200}
    assert signed_in(a_user("piles.view_pile")).get(LIST).status_code == 403


def test_the_list_has_the_retail_price_of_now_and_asks_once(tenant: Any) -> None:
    first = factories.a_pile(guns=2)
    factories.put_online(first, ConnectorState.CHARGING)
    same = dict.fromkeys(("sharp", "peak", "flat", "valley"), ("1.00", "0.23"))
    factories.a_retail_price(first.station, same)
    client = boss()
    page = client.get(LIST).content.decode()
    assert "<b>1.23</b>" in page
    assert "充电中 <b>2</b>" in page
    with CaptureQueriesContext(connection) as one:
        client.get(LIST)
    for _ in range(2):
        factories.a_pile(guns=2)
    with CaptureQueriesContext(connection) as three:
        client.get(LIST)
    assert len(three) == len(one)
