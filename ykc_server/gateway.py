"""One gateway process: its sessions, its writers, and the channel on which commands reach it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import InterfaceError, OperationalError
from redis.exceptions import RedisError

from apps.common.time import now as wall_clock
from apps.orders import battery as orders_battery
from apps.piles import gateway as pile_gateway
from apps.piles import services as piles
from apps.piles.commands import UpdateFirmware, from_payload
from apps.piles.enums import CommandKind
from apps.piles.reports import ConnectorReport
from apps.piles.selectors import update_credentials
from ykc_server import translate
from ykc_server.dialects import columns
from ykc_server.floods import LoginLimit
from ykc_server.framelog import FrameLog
from ykc_server.ingest import RecordWriter, StatusWriter
from ykc_server.logins import Logins
from ykc_server.newcomers import Newcomers
from ykc_server.pool import DatabasePool
from ykc_server.protocol.messages import ReadRealtime
from ykc_server.rivals import Rivals
from ykc_server.routes import Route, Routes
from ykc_server.session import Gun, Session
from ykc_server.telemetry import TelemetryWriter
from ykc_server.teller import Teller
from ykc_server.watchers import Watchers

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer

log = structlog.get_logger(__name__)

HEARTBEAT_S = 10.0
SEEN_EVERY_S = 15.0
RENEW_EVERY_S = 2.0
SAMPLES_PER_MINUTE = 10
CHUNK = 1_000
SENT_AFTER_S = 0.05
"""A command's row may wait to hear that it was sent; the pile's answer comes within that time and must not."""


class Gateway:
    """Everything that connections of this process share. Started once per event loop.

    `clock` is monotonic seconds; `tick_s` is how often time-outs are looked for.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, tick_s: float = 1.0) -> None:
        self._clock = clock
        self._tick_s = tick_s
        self.now = clock()
        self.heartbeat_timeout_s = float(settings.YKC_HEARTBEAT_TIMEOUT_S)
        self.login_timeout_s = float(settings.YKC_LOGIN_TIMEOUT_S)
        self.renew_every_s = RENEW_EVERY_S
        self.pool = DatabasePool(settings.YKC_DATABASE_THREADS)
        self.channel_layer: Any = get_channel_layer()
        self.logins = Logins(self)
        self.records = RecordWriter(self)
        self.statuses = StatusWriter(self)
        self.telemetry = TelemetryWriter(self)
        self.frames = FrameLog(self)
        self.changes = Changes(self)
        self.battery_reports = Teller(self, orders_battery.battery_reported)
        self.rivals = Rivals(self)
        self.newcomers = Newcomers(self)
        self.login_limit = LoginLimit(settings.YKC_LOGIN_BURST, settings.YKC_LOGINS_PER_MINUTE)
        self.locks = Teller(self, piles.locks_reported)
        self.welcome = Teller(self, pile_gateway.welcome)
        self.sent = Teller(self, piles.commands_sent, pause_s=SENT_AFTER_S)
        self.counters: Counter[str] = Counter()
        self.sessions: dict[str, dict[str, PileConsumer]] = defaultdict(dict)
        self.half_open: set[PileConsumer] = set()
        self.routes_are_lost = False
        self.channel = ""
        self.routes: Routes
        self.watchers: Watchers
        self._process = secrets.token_hex(4)
        self._logins = 0
        self._gone: list[Session] = []
        self._offline: asyncio.Task[None] | None = None
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._seen_at = self.now
        self._samples: Counter[str] = Counter()
        self._samples_since = self.now

    # -- life

    async def start(self) -> None:
        """Take a channel, announce this process, start the writers. Raises redis errors when Redis is away."""
        self.channel = await self.channel_layer.new_channel("ykc.gateway.")
        self.routes = Routes(self.channel)
        self.watchers = Watchers()
        await self.routes.announce()
        loops = (
            self.records.run,
            self.statuses.run,
            self.telemetry.run,
            self.frames.run,
            self.newcomers.run,
            self._receive_commands,
            self._tick,
            self._renew_routes,
        )
        self._loops = [asyncio.create_task(loop(), name=loop.__qualname__) for loop in loops]

    async def stop(self) -> bool:
        """Store and confirm what was received, close the connections and end, within 3 s.

        Piles are not set offline: they dial another gateway within seconds, and the watcher finds those that do not.
        Returns False when a thread still waits for the database.
        """
        await self._within(1.0, self._finish())
        ending = list(self.connections())
        for consumer in ending:
            consumer.closed = True
            consumer.transport.close()
        self.sessions.clear()
        self.half_open.clear()
        tasks = [*self._loops, *self._tasks, *([self._offline] if self._offline else [])]
        for task in tasks:
            task.cancel()
        await self._within(0.5, asyncio.gather(*tasks, return_exceptions=True))
        await self._within(0.3, asyncio.gather(self.routes.close(), self.watchers.close()))
        await self._within(0.3, self.channel_layer.flush())
        for consumer in ending:
            consumer.transport.abort()  # those that do not read what they were sent
        return await self._within(0.7, asyncio.to_thread(self.pool.close))

    async def _finish(self) -> None:
        await self.records.drain()
        await self.statuses.flush()
        await self.telemetry.flush()
        await self.frames.flush()
        while waiting := [*self._tasks, *([self._offline] if self._offline else [])]:
            await asyncio.wait(waiting)
        await self.telemetry.flush()  # what a partition had to be made for
        await self.frames.flush()

    @staticmethod
    async def _within(timeout_s: float, work: Awaitable[Any]) -> bool:
        try:
            await asyncio.wait_for(work, timeout_s)
        except TimeoutError:
            log.warning("stopping_takes_long", after_s=timeout_s)
            return False
        return True

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine that nobody waits for; its errors are logged."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background_work_failed", exc_info=error)

    # -- counters and logs

    def count(self, what: str, times: int = 1) -> None:
        """Count an event of this process."""
        self.counters[what] += times

    def sampled(self, event: str, **facts: Any) -> None:
        """Log what anybody outside can cause, a few times a minute at most."""
        if self.now - self._samples_since > 60:
            self._samples.clear()
            self._samples_since = self.now
        self._samples[event] += 1
        if self._samples[event] <= SAMPLES_PER_MINUTE:
            log.warning(event, **facts)

    # -- connections

    def connections(self) -> Iterator[PileConsumer]:
        """All connections, logged in or not."""
        yield from self.half_open
        for by_code in self.sessions.values():
            yield from by_code.values()

    def connected(self, consumer: PileConsumer) -> None:
        """A connection begins; it has to log in within the login time-out."""
        self.half_open.add(consumer)

    def new_connection_id(self) -> str:
        """Return an id that no other login has, in this process or another."""
        self._logins += 1
        return f"{self._process}-{self._logins:x}"

    def enter(self, consumer: PileConsumer, session: Session) -> None:
        """A connection is a pile's from now on; an older connection of that pile is closed."""
        self.half_open.discard(consumer)
        by_code = self.sessions[session.schema]
        older = by_code.get(session.pile_code)
        by_code[session.pile_code] = consumer
        if consumer.session is not None:
            consumer.session.end()
        consumer.session = session
        consumer.seen = session.since = self.now
        self.count("logins")
        consumer.speak(session)
        consumer.frames_kept_until = session.frames_kept_until
        if older is not None and older is not consumer:
            self.rivals.replace(older, consumer.peer)

    def holds(self, session: Session) -> bool:
        """Whether a login is still the present one of its pile in this process."""
        consumer = self.sessions[session.schema].get(session.pile_code)
        return consumer is not None and consumer.session is session

    def learn(self, session: Session, **learnt: bool) -> None:
        """A pile showed how it speaks (fields of Dialect): keep it, here and in its row."""
        session.dialect = self.logins.dialect(replace(session.dialect, **learnt))
        self.spawn(
            self.pool.run_surely(
                session.schema, piles.dialect_learnt, pile_code=session.pile_code, **columns(learnt)
            )
        )

    def unheard(self, session: Session) -> None:
        """A pile that sends its checksums high byte first said nothing after our answer to its login.

        Perhaps it took the answer for torn: the next one is in the other order, and so on in turn.
        """
        if session.dialect.sends_swapped_crc:
            self.count("logins_unheard")
            self.learn(session, wants_swapped_crc=not session.dialect.wants_swapped_crc)

    def disconnected(self, consumer: PileConsumer) -> None:
        """A connection ended; its pile is offline, unless it is back on another connection."""
        self.half_open.discard(consumer)
        session = consumer.session
        if session is None:
            return
        self.statuses.drop(session)
        if consumer.challenge is not None and not consumer.challenge.done():
            consumer.challenge.set_result(False)
        if consumer.seen <= session.since:
            self.unheard(session)
        by_code = self.sessions[session.schema]
        if by_code.get(session.pile_code) is consumer:
            del by_code[session.pile_code]
            self.forget(session)

    def forget(self, session: Session) -> None:
        """Set a login's pile offline and delete its route, in the next batch."""
        self._gone.append(session)
        if self._offline is None:
            self._offline = asyncio.get_running_loop().create_task(self._set_offline())

    async def _set_offline(self) -> None:
        try:
            while self._gone:
                gone, self._gone = self._gone[:CHUNK], self._gone[CHUNK:]
                try:
                    await self.routes.forget(Route(s.schema, s.pile_code, s.connection_id) for s in gone)
                except (RedisError, OSError) as error:
                    log.warning("routes_not_deleted", count=len(gone), error=str(error))
                async with self.statuses.flushing:
                    pass  # what was on its way to the database must not overwrite "offline"
                by_schema: dict[str, dict[str, str]] = defaultdict(dict)
                for session in gone:
                    by_schema[session.schema][session.pile_code] = session.connection_id
                for schema, connection_ids in by_schema.items():
                    try:
                        await self.pool.run_surely(schema, piles.piles_offline, connection_ids=connection_ids)
                    except Exception:
                        log.exception("piles_not_set_offline", schema=schema, count=len(connection_ids))
        finally:
            self._offline = None

    # -- time

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            self.scan()
            if self.now - self._seen_at >= SEEN_EVERY_S:
                since, self._seen_at = self._seen_at, self.now
                self.spawn(self._write_seen(since, wall_clock()))

    def scan(self) -> None:
        """Close connections that did not log in or fell silent; ask guns that have not reported since their login."""
        self.now = self._clock()
        for consumer in [c for c in self.half_open if self.now - c.seen > self.login_timeout_s]:
            self.count("closed_without_login")
            self.sampled("no_login", peer=consumer.peer)
            consumer.abort()
        silent = []
        for by_code in self.sessions.values():
            for consumer in by_code.values():
                if self.now - consumer.seen > self.heartbeat_timeout_s:
                    silent.append(consumer)
                elif (
                    (session := consumer.session)
                    and not session.asked
                    and self.now - session.since > HEARTBEAT_S
                ):
                    self._ask(consumer, session)
        for consumer in silent:
            self.count("closed_silent")
            log.info("pile_silent", pile_code=consumer.pile_code, peer=consumer.peer)
            consumer.abort()

    def _ask(self, consumer: PileConsumer, session: Session) -> None:
        """A pile that idles reports every 5 min only: after a restart of ours its guns would seem offline so long."""
        session.asked = True
        for number, gun in session.guns.items():
            if gun.last is None:
                message = ReadRealtime(pile_no=session.pile_no, gun_no=number)
                consumer.write(message.encode(consumer.next_sequence()))

    async def _write_seen(self, since: float, moment: datetime) -> None:
        for schema, by_code in list(self.sessions.items()):
            ids = sorted(c.session.pile_id for c in by_code.values() if c.session and c.seen >= since)
            for start in range(0, len(ids), CHUNK):
                await self.pool.run(schema, piles.piles_seen, ids[start : start + CHUNK], at=moment)

    async def _renew_routes(self) -> None:
        while True:
            try:
                if self.routes_are_lost or not await self.routes.renew():
                    self.routes_are_lost = True
                    await self._rewrite_routes()
                    self.routes_are_lost = False
            except (RedisError, OSError) as error:
                self.routes_are_lost = True
                log.warning("route_table_unreachable", error=str(error))
            await asyncio.sleep(self.renew_every_s)

    async def _rewrite_routes(self) -> None:
        sessions = [c.session for by_code in self.sessions.values() for c in by_code.values() if c.session]
        for start in range(0, len(sessions), CHUNK):
            some = sessions[start : start + CHUNK]
            await self.routes.put(
                Route(s.schema, s.pile_code, s.connection_id) for s in some if self.holds(s)
            )
        await self.routes.announce()
        if sessions:
            log.info("routes_rewritten", count=len(sessions))

    # -- commands

    async def _receive_commands(self) -> None:
        while True:
            try:
                message = await self.channel_layer.receive(self.channel)
                if message["type"] == "pile.command":
                    self._command(message)
                elif message["type"] == "pile.close":
                    self.rivals.close(message)
                elif message["type"] == "pile.challenge":
                    self.spawn(self.rivals.answer(message))
                elif message["type"] == "pile.challenged":
                    self.rivals.answered(message)
                elif message["type"] == "pile.frames":
                    self._keep_frames(message)
            except asyncio.CancelledError:
                raise
            except Exception:
                log.exception("command_not_received")
                await asyncio.sleep(0.2)

    def _keep_frames(self, message: dict[str, Any]) -> None:
        consumer = self.sessions.get(message["schema"], {}).get(message["pile_code"])
        if consumer is not None:
            consumer.frames_kept_until = message["until"]

    def _command(self, message: dict[str, Any]) -> None:
        schema = message["schema"]
        consumer = self.sessions[schema].get(message["pile_code"]) if schema in self.sessions else None
        if consumer is None or consumer.session is None:
            self.spawn(self._undelivered(message, "offline"))
            return
        try:
            command = from_payload(message["kind"], message["payload"])
            if isinstance(command, UpdateFirmware):
                self.spawn(self._update(consumer, consumer.session, message, command))
                return
            five_prices = consumer.session.dialect.five_prices
            asked = translate.command_message(command, message["pile_code"], five_prices=five_prices)
            frame = asked.encode(consumer.next_sequence())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the command's row must say so
            self._untranslatable(message, error)
            return
        if message["kind"] == CommandKind.READ_REALTIME:
            gun = consumer.session.guns.get(bytes.fromhex(message["payload"]["connector_no"]))
            if gun is not None:
                gun.asked = True
        consumer.write(frame)
        self.count("commands")
        self._sent(message, frame)

    async def _update(
        self, consumer: PileConsumer, session: Session, message: dict[str, Any], command: UpdateFirmware
    ) -> None:
        """Send 0x94. The update server's credentials exist in its frame alone, and the frame is kept without them."""
        try:
            known = await self.pool.run_surely(
                message["schema"], update_credentials, server_id=command.server_id
            )
            credentials = translate.Credentials(*known)
            update = translate.update_message(command, message["pile_code"], credentials)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the command's row must say so
            self._untranslatable(message, error)
            return
        if consumer.closed or consumer.session is not session:
            await self._undelivered(message, "offline")
            return
        sequence = consumer.next_sequence()
        consumer.write(update.encode(sequence))
        self.count("commands")
        self._sent(message, translate.masked(update).encode(sequence))

    def _untranslatable(self, message: dict[str, Any], error: Exception) -> None:
        log.error(
            "command_not_sent", command_id=message["command_id"], kind=message["kind"], error=str(error)
        )
        self.spawn(self._undelivered(message, f"untranslatable: {error}"[:100]))

    def _sent(self, message: dict[str, Any], frame: bytes) -> None:
        told = (message["command_id"], message["tries"], wall_clock(), frame)
        self.sent.put(message["schema"], told[:2], told)

    async def _undelivered(self, message: dict[str, Any], reason: str) -> None:
        await self.pool.run_surely(
            message["schema"],
            piles.command_undelivered,
            command_id=message["command_id"],
            reason=reason,
            tries=message["tries"],
        )

    async def answered(self, session: Session, kind: CommandKind, connector_no: str, frame: bytes) -> None:
        """A plain handler saw the answer to a command."""
        await self.pool.run_surely(
            session.schema,
            piles.command_answered,
            pile_code=session.pile_code,
            kind=kind,
            connector_no=connector_no,
            accepted=True,
            answer=frame,
        )


class Changes(Teller[ConnectorReport]):
    """Tells the piles service of guns whose state changed."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway, _tell)

    def note(self, gun: Gun) -> None:
        """A gun's report differs from the one before."""
        faults = gun.last.hardware_fault if gun.last else 0
        word = (translate.connector_state(gun), translate.transaction_no(gun), faults)
        if word == gun.told:
            return
        gun.told = word
        self.put(gun.session.schema, gun, translate.connector_report(gun))


def _tell(reports: list[ConnectorReport]) -> None:
    try:
        piles.connectors_changed(reports=reports)
    except (OperationalError, InterfaceError):
        raise  # the database is away: all are told again later
    except Exception:
        if len(reports) > 1:
            for report in reports:
                _tell([report])
        else:
            log.exception(
                "change_not_told", pile_code=reports[0].pile_code, connector_no=reports[0].connector_no
            )
