"""The handlers of the gateway on a Channels consumer as it comes, to compare with. Not for piles.

Every frame is an event, every connection a task with a queue, and Channels dispatches as it does everywhere else. With
`group` each connection has a channel of its own and is in its pile's group, as Channels' own tutorial has it.

    python -m ykc_server.bench.stock PORT [group]
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

import django
import uvloop
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from ykc_server.protocol import DECODE, FrameBuffer

if TYPE_CHECKING:
    from ykc_server.consumer import PileConsumer


class StockConsumer(AsyncConsumer):
    """One connection; the pile's state is that of our own consumer, which never sees a byte here."""

    channel_layer_alias = "none"
    pile: PileConsumer

    async def ykc_connect(self, event: dict[str, Any]) -> None:
        from ykc_server.consumer import PileConsumer

        self.pile = PileConsumer()
        self.pile.gateway = self.scope["gateway"]
        self.pile.transport = self.scope["transport"]
        self.pile.seen = self.pile.gateway.now
        self.pile.gateway.connected(self.pile)

    async def ykc_frame(self, event: dict[str, Any]) -> None:
        from ykc_server.handlers import GATE, HOT, SLOW

        frame, pile = event["frame"], self.pile
        kind = frame[5]
        pile.seen = pile.gateway.now
        if pile.session is not None and (hot := HOT[kind]) is not None:
            answer = hot(pile, frame)
            if answer is not None:
                await self.send({"type": "ykc.send", "bytes": answer})
        elif (gate := GATE[kind]) is not None:
            await gate(pile, DECODE[kind](frame))
            await self.join()
        elif pile.session is not None and (slow := SLOW[kind]) is not None:
            await slow(pile, DECODE[kind](frame))

    async def join(self) -> None:
        """Become reachable; without a group nobody is."""

    async def leave(self) -> None:
        """Undo `join`."""

    async def ykc_disconnect(self, event: dict[str, Any]) -> None:
        await self.leave()
        self.pile.lost()
        raise StopConsumer


class GroupConsumer(StockConsumer):
    """With a channel per connection and a group per pile."""

    channel_layer_alias = "default"

    async def join(self) -> None:
        await self.channel_layer.group_add(f"pile.{self.pile.pile_code}", self.channel_name)

    async def leave(self) -> None:
        await self.channel_layer.group_discard(f"pile.{self.pile.pile_code}", self.channel_name)


class StockProtocol(asyncio.Protocol):
    """The interface server: frames as events of a queue, one task per connection."""

    def __init__(self, application: Any, gateway: Any, tasks: set[asyncio.Task[None]]) -> None:
        self.application, self.gateway, self.tasks = application, gateway, tasks
        self.buffer = FrameBuffer()
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        scope = {"type": "ykc", "gateway": self.gateway, "transport": transport}
        task = asyncio.get_running_loop().create_task(self.application(scope, self.events.get, self.send))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        self.events.put_nowait({"type": "ykc.connect"})

    def data_received(self, data: bytes) -> None:
        for frame in self.buffer.feed(data):
            self.events.put_nowait({"type": "ykc.frame", "frame": frame})

    def connection_lost(self, error: Exception | None) -> None:
        self.events.put_nowait({"type": "ykc.disconnect"})

    async def send(self, event: dict[str, Any]) -> None:
        self.transport.write(event["bytes"])


async def serve(port: int, consumer: type[StockConsumer]) -> None:
    from ykc_server.bench.rigged import run_until_told
    from ykc_server.gateway import Gateway

    gateway, tasks = Gateway(), set[asyncio.Task[None]]()
    await gateway.start()
    loop, application = asyncio.get_running_loop(), consumer.as_asgi()
    listener = await loop.create_server(
        lambda: StockProtocol(application, gateway, tasks), "127.0.0.1", port, backlog=4_096
    )
    await run_until_told(gateway, listener)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chargeplat.settings")
    django.setup()
    uvloop.run(serve(int(sys.argv[1]), GroupConsumer if "group" in sys.argv else StockConsumer))
