"""The wall's socket: cards of a station's guns, whole at first and then those that changed.

A browser opens it with the back office's own cookie. It must come from our own page (Origin), the person must be let
in by the back office, may see guns and this station; that is asked again every minute. All sockets of a process that
watch one station share one look at the database every EVERY_S.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, TypeVar
from urllib.parse import urlsplit

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils import translation

from apps.backoffice import scope
from apps.backoffice.sites import tenant_site
from apps.common.errors import DomainError
from apps.common.schema import run_in_schema
from apps.common.time import now
from apps.piles.gunwall.cards import Card, buttons, cards_of, counts_of, html_of
from apps.tenancy.selectors import tenant_for

log = structlog.get_logger(__name__)

NOT_SIGNED_IN, FORBIDDEN, NO_SUCH_STATION = 4401, 4403, 4404
EVERY_S = 2.0
TICK_S = 10.0
ASK_AGAIN_S = 60.0
LONGEST_KEY = 100

T = TypeVar("T")
_pool = ThreadPoolExecutor(4, "gunwall")


class Refused(Exception):
    """The person may not watch; carries the code that the socket is closed with."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


@dataclass(frozen=True)
class Viewer:
    """What of a person changes what cards look like."""

    permissions: frozenset[str]
    language: str


class GunWallConsumer(AsyncWebsocketConsumer):
    """One browser watching one station."""

    schema = ""
    viewer: Viewer | None = None
    hub: Hub | None = None

    async def connect(self) -> None:
        """Accept, since only an open socket can be closed with a reason; then ask who it is."""
        await self.accept()
        self.station_id = int(self.scope["url_route"]["kwargs"]["station_id"])
        self.asked_at = asyncio.get_running_loop().time()
        try:
            await self._admit()
        except Refused as refusal:
            await self.close(refusal.code)
            return
        self.hub = Hub.of(self.schema, self.station_id)
        await self.hub.join(self)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing that a browser says is listened to."""

    async def disconnect(self, code: int) -> None:
        """Leave."""
        if self.hub is not None:
            self.hub.leave(self)

    async def tell(self, text: str) -> None:
        """Send, if the person may still watch."""
        loop = asyncio.get_running_loop()
        if loop.time() - self.asked_at > ASK_AGAIN_S:
            self.asked_at = loop.time()
            try:
                await self._admit()
            except Refused as refusal:
                if self.hub is not None:
                    self.hub.leave(self)
                await self.close(refusal.code)
                return
        await self.send(text)

    async def _admit(self) -> None:
        headers = {name: value.decode("latin-1") for name, value in self.scope["headers"]}
        host = headers.get(b"host", "")
        if urlsplit(headers.get(b"origin", "")).netloc != host:
            raise Refused(FORBIDDEN)
        self.schema = await in_thread(settings.PUBLIC_SCHEMA_NAME, _schema_of, host)
        asked = (headers.get(b"cookie", ""), headers.get(b"accept-language", ""))
        self.viewer = await in_thread(self.schema, _viewer, *asked, self.station_id)


def _schema_of(host: str) -> str:
    try:
        schema = str(tenant_for(host=host, path="/admin/").schema_name)
    except DomainError:
        raise Refused(NOT_SIGNED_IN) from None
    if schema == settings.PUBLIC_SCHEMA_NAME:
        raise Refused(NOT_SIGNED_IN)
    return schema


def _viewer(cookie: str, languages: str, station_id: int) -> Viewer:
    """Return what matters of the person whose session it is. Raises Refused."""
    cookies = _cookies(cookie)
    key = cookies.get(settings.SESSION_COOKIE_NAME, "")
    request: Any = HttpRequest()
    request.COOKIES, request.META["HTTP_ACCEPT_LANGUAGE"] = cookies, languages
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key[:LONGEST_KEY] or None)
    request.user = get_user(request)
    if not request.user.is_authenticated or not tenant_site.has_permission(request):
        raise Refused(NOT_SIGNED_IN)
    if not request.user.has_perm("piles.view_connector"):
        raise Refused(FORBIDDEN)
    if not scope.sees_station(request.user, station_id):
        raise Refused(NO_SUCH_STATION)
    return Viewer(buttons(request.user), translation.get_language_from_request(request))


def _cookies(text: str) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(text).items()}
    except CookieError:
        return {}


@dataclass(eq=False)
class Hub:
    """Those of this process who watch one station, and the task that looks for them."""

    schema: str
    station_id: int
    sockets: set[GunWallConsumer] = field(default_factory=set)
    cards: list[Card] | None = None
    task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, schema: str, station_id: int) -> Hub:
        """Return the hub of a station in this event loop."""
        key = (id(asyncio.get_running_loop()), schema, station_id)
        if key not in _hubs:
            _hubs[key] = cls(schema, station_id)
        return _hubs[key]

    async def join(self, socket: GunWallConsumer) -> None:
        """Send the whole wall, and what changes from then on."""
        cards = await in_thread(self.schema, cards_of, self.station_id)
        if not cards and not await in_thread(self.schema, _exists, self.station_id):
            await socket.close(NO_SUCH_STATION)
            return
        if not self.sockets:
            self.cards = cards  # else what the others have not been told yet would be lost to them
        assert socket.viewer is not None
        await socket.tell(await in_thread(self.schema, message, cards, cards, (), socket.viewer))
        self.sockets.add(socket)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._watch())

    def leave(self, socket: GunWallConsumer) -> None:
        """The last one ends the task."""
        self.sockets.discard(socket)
        if not self.sockets:
            if self.task is not None:
                self.task.cancel()
                self.task = None
            _hubs.pop((id(asyncio.get_running_loop()), self.schema, self.station_id), None)

    async def _watch(self) -> None:
        told_at = asyncio.get_running_loop().time()
        while self.sockets:
            await asyncio.sleep(EVERY_S)
            try:
                told_at = await self._look(told_at)
            except Exception:
                log.warning("gun_wall_not_read", station_id=self.station_id, exc_info=True)

    async def _look(self, told_at: float) -> float:
        """Read the guns and tell what changed since the last look. Returns when somebody was last told something."""
        cards = await in_thread(self.schema, cards_of, self.station_id)
        before = {card.pk: card for card in self.cards or ()}
        changed = [card for card in cards if before.get(card.pk) != card]
        gone = tuple(before.keys() - {card.pk for card in cards})
        self.cards = cards
        moment = asyncio.get_running_loop().time()
        if changed or gone:
            await self._tell(changed, gone)
            return moment
        if moment - told_at < TICK_S:
            return told_at
        text = json.dumps({"at": f"{now():%H:%M:%S}"})
        for socket in list(self.sockets):
            await self._send(socket, text)
        return moment

    async def _tell(self, changed: Sequence[Card], gone: Sequence[int]) -> None:
        texts: dict[Viewer, str] = {}
        for socket in list(self.sockets):
            viewer = socket.viewer
            assert viewer is not None
            if viewer not in texts:
                texts[viewer] = await in_thread(self.schema, message, changed, self.cards, gone, viewer)
            await self._send(socket, texts[viewer])

    async def _send(self, socket: GunWallConsumer, text: str) -> None:
        """One that has gone meanwhile stops nobody else's news."""
        try:
            await socket.tell(text)
        except Exception:  # noqa: BLE001 - whatever its server says of a socket that is closing
            log.info("gun_wall_socket_gone", station_id=self.station_id)
            self.sockets.discard(socket)


_hubs: dict[tuple[int, str, int], Hub] = {}


def message(changed: Sequence[Card], cards: Sequence[Card], gone: Sequence[int], viewer: Viewer) -> str:
    """Return what a socket sends: the cards that changed as HTML, ids of those that are gone, counts by state."""
    with translation.override(viewer.language):
        html = [html_of(card, viewer.permissions) for card in changed]
    words = {"at": f"{now():%H:%M:%S}", "cards": html, "gone": list(gone), "counts": counts_of(cards)}
    return json.dumps(words, ensure_ascii=False)


def _exists(station_id: int) -> bool:
    from apps.sites.models import Station

    return Station.objects.filter(pk=station_id).exists()


async def in_thread(schema: str, function: Callable[..., T], *args: Any) -> T:
    """Call in a thread of our pool, in a schema; the common thread of channels would make all sockets wait."""
    call = database_sync_to_async(run_in_schema, thread_sensitive=False, executor=_pool)
    result: T = await call(schema, function, *args)
    return result
