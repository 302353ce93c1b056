"""The wall of a station's guns: what cards show to whom, and the socket, through the whole ASGI application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.db import connection
from django_tenants.utils import schema_context

from apps.accounts.enums import Scope
from apps.accounts.models import User
from apps.orders.models import Order
from apps.piles.gunwall import cards, socket
from apps.piles.models import ConnectorStatus, Pile
from apps.sites.services import give_stations
from chargeplat.asgi import application
from tests import factories
from tests.staff import a_user, boss, signed_in

WAIT_S = 10


class Socket:
    """A browser's socket, with the cookie of a session and the origin of a page."""

    def __init__(self, session: str, station_id: int, origin: str = "http://alpha.test") -> None:
        cookie = f"{settings.SESSION_COOKIE_NAME}={session}; django_language=zh-hans"
        headers = [(b"host", b"alpha.test"), (b"cookie", cookie.encode()), (b"origin", origin.encode())]
        self.communicator = WebsocketCommunicator(application, f"/ws/admin/guns/{station_id}/", headers)

    async def __aenter__(self) -> Socket:
        assert await self.communicator.connect(timeout=WAIT_S) == (True, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.communicator.disconnect(timeout=WAIT_S)

    async def news(self) -> dict[str, Any]:
        message = await self.communicator.receive_output(timeout=WAIT_S)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self) -> int:
        while True:
            message = await self.communicator.receive_output(timeout=WAIT_S)
            if message["type"] == "websocket.close":
                return message["code"]


def session_of(user: User) -> str:
    return signed_in(user).cookies[settings.SESSION_COOKIE_NAME].value


async def elsewhere(function: Callable[[], object]) -> None:
    """Do something as another process would: in a thread, on a connection of its own."""

    def call() -> None:
        with schema_context("t_alpha"):
            function()
        connection.close()

    await sync_to_async(call, thread_sensitive=False)()


def run(story: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(story())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "EVERY_S", 0.05)


def test_a_card_has_the_buttons_that_its_viewer_may_press(tenant: Any) -> None:
    order = factories.a_charging_order()
    gun = order.connector
    other = factories.a_pile(station=gun.pile.station, guns=2)
    ConnectorStatus.objects.filter(connector__pile=other, connector__connector_no="02").update(
        state="fault", fault_bits=0x0005
    )
    station_id = gun.pile.station_id
    wall = cards.cards_of(station_id)
    assert [card.state for card in wall] == ["fault", "charging", "idle"]
    assert cards.counts_of(wall) == {
        "all": 3,
        "fault": 1,
        "charging": 1,
        "plugged": 0,
        "idle": 1,
        "offline": 0,
    }
    assert wall[0].faults == "急停按钮、出风口过温"
    stop, reboot = f"/admin/orders/order/{order.pk}/stop/", f"/admin/piles/pile/{gun.pile_id}/reboot/"

    def shown(*permissions: str) -> tuple[bool, bool]:
        client = signed_in(a_user("piles.view_connector", *permissions))
        page = client.get("/admin/piles/connector/wall/", {"station": station_id}).content.decode()
        assert page.count("<article") == 3
        return stop in page, reboot in page

    assert shown() == (False, False)
    assert shown("orders.stop_order") == (True, False)
    assert shown("orders.stop_order", "piles.reboot_pile") == (True, True)
    Order.objects.filter(pk=order.pk).update(state="stopping")
    Pile.objects.filter(pk=gun.pile_id).update(is_online=False)
    assert shown("orders.stop_order", "piles.reboot_pile") == (False, False)


def test_the_wall_offers_the_stations_that_one_sees(tenant: Any, django_assert_max_num_queries: Any) -> None:
    mine, other = factories.a_station(name="我的站"), factories.a_station(name="别的站")
    for station in (mine, other):
        pile = factories.a_pile(station=station, guns=3)
        ConnectorStatus.objects.filter(connector__pile=pile, connector__connector_no="02").update(
            state="fault"
        )
    user = a_user("piles.view_connector", scope=Scope.STATIONS)
    give_stations(user=user, stations=[mine])
    client = signed_in(user)
    page = client.get("/admin/piles/connector/wall/")
    (line,) = page.context_data["stations"]
    assert (line["name"], line["faults"], line["total"]) == ("我的站", 1, 3)
    assert client.get("/admin/piles/connector/wall/", {"station": mine.pk}).status_code == 200
    for wrong in (other.pk, 0, "x", "9" * 40):
        assert client.get("/admin/piles/connector/wall/", {"station": wrong}).status_code == 404
    assert signed_in(a_user()).get("/admin/piles/connector/wall/").status_code == 403
    everything = boss()
    everything.get("/admin/piles/connector/wall/")
    with django_assert_max_num_queries(12):
        everything.get("/admin/piles/connector/wall/", {"station": mine.pk})
    for _number in range(5):
        factories.a_pile(station=mine, guns=4)
    with django_assert_max_num_queries(12):
        everything.get("/admin/piles/connector/wall/", {"station": mine.pk})


def test_changes_come_by_themselves(committed: Any) -> None:
    order = factories.a_charging_order()
    gun = order.connector
    pile = factories.a_pile(station=gun.pile.station, guns=2)
    session = session_of(a_user("piles.view_connector", "orders.stop_order"))
    idle = pile.connectors.first()

    def meter() -> None:
        ConnectorStatus.objects.filter(connector=gun).update(
            energy_kwh=Decimal("12.34"), voltage_v=400, current_a=100
        )

    def break_down() -> None:
        ConnectorStatus.objects.filter(connector=idle).update(state="fault", fault_bits=1)

    def retire() -> None:
        Pile.objects.filter(pk=pile.pk).update(state="retired")

    async def story() -> None:
        async with (
            Socket(session, gun.pile.station_id) as first,
            Socket(session, gun.pile.station_id) as second,
        ):
            whole = await first.news()
            assert len(whole["cards"]) == 3
            assert (await second.news())["counts"] == whole["counts"]
            assert sum(f"/admin/orders/order/{order.pk}/stop/" in card for card in whole["cards"]) == 1
            await elsewhere(meter)
            for one in (first, second):
                news = await one.news()
                (card,) = news["cards"]
                assert f'id="gun-{gun.pk}"' in card
                assert "<b>40.0</b> kW" in card
                assert "12.34 度" in card
            await elsewhere(break_down)
            news = await first.news()
            assert (news["counts"]["fault"], "急停按钮" in news["cards"][0]) == (1, True)
            await elsewhere(retire)
            news = await first.news()
            assert len(news["gone"]) == 2
            assert news["counts"]["all"] == 1

    run(story)


def test_who_may_not_watch_is_sent_away(committed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = factories.a_station(), factories.a_station()
    for station in (mine, other):
        factories.a_pile(station=station)
    watcher = a_user("piles.view_connector", scope=Scope.STATIONS)
    give_stations(user=watcher, stations=[mine])
    session = session_of(watcher)
    stranger = session_of(a_user())
    everybody = session_of(a_user(superuser=True))
    driverless = a_user("piles.view_connector")
    locked_out = session_of(driverless)
    User.objects.filter(pk=driverless.pk).update(is_active=False)
    refused = [
        ("", mine.pk, "http://alpha.test", 4401),
        ("x" * 300, mine.pk, "http://alpha.test", 4401),
        (locked_out, mine.pk, "http://alpha.test", 4401),
        (stranger, mine.pk, "http://alpha.test", 4403),
        (session, mine.pk, "http://evil.test", 4403),  # a page of somebody else, with our cookie
        (session, mine.pk, "", 4403),
        (session, other.pk, "http://alpha.test", 4404),
        (everybody, 987_654_321, "http://alpha.test", 4404),
    ]

    def take_away() -> None:
        User.objects.get(pk=watcher.pk).user_permissions.clear()

    async def story() -> None:
        for cookie, station_id, origin, code in refused:
            async with Socket(cookie, station_id, origin) as one:
                assert await one.closed() == code, (cookie, station_id, origin)
        # Who loses the permission while watching is sent away soon.
        monkeypatch.setattr(socket, "ASK_AGAIN_S", 0)
        async with Socket(session, mine.pk) as one:
            await one.news()
            await elsewhere(take_away)
            await elsewhere(
                lambda: ConnectorStatus.objects.filter(connector__pile__station=mine).update(state="fault")
            )
            assert await one.closed() == 4403
        assert socket._hubs == {}

    run(story)
