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
from apps.piles import networks
from apps.piles.enums import AlarmKind, PileState
from apps.piles.models import Alarm, Connector, Pile
from apps.piles.services import ROUTE_KIND, raise_alarm
from apps.pricing.selectors import effective_versions
from apps.tenancy.models import InboundRoute, SecondLogin, TenantState
from ykc_server import dialects, translate
from ykc_server.protocol import Dialect, learn
from ykc_server.protocol import messages as wire
from ykc_server.routes import Route
from ykc_server.session import Prices, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

BATCH = 500
LOCK_TIMEOUT = "2s"
PROTOCOL = "ykc"
ALARMS = {"wrong_address": AlarmKind.WRONG_ADDRESS, "wrong_sim": AlarmKind.WRONG_SIM}
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
    message: wire.Login
    pile_code: str
    connection_id: str
    address: str
    crc_swapped: bool
    facts: dict[str, str]
    done: asyncio.Future[Session | None]
    unrivalled: bool = False  # no older connection of the pile answered
    refusal: str = "out_of_service"


@dataclass(slots=True)
class Found:
    """What the database says of a batch.

    sessions    of those who may log in
    rivals      those whose tenant lets the older connection prove itself first, with its schema
    unknown     those whose code nobody has registered
    unanswered  codes of tenants that could not be asked
    """

    sessions: dict[Login, Session] = field(default_factory=dict)
    rivals: dict[Login, str] = field(default_factory=dict)
    unknown: list[Login] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)


class Unavailable(Exception):
    """Whether a pile may log in cannot be found out now; it has to try again."""


class TooMany(Exception):
    """The address has sent too many logins that lead to nothing."""


class Logins:
    """The queue of logins of one gateway process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._waiting: list[Login] = []
        self._worker: asyncio.Task[None] | None = None
        self._prices: dict[tuple[str, str], Prices] = {}
        self._dialects: dict[Dialect, Dialect] = {}

    async def resolve(self, consumer: PileConsumer, message: wire.Login) -> Session | None:
        """Return the session of a pile that may log in, None for one that may not.

        Raises Unavailable when the database cannot be asked, TooMany when the address has to wait.
        """
        login = Login(
            consumer=consumer,
            message=message,
            pile_code=message.value("pile_no"),
            connection_id=self._gateway.new_connection_id(),
            address=consumer.address,
            crc_swapped=consumer.buffer.crc_swapped,
            facts=translate.login_facts(message),
            done=asyncio.get_running_loop().create_future(),
        )
        self._put(login)
        session = await login.done
        if session is None:
            self._gateway.sampled(
                "login_refused", pile_code=login.pile_code, peer=consumer.peer, why=login.refusal
            )
        return session

    def _put(self, login: Login) -> None:
        self._waiting.append(login)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

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
        batch = self._within_limits(batch)
        if not batch:
            return
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
            elif login in found.rivals:
                self._gateway.spawn(self._challenge(login, found.rivals[login]))
            else:
                self._answer(login, found.sessions.get(login))
        for login in found.unknown:
            self._gateway.newcomers.note(login.pile_code, login.address, login.facts)
        for route, (channel, connection_id) in others.items():
            newer = routes[route].consumer.peer
            self._gateway.spawn(
                self._gateway.rivals.close_elsewhere(channel, *route[:2], connection_id, newer)
            )

    def _within_limits(self, batch: list[Login]) -> list[Login]:
        limit, moment = self._gateway.login_limit, self._gateway.now
        within = []
        for login in batch:
            if limit.allows(login.address, moment):
                within.append(login)
            else:
                login.done.set_exception(TooMany(login.address))
        return within

    def _answer(self, login: Login, session: Session | None) -> None:
        repeated = login.consumer.session is not None
        if session is None or repeated:
            self._gateway.login_limit.charge(login.address, self._gateway.now)
        login.done.set_result(session)

    async def _challenge(self, login: Login, schema: str) -> None:
        """Let the older connection of a pile prove itself; if it does not, the login is worked on again."""
        try:
            defended = await self._gateway.rivals.is_defended(schema, login.pile_code, login.consumer)
        except Exception:
            log.exception("challenge_failed", pile_code=login.pile_code)
            defended = False
        if defended:
            login.refusal = "second_login"
            self._answer(login, None)
        else:
            login.unrivalled = True
            self._put(login)

    # -- in a pool thread

    def _find(self, batch: list[Login]) -> Found:
        found = Found()
        by_code: dict[str, list[Login]] = defaultdict(list)
        for login in batch:
            by_code[login.pile_code].append(login)
        by_schema: dict[str, dict[str, list[Login]]] = defaultdict(dict)
        policies: dict[str, str] = {}
        rows = InboundRoute.objects.filter(kind=ROUTE_KIND, key__in=by_code)
        columns = ("key", "tenant__schema_name", "tenant__state", "tenant__second_login")
        registered = set()
        for code, schema, state, policy in rows.values_list(*columns):
            registered.add(code)
            if state == TenantState.ACTIVE:
                by_schema[schema][code] = by_code[code]
                policies[schema] = policy
        for login in batch:
            if login.pile_code not in registered:
                login.refusal = "unknown"
                found.unknown.append(login)
        for schema in sorted(by_schema):
            try:
                with schema_context(schema):
                    self._find_in_tenant(schema, by_schema[schema], policies[schema], found)
            except (
                DatabaseError
            ) as error:  # its tables may be locked by a migration; the other tenants' are not
                if connection.connection is None or connection.connection.closed:
                    raise
                log.warning("logins_of_tenant_failed", schema=schema, error=str(error))
                found.unanswered.update(by_schema[schema])
        return found

    def _find_in_tenant(
        self, schema: str, by_code: dict[str, list[Login]], policy: str, found: Found
    ) -> None:
        moment = now()
        sessions: dict[Login, Session] = {}
        rivals: dict[Login, str] = {}
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            piles = list(_piles(list(by_code)))
            connectors: dict[int, list[tuple[int, str]]] = defaultdict(list)
            rows = Connector.objects.filter(pile_id__in=[pile.id for pile in piles]).order_by("connector_no")
            for pile_id, pk, number in rows.values_list("pile_id", "id", "connector_no"):
                connectors[pile_id].append((pk, number))
            versions = effective_versions(places=[(pile.id, pile.station_id) for pile in piles], at=moment)
            for pile in piles:
                for login in by_code[pile.pile_code]:
                    login.refusal = _refusal(pile, login)
                    if login.refusal:
                        continue
                    if policy == SecondLogin.CHALLENGE and _has_rival(pile, login):
                        rivals[login] = schema
                        continue
                    version = versions.get(pile.id)
                    sessions[login] = Session(
                        schema=schema,
                        pile_id=pile.id,
                        station_id=pile.station_id,
                        pile_code=pile.pile_code,
                        connection_id=login.connection_id,
                        connectors=connectors[pile.id],
                        prices=self.prices(schema, version) if version else None,
                        since=self._gateway.now,
                        dialect=self._dialect_of(pile, login),
                        frames_kept_until=_seconds(pile.frames_kept_until),
                    )
            # Two connections of one pile in a batch: the later one is the pile's.
            _set_online({session.pile_id: login for login, session in sessions.items()}, moment)
            _raise_alarms([login for logins in by_code.values() for login in logins])
        found.sessions.update(sessions)
        found.rivals.update(rivals)

    def _dialect_of(self, pile: Any, login: Login) -> Dialect:
        spoken = dialects.dialect(*(getattr(pile, name) for name in dialects.COLUMNS))
        return self.dialect(learn(spoken, login.message, crc_swapped=login.crc_swapped))

    def dialect(self, spoken: Dialect) -> Dialect:
        """Return the one object that stands for all dialects equal to this one."""
        return self._dialects.setdefault(spoken, spoken)

    def prices(self, schema: str, version: Any) -> Prices:
        """Return a price version in its wire form, translated once."""
        key = (schema, version.billing_model_no)
        if key not in self._prices:
            self._prices[key] = translate.prices(version.billing_model_no, version.to_tariff())
        return self._prices[key]


COLUMNS = (
    "id",
    "station_id",
    "pile_code",
    "allowed_networks",
    "pinned_sim_no",
    "is_online",
    "connection_id",
    "frames_kept_until",
    *dialects.COLUMNS,
)


def _piles(codes: list[str]) -> QuerySet[Any]:
    """Lock the piles that may log in, always in the same order: two gateways would deadlock otherwise."""
    return (
        Pile.objects.select_for_update(no_key=True)
        .filter(pile_code__in=codes, state=PileState.IN_SERVICE, protocol=PROTOCOL)
        .order_by("id")
        .values_list(*COLUMNS, named=True)
    )


def _seconds(moment: datetime | None) -> float:
    """Seconds since the epoch, 0 for none."""
    return moment.timestamp() if moment else 0.0


def _refusal(pile: Any, login: Login) -> str:
    """Why a login under a registered code is not the pile's, "" if nothing speaks against it."""
    if not networks.allows(pile.allowed_networks, login.address):
        return "wrong_address"
    if pile.pinned_sim_no and pile.pinned_sim_no.upper() != login.facts["sim_no"].upper():
        return "wrong_sim"
    return ""


def _has_rival(pile: Any, login: Login) -> bool:
    own = login.consumer.session
    return (
        pile.is_online and not login.unrivalled and (own is None or own.connection_id != pile.connection_id)
    )


def _raise_alarms(logins: list[Login]) -> None:
    """Once for each pile, however many such logins are in a batch."""
    wrong = {(login.pile_code, login.refusal): login for login in logins if login.refusal in ALARMS}
    for (pile_code, refusal), login in wrong.items():
        detail = {"address": login.address, "sim_no": login.facts["sim_no"]}
        raise_alarm(kind=ALARMS[refusal], pile_code=pile_code, detail=detail)


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
