"""Logins, resolved together: what came while the last batch was worked on makes the next one.

A batch costs one query on the public route table, a handful per tenant and one write of routes to Redis, however many
piles are in it; a service call per login would take longer than a fleet can wait after an outage.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from redis.exceptions import RedisError

from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles.enums import AlarmKind, PileState
from apps.piles.models import Alarm, Connector, Pile
from apps.piles.services import ROUTE_KIND
from apps.pricing.selectors import effective_versions
from apps.tenancy.models import InboundRoute, TenantState
from ykc_server import translate
from ykc_server.routes import Route
from ykc_server.session import Prices, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

BATCH = 500
LOCK_TIMEOUT = "2s"
PROTOCOL = "ykc"
ROUTE_TIMEOUT_S = 1.0

ONLINE = """
UPDATE piles_pile SET is_online = true, connection_id = v.connection_id, last_login_at = v.at, last_seen_at = v.at,
       protocol_version = v.protocol_version, software_version = v.software_version, sim_no = v.sim_no
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
    AS v (id, connection_id, protocol_version, software_version, sim_no, at)
 WHERE piles_pile.id = v.id
"""


@dataclass(slots=True, eq=False)
class Login:
    """One connection that waits to hear whether it may go on."""

    consumer: PileConsumer
    pile_code: str
    connection_id: str
    facts: dict[str, str]
    done: asyncio.Future[Session | None]
    error: str = ""


@dataclass(slots=True)
class Found:
    """What the database says of a batch: sessions of those who may log in, schemas that could not be asked."""

    sessions: dict[Login, Session] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


class Unavailable(Exception):
    """Whether a pile may log in cannot be found out now; it has to try again."""


class Logins:
    """The queue of logins of one gateway process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: list[Login] = []
        self._worker: asyncio.Task[None] | None = None
        self._prices: dict[tuple[str, str], Prices] = {}

    async def resolve(self, consumer: PileConsumer, pile_code: str, facts: dict[str, str]) -> Session | None:
        """Return the session of a pile that may log in, None for one that may not.

        Raises Unavailable when the database cannot be asked.
        """
        loop = asyncio.get_running_loop()
        login = Login(consumer, pile_code, self._gateway.new_connection_id(), facts, loop.create_future())
        self._waiting.append(login)
        if self._worker is None:
            self._worker = loop.create_task(self._work())
        return await login.done

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                try:
                    await self._settle(batch)
                except Exception as error:
                    log.exception("logins_failed", count=len(batch))
                    for login in batch:
                        if not login.done.done():
                            login.done.set_exception(Unavailable(str(error)))
        finally:
            self._worker = None

    async def _settle(self, batch: list[Login]) -> None:
        found = await self._gateway.pool.run_surely("public", self._find, batch)
        routes = {
            Route(session.schema, session.pile_code, session.connection_id): login
            for login, session in found.sessions.items()
            if not login.consumer.closed
        }
        others: dict[Route, tuple[str, str]] = {}
        try:
            others = await asyncio.wait_for(self._gateway.routes.put(routes), ROUTE_TIMEOUT_S)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("routes_not_written", count=len(routes), error=str(error))
            self._gateway.routes_are_lost = True
        for login in batch:
            if login.pile_code in found.unanswered:
                login.done.set_exception(Unavailable(login.pile_code))
            else:
                login.done.set_result(found.sessions.get(login))
        for route, (channel, connection_id) in others.items():
            self._gateway.spawn(self._gateway.close_elsewhere(route, channel, connection_id))

    # -- in a pool thread

    def _find(self, batch: list[Login]) -> Found:
        found = Found()
        by_code: dict[str, list[Login]] = defaultdict(list)
        for login in batch:
            by_code[login.pile_code].append(login)
        by_schema: dict[str, dict[str, list[Login]]] = defaultdict(dict)
        rows = InboundRoute.objects.filter(kind=ROUTE_KIND, key__in=by_code, tenant__state=TenantState.ACTIVE)
        for code, schema in rows.values_list("key", "tenant__schema_name"):
            by_schema[schema][code] = by_code[code]
        for schema in sorted(by_schema):
            try:
                with schema_context(schema):
                    found.sessions.update(self._find_in_tenant(schema, by_schema[schema]))
            except (
                DatabaseError
            ) as error:  # its tables may be locked by a migration; the other tenants' are not
                if connection.connection is None or connection.connection.closed:
                    raise
                log.warning("logins_of_tenant_failed", schema=schema, error=str(error))
                found.unanswered.update(by_schema[schema])
        return found

    def _find_in_tenant(self, schema: str, by_code: dict[str, list[Login]]) -> dict[Login, Session]:
        moment = now()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            piles = list(_piles(list(by_code)).values_list("id", "station_id", "pile_code"))
            connectors: dict[int, list[tuple[int, str]]] = defaultdict(list)
            ids = [pile_id for pile_id, _, _ in piles]
            rows = Connector.objects.filter(pile_id__in=ids).order_by("connector_no")
            for pile_id, pk, number in rows.values_list("pile_id", "id", "connector_no"):
                connectors[pile_id].append((pk, number))
            versions = effective_versions(
                places=[(pile_id, station) for pile_id, station, _ in piles], at=moment
            )
            sessions = {}
            for pile_id, station_id, code in piles:
                for login in by_code[code]:
                    version = versions.get(pile_id)
                    sessions[login] = Session(
                        schema=schema,
                        pile_id=pile_id,
                        station_id=station_id,
                        pile_code=code,
                        connection_id=login.connection_id,
                        connectors=connectors[pile_id],
                        prices=self.prices(schema, version) if version else None,
                        since=self._gateway.now,
                    )
            # Two connections of one pile in a batch: the later one is the pile's.
            _set_online({session.pile_id: login for login, session in sessions.items()}, moment)
        return sessions

    def prices(self, schema: str, version: Any) -> Prices:
        """Return a price version in its wire form, translated once."""
        key = (schema, version.billing_model_no)
        if key not in self._prices:
            self._prices[key] = translate.prices(version.billing_model_no, version.to_tariff())
        return self._prices[key]


def _piles(codes: list[str]) -> QuerySet[Pile]:
    """Lock the piles that may log in, always in the same order: two gateways would deadlock otherwise."""
    return (
        Pile.objects.select_for_update(no_key=True)
        .filter(pile_code__in=codes, state=PileState.IN_SERVICE, protocol=PROTOCOL)
        .order_by("id")
    )


def _set_online(logins: dict[int, Login], moment: datetime) -> None:
    if not logins:
        return
    some = list(logins.values())
    columns: list[list[Any]] = [list(logins), [login.connection_id for login in some]]
    columns += [
        [login.facts[name] for login in some] for name in ("protocol_version", "software_version", "sim_no")
    ]
    columns.append([moment] * len(some))
    with connection.cursor() as cursor:
        cursor.execute(ONLINE, columns)
    alarms = Alarm.objects.filter(kind=AlarmKind.PILE_OFFLINE, closed_at=None)
    alarms.filter(pile_code__in=[login.pile_code for login in some]).update(
        closed_at=moment, updated_at=moment
    )
