"""PileConsumer under an ASGI host that is not our server: events in, events out."""

from __future__ import annotations

import asyncio

from channels.testing import ApplicationCommunicator

from tests.ykc_server.harness import APPLICATION, CODE, heartbeat, login, make_pile, record, run, running
from ykc_server.protocol import FrameBuffer, decode


def test_the_consumer_speaks_asgi(committed):
    """Frames torn over two events; 0x40 comes when the record is stored, heartbeats before it."""
    make_pile()

    async def go():
        async with running() as host:
            pile = ApplicationCommunicator(APPLICATION, {"type": "ykc", "gateway": host.gateway})
            buffer = FrameBuffer()
            messages = []

            async def receive(count):
                while len(messages) < count:
                    event = await pile.receive_output(timeout=3)
                    assert event["type"] == "ykc.send"
                    messages.extend(decode(frame) for frame in buffer.feed(event["bytes"]))
                return [message.spec.name for message in messages]

            await pile.send_input({"type": "ykc.connect"})
            await pile.send_input({"type": "ykc.receive", "bytes": heartbeat().encode()})
            data = b"".join(m.encode() for m in (login(), heartbeat(), record(), heartbeat()))
            await pile.send_input({"type": "ykc.receive", "bytes": data[:50]})
            await pile.send_input({"type": "ykc.receive", "bytes": data[50:]})
            names = await receive(5)
            assert names == [
                "login_ack", "time_sync", "heartbeat_ack", "heartbeat_ack", "transaction_record_ack",
            ]  # fmt: skip
            assert host.gateway.counters["before_login"] == 1
            await pile.send_input({"type": "ykc.disconnect"})
            await pile.wait(timeout=3)
            assert CODE not in host.gateway.sessions[committed.schema_name]

    run(go())


def test_a_refused_login_closes(committed):
    async def go():
        async with running() as host:
            pile = ApplicationCommunicator(APPLICATION, {"type": "ykc", "gateway": host.gateway})
            await pile.send_input({"type": "ykc.connect"})
            await pile.send_input({"type": "ykc.receive", "bytes": login().encode()})
            answer = await pile.receive_output(timeout=3)
            assert decode(answer["bytes"]).result == 1
            assert await pile.receive_output(timeout=3) == {"type": "ykc.close"}
            await pile.send_input({"type": "ykc.disconnect"})
            await asyncio.wait_for(pile.wait(), 3)

    run(go())
