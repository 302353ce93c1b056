"""Two connections under one pile code: the tenant decides whether the newer wins or the older may prove itself.

A challenge asks every gun of the older connection with 0x12; whatever it says within `wait_s` shows that it lives,
and the newer login is refused with 01. One that is silent was lost on the way, and is replaced as usual. The older
connection may be another process's: then that process is asked, through the channel in the pile's route.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from apps.piles import services as piles
from apps.piles.enums import AlarmKind
from ykc_server.protocol.messages import ReadRealtime

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer
    from ykc_server.gateway import Gateway

log = structlog.get_logger(__name__)

HEARTBEAT_S = 10.0
CHALLENGE_S = 5.0


class Rivals:
    """What one gateway process does about second logins."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._questions = 0
        self.wait_s = CHALLENGE_S

    # -- the newer wins

    def replace(self, older: PileConsumer, newer: str) -> None:
        """Close an older connection of a pile that logged in from `newer` (address and port)."""
        gateway, session = self._gateway, older.session
        assert session is not None
        gateway.count("logins_replaced")
        log.warning(
            "second_login",
            schema=session.schema,
            pile_code=session.pile_code,
            older=older.peer,
            newer=newer,
            kept="newer",
            older_silent_s=round(gateway.now - older.seen),
        )
        if gateway.now - older.seen <= HEARTBEAT_S:
            # It was alive a moment ago: two devices with one code, or somebody who pretends to be the pile.
            self._alarm(session.schema, session.pile_code, older.peer, newer, "newer")
        older.abort()

    async def close_elsewhere(
        self, channel: str, schema: str, pile_code: str, connection_id: str, newer: str
    ) -> None:
        """Have the process that held a pile before close its connection."""
        message = {
            "type": "pile.close",
            "schema": schema,
            "pile_code": pile_code,
            "connection_id": connection_id,
            "newer": newer,
        }
        await self._gateway.channel_layer.send(channel, message)

    def close(self, message: dict[str, Any]) -> None:
        """Another process has the pile now."""
        if (older := self._named(message)) is not None:
            self.replace(older, message.get("newer", ""))

    # -- the older may prove itself

    async def is_defended(self, schema: str, pile_code: str, newer: PileConsumer) -> bool:
        """Whether an older connection of the pile answers; then the newer is refused, and both are in the log."""
        older = await self._defender(schema, pile_code, newer)
        if older is None:
            return False
        self._gateway.count("logins_defended")
        log.warning(
            "second_login", schema=schema, pile_code=pile_code, older=older, newer=newer.peer, kept="older"
        )
        self._alarm(schema, pile_code, older, newer.peer, "older")
        return True

    async def _defender(self, schema: str, pile_code: str, newer: PileConsumer) -> str | None:
        held = self._gateway.sessions.get(schema, {}).get(pile_code)
        if held is newer:
            return None
        if held is not None:
            return held.peer if await self._answers(held) else None
        try:
            holder = await self._gateway.routes.holder(schema, pile_code)
            if holder is None or holder[0] == self._gateway.channel:
                return None
            return await self._ask_elsewhere(*holder, schema, pile_code)
        except (RedisError, OSError) as error:
            log.warning("challenge_not_sent", pile_code=pile_code, error=str(error))
            return None

    async def _answers(self, older: PileConsumer) -> bool:
        if older.challenge is None:
            older.challenge = asyncio.get_running_loop().create_future()
            session = older.session
            assert session is not None
            for number in session.guns:
                message = ReadRealtime(pile_no=session.pile_no, gun_no=number)
                older.write(message.encode(older.next_sequence()))
        asked = older.challenge
        try:
            return await asyncio.wait_for(asyncio.shield(asked), self.wait_s)
        except TimeoutError:
            return False
        finally:
            if older.challenge is asked:  # else a later login has asked anew
                older.challenge = None

    async def _ask_elsewhere(
        self, channel: str, connection_id: str, schema: str, pile_code: str
    ) -> str | None:
        self._questions += 1
        number, answer = self._questions, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        message = {
            "type": "pile.challenge",
            "schema": schema,
            "pile_code": pile_code,
            "connection_id": connection_id,
            "number": number,
            "reply": self._gateway.channel,
        }
        try:
            await self._gateway.channel_layer.send(channel, message)
            return await asyncio.wait_for(answer, self.wait_s + 1)
        except TimeoutError:
            return None
        finally:
            del self._asked[number]

    async def answer(self, message: dict[str, Any]) -> None:
        """Another process asks whether a connection of ours lives."""
        older = self._named(message)
        alive = older is not None and await self._answers(older)
        reply = {
            "type": "pile.challenged",
            "number": message["number"],
            "older": older.peer if alive and older is not None else None,
        }
        await self._gateway.channel_layer.send(message["reply"], reply)

    def answered(self, message: dict[str, Any]) -> None:
        """Another process says whether a connection of its lives."""
        waiting = self._asked.get(message["number"])
        if waiting is not None and not waiting.done():
            waiting.set_result(message["older"])

    def _named(self, message: dict[str, Any]) -> PileConsumer | None:
        held = self._gateway.sessions.get(message["schema"], {}).get(message["pile_code"])
        fits = held and held.session and held.session.connection_id == message["connection_id"]
        return held if fits else None

    def _alarm(self, schema: str, pile_code: str, older: str, newer: str, kept: str) -> None:
        self._gateway.spawn(
            self._gateway.pool.run_surely(
                schema,
                piles.raise_alarm,
                kind=AlarmKind.DUPLICATE_LOGIN,
                pile_code=pile_code,
                detail={"older": older, "newer": newer, "kept": kept},
            )
        )
