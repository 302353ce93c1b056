"""The live picture of a charge over a WebSocket.

A socket opens with a ticket in its URL, or else with {"token": …} as its first message. It sends the picture at once
and again after every change, as REST shows it; which is newer, `sequence` tells. Nobody's socket is closed without a
word: 4401 is a ticket or token that is not good here, 4404 an order that is not this driver's, 1011 (RFC 6455) a
picture that could not be made; an app may come back after that.

Orders are read in threads of a pool of their own, with the tenant's schema entered there: the schema belongs to the
thread's connection, and the common thread of channels would make all sockets wait for each other. A gateway wakes the
watchers of many orders at once: what is asked for while a tenant's pictures are being read is read together afterwards,
with two queries for all of it; a charge of several guns, and one at retail prices, takes some of its own.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qs

import structlog
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import HttpRequest
from django.utils import translation
from rest_framework.exceptions import AuthenticationFailed

from apps.common.errors import DomainError, NotFound
from apps.common.schema import run_in_schema
from apps.customers import sessions
from apps.miniapp.authentication import InvalidToken, read_ticket, read_token, session_of
from apps.miniapp.charging import picture
from apps.orders.errors import OrderNotFound
from apps.orders.live import group_of
from apps.orders.models import Order
from apps.orders.selectors import order_of, orders_by_number
from apps.tenancy.selectors import API_PREFIX, tenant_for

log = structlog.get_logger(__name__)

NOT_SIGNED_IN = 4401
NO_SUCH_ORDER = 4404
BROKEN = 1011
FIRST_MESSAGE_S = 10
LONGEST_MESSAGE = 4000
AT_ONCE = 200
"""Pictures that are read together at most."""

T = TypeVar("T")
Who = tuple[uuid.UUID, int]
"""The number of a driver's session, and the customer's id: looked up anew for each picture."""
_pool = ThreadPoolExecutor(4, "progress")


class ProgressConsumer(AsyncWebsocketConsumer):
    """One driver watching one of their orders."""

    who: Who
    schema = ""
    group = ""
    sequence = 0
    waiting: asyncio.TimerHandle | None = None

    async def connect(self) -> None:
        """Accept, since only an open socket can be closed with a reason; then let the ticket decide."""
        await self.accept()
        self.order_no = self.scope["url_route"]["kwargs"]["order_no"]
        self.host = _header(self.scope, b"host")
        self.language = _language(_header(self.scope, b"accept-language"))
        tickets = parse_qs(self.scope["query_string"].decode("latin-1")).get("ticket")
        if tickets:
            await self._open(_admit_by_ticket, tickets[0])
        else:
            loop = asyncio.get_running_loop()
            self.waiting = loop.call_later(
                FIRST_MESSAGE_S, lambda: loop.create_task(self.close(NOT_SIGNED_IN))
            )

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take {"token": …} as the first message; whatever comes later is not listened to."""
        if self.waiting is None:
            return
        self.waiting.cancel()
        self.waiting = None
        await self._open(_admit_by_token, _token_in(text_data))

    async def live_update(self, _event: dict[str, Any]) -> None:
        """Something changed: look, and tell if it is news. Who was blocked or signed out meanwhile is sent away."""
        async with self._word_of_end():
            await self._show(await self._picture())

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        if self.waiting is not None:
            self.waiting.cancel()
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def _open(self, admit: Callable[[str, str, str], tuple[str, Who]], proof: str) -> None:
        async with self._word_of_end():
            public = settings.PUBLIC_SCHEMA_NAME
            self.schema, self.who = await _in_thread(public, admit, proof, self.host, self.order_no)
            transaction_no = await _in_thread(self.schema, self._transaction_no)
            self.group = group_of(self.schema, transaction_no)
            # First the group, then the picture: a change between the two is seen twice rather than never.
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self._show(await self._picture())

    @asynccontextmanager
    async def _word_of_end(self) -> AsyncIterator[None]:
        """Close with the word for what went wrong within."""
        try:
            yield
        except NotFound:
            await self.close(NO_SUCH_ORDER)
        except (AuthenticationFailed, DomainError):
            await self.close(NOT_SIGNED_IN)
        except Exception as error:  # noqa: BLE001 - one watcher's trouble; it comes back, or asks by REST
            log.warning("live_closed", order_no=self.order_no, error=repr(error))
            await self.close(BROKEN)

    async def _show(self, shown: dict[str, Any]) -> None:
        if shown["sequence"] >= self.sequence:
            self.sequence = shown["sequence"]
            await self.send(json.dumps(shown, ensure_ascii=False))

    def _transaction_no(self) -> str:
        order = order_of(customer=session_of(*self.who).customer, order_no=self.order_no)
        return str(order.transaction_no)

    async def _picture(self) -> dict[str, Any]:
        return await _picture_for(self.schema, Wish(self.who, self.order_no, self.language))


# --- Many pictures at once --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """A picture that somebody waits for."""

    who: Who
    order_no: str
    language: str


_Waiting = list[tuple[Wish, "asyncio.Future[dict[str, Any]]"]]
_waiting: dict[tuple[asyncio.AbstractEventLoop, str], _Waiting] = {}
"""What is asked for of each schema while it is being read from; the loop is always the same one, but for tests."""
_readers: set[asyncio.Task[None]] = set()
"""A task that nobody holds may be collected before it is done."""


async def _picture_for(schema: str, wish: Wish) -> dict[str, Any]:
    """Return a picture. Raises OrderNotFound; InvalidToken for a session that is over or a customer who is blocked."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[dict[str, Any]] = loop.create_future()
    if (loop, schema) in _waiting:
        _waiting[loop, schema].append((wish, done))
    else:
        _waiting[loop, schema] = [(wish, done)]
        reading = loop.create_task(_read_all(loop, schema))
        _readers.add(reading)
        reading.add_done_callback(_readers.discard)
    return await done


async def _read_all(loop: asyncio.AbstractEventLoop, schema: str) -> None:
    """Read until nobody waits for a picture of this schema."""
    while wanted := _waiting[loop, schema]:
        now_read = wanted[:AT_ONCE]
        _waiting[loop, schema] = wanted[AT_ONCE:]
        try:
            found: Sequence[dict[str, Any] | Exception] = await _in_thread(
                schema, _pictures, [wish for wish, _ in now_read]
            )
        except Exception as error:
            # Those who wait have to hear of it, whatever it is.
            log.exception("live_pictures_failed", schema=schema, count=len(now_read))
            found = [error] * len(now_read)
        for (_, done), one in zip(now_read, found, strict=True):
            if done.done():
                continue  # who asked has gone
            if isinstance(one, Exception):
                done.set_exception(one)
            else:
                done.set_result(one)
    del _waiting[loop, schema]


def _pictures(wishes: Sequence[Wish]) -> list[dict[str, Any] | Exception]:
    """Read the pictures that are wished for, each as its driver may see it, or why not.

    One that cannot be made is logged, and no trouble of the others; who watches the same order is shown the same.
    """
    living = sessions.of_numbers({wish.who[0] for wish in wishes})
    orders = orders_by_number(order_nos={wish.order_no for wish in wishes})
    made: dict[tuple[str, str], dict[str, Any] | Exception] = {}
    found: list[dict[str, Any] | Exception] = []
    for wish in wishes:
        number, customer_id = wish.who
        session, order = living.get(number), orders.get(wish.order_no)
        if session is None or session.customer_id != customer_id:
            found.append(InvalidToken())
        elif order is None or order.customer_id != customer_id:
            found.append(OrderNotFound())
        else:
            key = wish.order_no, wish.language
            if key not in made:
                made[key] = _made(order, wish.language)
            found.append(made[key])
    return found


def _made(order: Order, language: str) -> dict[str, Any] | Exception:
    try:
        with translation.override(language):
            return picture(order)
    except Exception as error:
        log.exception("live_picture_failed", order_no=order.order_no)
        return error


async def _in_thread(schema: str, function: Callable[..., T], *args: Any) -> T:
    call = database_sync_to_async(run_in_schema, thread_sensitive=False, executor=_pool)
    result: T = await call(schema, function, *args)
    return result


class NoSuchSocket(AsyncWebsocketConsumer):
    """Any other path."""

    async def connect(self) -> None:
        """Say that there is nothing here."""
        await self.accept()
        await self.close(NO_SUCH_ORDER)
        raise StopConsumer


def _admit_by_ticket(text: str, host: str, order_no: str) -> tuple[str, Who]:
    tenant, customer_id, session, ticket_order_no, use = read_ticket(text)
    schema = _schema_of(host, tenant)
    if ticket_order_no != order_no:
        raise NotFound
    run_in_schema(schema, use)
    return schema, (session, customer_id)


def _admit_by_token(text: str, host: str, _order_no: str) -> tuple[str, Who]:
    tenant, customer_id, session = read_token(text)
    return _schema_of(host, tenant), (session, customer_id)


def _schema_of(host: str, tenant_code: str) -> str:
    """Return the schema of a tenant that is served on this host; raises a DomainError for any other."""
    return str(tenant_for(host=host, path=API_PREFIX, code=tenant_code).schema_name)


def _token_in(text: str | None) -> str:
    if text is None or len(text) > LONGEST_MESSAGE:
        return ""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    token = message.get("token") if isinstance(message, dict) else None
    return token if isinstance(token, str) else ""


def _header(scope: dict[str, Any], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _language(accepted: str) -> str:
    request = HttpRequest()
    request.META["HTTP_ACCEPT_LANGUAGE"] = accepted
    return translation.get_language_from_request(request)
