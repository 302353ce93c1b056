"""The WebSocket of a charge, through the whole ASGI application; threads of their own, so with real commits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db import connection
from django_tenants.utils import schema_context

from apps.customers import sessions
from apps.customers.models import Customer, CustomerState
from apps.miniapp import progress
from apps.miniapp.authentication import InvalidToken, ProgressTicket, ticket_for, token_for
from apps.orders import settling
from apps.orders.errors import OrderNotFound
from apps.orders.live import push
from apps.orders.models import Order
from apps.piles.models import ConnectorStatus
from apps.tenancy.models import Tenant, TenantState
from chargeplat.asgi import application
from tests import factories

WAIT_S = 10


class Socket:
    """One WebSocket of a driver's app."""

    def __init__(self, path: str, host: str = "alpha.test", language: str = "en") -> None:
        headers = [(b"host", host.encode()), (b"accept-language", language.encode())]
        self.communicator = WebsocketCommunicator(application, path, headers)

    async def __aenter__(self) -> Socket:
        assert await self.communicator.connect(timeout=WAIT_S) == (True, None)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.communicator.disconnect(timeout=WAIT_S)

    async def picture(self) -> dict[str, Any]:
        message = await self.communicator.receive_output(timeout=WAIT_S)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self) -> int:
        message = await self.communicator.receive_output(timeout=WAIT_S)
        assert message["type"] == "websocket.close", message
        return message["code"]

    async def say(self, text: str) -> None:
        await self.communicator.send_to(text_data=text)


def run(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on a loop of its own and leave no connection of the channel layer behind."""

    async def go() -> None:
        try:
            await story()
        finally:
            await get_channel_layer().flush()

    asyncio.run(go())


async def in_tenant(tenant: Tenant, function: Callable[..., None], *args: Any) -> None:
    """Call a service as another process would: in a thread, on a connection of its own."""

    def call() -> None:
        with schema_context(tenant.schema_name):
            function(*args)
        connection.close()

    await sync_to_async(call, thread_sensitive=False)()


def path_of(order: Order, ticket: object = "") -> str:
    return f"/ws/v1/charges/{order.order_no}/" + (f"?ticket={ticket}" if ticket else "")


@pytest.fixture
def order(committed) -> Order:
    return factories.a_charging_order()


def test_the_picture_comes_at_once_and_after_each_change(committed, order: Order) -> None:
    ticket = str(ticket_for(order.customer, order.order_no))

    def meter(energy: str) -> None:
        ConnectorStatus.objects.filter(connector=order.connector).update(
            energy_kwh=Decimal(energy), reported_at=datetime.now(UTC)
        )

    def settle() -> None:
        settling.settle_record(record_id=factories.a_record(order, {"flat": "10.0000"}).pk)

    async def wake() -> None:
        group = f"live.{committed.schema_name}.{order.transaction_no}"
        await get_channel_layer().group_send(group, {"type": "live.update"})

    async def story() -> None:
        async with Socket(path_of(order, ticket)) as socket:
            first = await socket.picture()
            assert (first["order_no"], first["state"], first["state_label"]) == (
                order.order_no,
                "charging",
                "charging",
            )
            await in_tenant(committed, meter, "1.2345")
            await wake()
            second = await socket.picture()
            assert (second["energy_kwh"], second["amount"]) == ("1.2345", "0.00")
            assert second["sequence"] > first["sequence"]
            await in_tenant(committed, settle)
            last = await socket.picture()
            while last["state"] != "completed":
                last = await socket.picture()
            assert (last["energy_kwh"], last["amount"], last["settled"]) == ("10.0000", "12.00", True)

    run(story)


def test_many_watchers_are_shown_their_own_with_few_queries(committed, django_assert_max_num_queries) -> None:
    first, second, third = (factories.a_charging_order() for _ in range(3))
    opened = {order: sessions.open_session(customer=order.customer) for order in (first, second, third)}
    who = {order: (session.number, order.customer_id) for order, session in opened.items()}
    sessions.end(opened[third])

    async def story() -> list[Any]:
        def ask(order: Order, of: Order, language: str) -> Awaitable[dict[str, Any]]:
            return progress._picture_for(
                committed.schema_name, progress.Wish(who[order], of.order_no, language)
            )

        wishes = [ask(first, first, "en"), ask(second, second, "zh-hans"), ask(third, third, "en")]
        wishes += [ask(first, second, "en"), ask(first, first, "zh-hans")]
        return await asyncio.gather(*wishes, return_exceptions=True)

    own, chinese, over, foreign, again = asyncio.run(story())
    assert (own["order_no"], own["state_label"]) == (first.order_no, "charging")
    assert (chinese["order_no"], chinese["state_label"]) == (second.order_no, "充电中")
    assert isinstance(over, InvalidToken)
    assert isinstance(foreign, OrderNotFound)
    assert again == own | {"state_label": "充电中"}
    with django_assert_max_num_queries(2):
        wishes = [progress.Wish(who[order], order.order_no, "en") for order in (first, second)] * 5
        assert [shown["order_no"] for shown in progress._pictures(wishes)] == [
            first.order_no,
            second.order_no,
        ] * 5


def test_a_picture_that_cannot_be_made_is_no_trouble_of_the_others(committed) -> None:
    """A gun that lost the row of its last words: nothing of ours takes it away, yet it ended everybody's socket."""
    good, broken = (factories.a_charging_order() for _ in range(2))
    tickets = {order: ticket_for(order.customer, order.order_no) for order in (good, broken)}

    def lose() -> None:
        ConnectorStatus.objects.filter(connector=broken.connector).delete()
        push(good.transaction_no, broken.transaction_no)

    async def story() -> None:
        async with (
            Socket(path_of(good, tickets[good])) as watching,
            Socket(path_of(broken, tickets[broken])) as other,
        ):
            first = await watching.picture()
            await other.picture()
            await in_tenant(committed, lose)
            assert (await watching.picture())["sequence"] == first["sequence"]
            assert await other.closed() == 1011

    run(story)


def test_who_watches_the_same_order_is_shown_what_was_made_once(
    committed, order: Order, django_assert_max_num_queries
) -> None:
    Order.objects.filter(pk=order.pk).update(parallel_seq="7")
    who = (sessions.open_session(customer=order.customer).number, order.customer_id)
    wishes = [progress.Wish(who, order.order_no, "en")] * 10
    with django_assert_max_num_queries(3):  # its second gun is looked for
        pictures = progress._pictures(wishes)
    assert pictures == [pictures[0]] * 10


def test_rest_and_socket_show_the_same(committed, order: Order, tenant_client) -> None:
    token = str(token_for(order.customer))
    rest = tenant_client.get(
        f"/api/v1/charges/{order.order_no}",
        headers={"authorization": f"Bearer {token}", "accept-language": "en"},
    ).json()

    async def story() -> None:
        async with Socket(path_of(order)) as socket:
            await socket.say(json.dumps({"token": token}))
            assert await socket.picture() == rest

    run(story)


def test_services_wake_the_watchers(committed, order: Order) -> None:
    ticket = ticket_for(order.customer, order.order_no)

    async def story() -> None:
        async with Socket(path_of(order, ticket)) as socket:
            first = await socket.picture()
            await in_tenant(committed, push, order.transaction_no)
            assert (await socket.picture())["sequence"] == first["sequence"]

    run(story)


def test_who_is_blocked_meanwhile_is_sent_away(committed, order: Order) -> None:
    ticket = ticket_for(order.customer, order.order_no)

    def block() -> None:
        Customer.objects.update(state=CustomerState.BLOCKED)
        push(order.transaction_no)

    async def story() -> None:
        async with Socket(path_of(order, ticket)) as socket:
            await socket.picture()
            await in_tenant(committed, block)
            assert await socket.closed() == 4401

    run(story)


def test_a_device_that_is_signed_out_watches_no_longer(committed, order: Order) -> None:
    session = sessions.open_session(customer=order.customer)
    ticket = ticket_for(order.customer, order.order_no, session)

    def sign_out() -> None:
        sessions.end_device(customer=order.customer, number=session.number)
        push(order.transaction_no)

    async def story() -> None:
        async with Socket(path_of(order, ticket)) as socket:
            await socket.picture()
            await in_tenant(committed, sign_out)
            assert await socket.closed() == 4401

    run(story)


def test_a_ticket_opens_one_socket(order: Order) -> None:
    path = path_of(order, ticket_for(order.customer, order.order_no))

    async def story() -> None:
        async with Socket(path) as socket:
            await socket.picture()
        async with Socket(path) as socket:
            assert await socket.closed() == 4401

    run(story)


def test_a_ticket_on_the_platforms_host_finds_its_tenant(order: Order) -> None:
    ticket = ticket_for(order.customer, order.order_no)

    async def story() -> None:
        async with Socket(path_of(order, ticket), "platform.test") as socket:
            assert (await socket.picture())["order_no"] == order.order_no

    run(story)


def test_what_does_not_open_a_socket(committed, other_tenant, order: Order) -> None:
    customer = order.customer
    stranger = factories.a_customer("0")
    number = order.order_no
    with schema_context(other_tenant.schema_name):
        twin = Customer.objects.create(pk=customer.pk, phone=customer.phone)
        foreign_ticket, foreign_token = str(ticket_for(twin, number)), str(token_for(twin))
    expired = ProgressTicket()
    expired.payload.update(ticket_for(customer, number).payload)
    expired.set_exp(from_time=datetime.now(UTC) - timedelta(seconds=31), lifetime=timedelta(seconds=30))
    good = ticket_for(customer, number)
    refused = [
        ("alpha.test", str(good)[:-3] + "xyz", 4401),
        ("alpha.test", "x", 4401),
        ("alpha.test", "x" * 3000, 4401),
        ("alpha.test", str(expired), 4401),
        ("alpha.test", str(token_for(customer)), 4401),
        ("alpha.test", foreign_ticket, 4401),
        ("beta.test", str(good), 4401),
        ("nowhere.test", str(good), 4401),
        ("alpha.test", str(ticket_for(customer, "C000")), 4404),
        ("alpha.test", str(ticket_for(stranger, number)), 4404),
        ("beta.test", foreign_ticket, 4404),
    ]
    said = [
        (json.dumps({"token": foreign_token}), 4401),
        (json.dumps({"token": str(good)}), 4401),
        (json.dumps({"token": str(token_for(stranger))}), 4404),
        (json.dumps({"token": 1}), 4401),
        (json.dumps([]), 4401),
        ("[" * 3000, 4401),
        ("not json", 4401),
        ("x" * 100_000, 4401),
    ]

    async def story() -> None:
        for host, ticket, code in refused:
            async with Socket(path_of(order, ticket), host) as socket:
                assert await socket.closed() == code, (host, ticket)
        for message, code in said:
            async with Socket(path_of(order)) as socket:
                await socket.say(message)
                assert await socket.closed() == code, message
        async with Socket(path_of(order)) as socket:
            await socket.communicator.send_to(bytes_data=b"\x00")
            assert await socket.closed() == 4401

    run(story)


def test_blocked_customers_and_suspended_tenants_see_nothing(committed, order: Order) -> None:
    def refused() -> None:
        ticket = ticket_for(order.customer, order.order_no)

        async def story() -> None:
            async with Socket(path_of(order, ticket)) as socket:
                assert await socket.closed() == 4401

        run(story)

    Customer.objects.update(state=CustomerState.BLOCKED)
    refused()
    Customer.objects.update(state=CustomerState.ACTIVE)
    from apps.tenancy import hosts

    Tenant.objects.filter(pk=committed.pk).update(state=TenantState.SUSPENDED)
    hosts.forget()
    refused()
    hosts.forget()


def test_a_socket_that_says_nothing_is_closed(order: Order, monkeypatch) -> None:
    monkeypatch.setattr(progress, "FIRST_MESSAGE_S", 0)

    async def story() -> None:
        async with Socket(path_of(order)) as socket:
            assert await socket.closed() == 4401

    run(story)


def test_other_paths_are_closed_with_a_word(committed) -> None:
    async def story() -> None:
        for path in ("/", "/ws/v1/charges/", "/ws/v1/charges/a%00/", "/ws/v2/charges/C1/"):
            communicator = WebsocketCommunicator(application, path, [(b"host", b"alpha.test")])
            await communicator.connect(timeout=WAIT_S)
            assert await communicator.receive_output(timeout=WAIT_S) == {
                "type": "websocket.close",
                "code": 4404,
            }

    run(story)
