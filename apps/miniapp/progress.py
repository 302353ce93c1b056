"""The live picture of a charge over a WebSocket.

A socket opens with a ticket in its URL, or else with {"token": …} as its first message. It sends the picture at once
and again after every change, as REST shows it; which is newer, `sequence` tells. Nobody's socket is closed without a
word: 4401 is a ticket or token that is not good here, 4404 an order that is not this driver's.

The order is read in a thread of a pool of its own, with the tenant's schema entered there: the schema belongs to the
thread's connection, and the common thread of channels would make all sockets wait for each other.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http import HttpRequest
from django.utils import translation
from rest_framework.exceptions import AuthenticationFailed

from apps.common.errors import DomainError, NotFound
from apps.common.schema import run_in_schema
from apps.miniapp.authentication import read_ticket, read_token, session_of
from apps.miniapp.charging import picture
from apps.orders.live import group_of
from apps.orders.selectors import order_of
from apps.tenancy.selectors import API_PREFIX, tenant_for

NOT_SIGNED_IN = 4401
NO_SUCH_ORDER = 4404
FIRST_MESSAGE_S = 10
LONGEST_MESSAGE = 4000

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
        try:
            await self._show(await self._in_thread(self._picture))
        except NotFound:
            await self.close(NO_SUCH_ORDER)
        except (AuthenticationFailed, DomainError):
            await self.close(NOT_SIGNED_IN)

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        if self.waiting is not None:
            self.waiting.cancel()
        if self.group:
            await self.channel_layer.group_discard(self.group, self.channel_name)

    async def _open(self, admit: Callable[[str, str, str], tuple[str, Who]], proof: str) -> None:
        try:
            self.schema, self.who = await self._in_thread(admit, proof, self.host, self.order_no)
            transaction_no = await self._in_thread(self._transaction_no)
            self.group = group_of(self.schema, transaction_no)
            # First the group, then the picture: a change between the two is seen twice rather than never.
            await self.channel_layer.group_add(self.group, self.channel_name)
            await self._show(await self._in_thread(self._picture))
        except NotFound:
            await self.close(NO_SUCH_ORDER)
        except (AuthenticationFailed, DomainError):
            await self.close(NOT_SIGNED_IN)

    async def _show(self, shown: dict[str, Any]) -> None:
        if shown["sequence"] >= self.sequence:
            self.sequence = shown["sequence"]
            await self.send(json.dumps(shown, ensure_ascii=False))

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        schema = self.schema or settings.PUBLIC_SCHEMA_NAME
        call = database_sync_to_async(run_in_schema, thread_sensitive=False, executor=_pool)
        result: T = await call(schema, function, *args)
        return result

    def _order(self) -> Any:
        return order_of(customer=session_of(*self.who).customer, order_no=self.order_no)

    def _transaction_no(self) -> str:
        return str(self._order().transaction_no)

    def _picture(self) -> dict[str, Any]:
        with translation.override(self.language):
            return picture(self._order())


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
