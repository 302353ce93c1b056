"""Logins, resolved together: what came while the last batch was worked on makes the next one.

A batch costs one query on the public route table, a handful per tenant and one write of routes to Redis, however many
piles are in it; a service call per login would take longer than a fleet can wait after an outage. The queries are
plain SQL with one argument for all piles of a batch: the ORM takes several times as long to write "IN" with a thousand
arguments as all the rest of their logins takes.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import structlog
from django.db import DatabaseError, connection, transaction
from redis.exceptions import RedisError

from apps.common.schema import schema_context
from apps.common.time import now
from apps.piles import networks
from apps.piles.enums import AlarmKind, PileState
from apps.piles.models import Pile
from apps.piles.services import ROUTE_KIND, raise_alarm
from apps.pricing.models import PriceVersion
from apps.pricing.selectors import effective_version_ids
from apps.tenancy.models import SecondLogin, TenantState
from ykc_server import dialects, translate
from ykc_server.protocol import Dialect, learn
from ykc_server.protocol import messages as wire
from ykc_server.routes import Route
from ykc_server.session import Prices, Session

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

BATCH = 1_000
LOCK_TIMEOUT = "2s"
PROTOCOL = "ykc"
ALARMS = {"wrong_address": AlarmKind.WRONG_ADDRESS, "wrong_sim": AlarmKind.WRONG_SIM}
ROUTE_TIMEOUT_S = 1.0

# Codes and ids come as one text with commas between: neither can hold one.
ROUTES = """
SELECT route.key, tenant.schema_name, tenant.state, tenant.second_login
  FROM tenancy_inboundroute route JOIN tenancy_tenant tenant ON tenant.id = route.tenant_id
 WHERE route.kind = %s AND route.key = ANY (string_to_array(%s, ','))
"""
# Locked, and always in the same order: two gateways would deadlock otherwise.
PILES = """
SELECT {columns} FROM piles_pile
 WHERE pile_code = ANY (string_to_array(%s, ',')) AND state = %s AND protocol = %s
 ORDER BY id FOR NO KEY UPDATE
"""
CONNECTORS = """
SELECT pile_id, id, connector_no FROM piles_connector
 WHERE pile_id = ANY (string_to_array(%s, ',')::bigint[]) ORDER BY connector_no
"""
ONLINE = """
UPDATE piles_pile SET is_online = true, connection_id = v.connection_id, last_login_at = %s, last_seen_at = %s,
       protocol_version = v.protocol_version, software_version = v.software_version, sim_no = v.sim_no
  FROM json_to_recordset(%s::json) AS v (id bigint, connection_id text, protocol_version text, software_version text,
                                   sim_no text)
 WHERE piles_pile.id = v.id
"""
BACK = """
UPDATE piles_alarm SET closed_at = %s, updated_at = %s
 WHERE kind = %s AND closed_at IS NULL AND pile_code = ANY (string_to_array(%s, ','))
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
        self._prices: dict[tuple[str, int], Prices] = {}
        self._dialects: dict[Dialect, Dialect] = {}
        self._learnt: dict[tuple[Any, ...], Dialect] = {}  # by the pile's columns and what its login said

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
        registered = set()
        for code, schema, state, policy in _fetch(ROUTES, ROUTE_KIND, ",".join(by_code)):
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
            _fetch("SELECT set_config('lock_timeout', %s, true)", LOCK_TIMEOUT)
            piles = _piles(by_code)
            connectors: dict[int, list[tuple[int, str]]] = defaultdict(list)
            for pile_id, pk, number in _fetch(CONNECTORS, _ids(pile.id for pile in piles)):
                connectors[pile_id].append((pk, number))
            prices = self._prices_of(schema, piles, moment)
            for pile in piles:
                for login in by_code[pile.pile_code]:
                    login.refusal = _refusal(pile, login)
                    if login.refusal:
                        continue
                    if policy == SecondLogin.CHALLENGE and _has_rival(pile, login):
                        rivals[login] = schema
                        continue
                    sessions[login] = Session(
                        schema=schema,
                        pile_id=pile.id,
                        pile_code=pile.pile_code,
                        connection_id=login.connection_id,
                        connectors=connectors[pile.id],
                        prices=prices.get(pile.id),
                        since=self._gateway.now,
                        dialect=self._dialect_of(pile, login),
                        frames_kept_until=_seconds(pile.frames_kept_until),
                    )
            # Two connections of one pile in a batch: the later one is the pile's.
            _set_online({session.pile_id: login for login, session in sessions.items()}, moment)
            _raise_alarms([login for logins in by_code.values() for login in logins])
        found.sessions.update(sessions)
        found.rivals.update(rivals)

    def _dialect_of(self, pile: FoundPile, login: Login) -> Dialect:
        told = (*pile[-len(dialects.COLUMNS) :], login.message.protocol_version, login.crc_swapped)
        if (learnt := self._learnt.get(told)) is None:
            spoken = dialects.dialect(*told[:-2])
            learnt = self.dialect(learn(spoken, login.message, crc_swapped=login.crc_swapped))
            self._learnt[told] = learnt
        return learnt

    def dialect(self, spoken: Dialect) -> Dialect:
        """Return the one object that stands for all dialects equal to this one."""
        return self._dialects.setdefault(spoken, spoken)

    def _prices_of(self, schema: str, piles: list[FoundPile], moment: datetime) -> dict[int, Prices]:
        places = [(pile.id, pile.station_id) for pile in piles]
        versions = effective_version_ids(places=places, at=moment)
        new = {pk for pk in versions.values() if (schema, pk) not in self._prices}
        for version in PriceVersion.objects.filter(pk__in=new) if new else ():
            self.prices(schema, version)
        return {pile_id: self._prices[schema, pk] for pile_id, pk in versions.items()}

    def prices(self, schema: str, version: PriceVersion) -> Prices:
        """Return a price version in its wire form, translated once: versions never change."""
        key = (schema, version.pk)
        if key not in self._prices:
            self._prices[key] = translate.prices(version.billing_model_no, version.to_tariff())
        return self._prices[key]


class FoundPile(NamedTuple):
    """What a login needs to know of a pile: columns of piles.Pile, those of its dialect last."""

    id: int
    station_id: int
    pile_code: str
    allowed_networks: str
    pinned_sim_no: str
    is_online: bool
    connection_id: str
    frames_kept_until: datetime | None
    five_prices: bool
    takes_qr: bool
    crc_order: str
    cipher: str
    cipher_key: str


def _fetch(query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall() if cursor.description else []


def _ids(ids: Iterable[int]) -> str:
    return ",".join(map(str, ids))


def _piles(codes: Iterable[str]) -> list[FoundPile]:
    """Lock and return the piles that may log in."""
    query = PILES.format(columns=", ".join(FoundPile._fields))
    found = map(FoundPile._make, _fetch(query, ",".join(codes), PileState.IN_SERVICE.value, PROTOCOL))
    decrypt: Any = Pile._meta.get_field("cipher_key")
    return [
        pile._replace(cipher_key=decrypt.from_db_value(pile.cipher_key)) if pile.cipher_key else pile
        for pile in found
    ]


def _seconds(moment: datetime | None) -> float:
    """Seconds since the epoch, 0 for none."""
    return moment.timestamp() if moment else 0.0


def _refusal(pile: FoundPile, login: Login) -> str:
    """Why a login under a registered code is not the pile's, "" if nothing speaks against it."""
    if not networks.allows(pile.allowed_networks, login.address):
        return "wrong_address"
    if pile.pinned_sim_no and pile.pinned_sim_no.upper() != login.facts["sim_no"].upper():
        return "wrong_sim"
    return ""


def _has_rival(pile: FoundPile, login: Login) -> bool:
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
    facts = [
        {"id": pile_id, "connection_id": login.connection_id, **login.facts}
        for pile_id, login in logins.items()
    ]
    codes = ",".join(login.pile_code for login in logins.values())
    _fetch(ONLINE, moment, moment, msgspec.json.encode(facts).decode())
    _fetch(BACK, moment, moment, AlarmKind.PILE_OFFLINE.value, codes)
