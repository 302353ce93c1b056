"""An export played to a gateway again: over a real socket, only where it may be, and compared."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.ykc_server.harness import CODE, OTHER_CODE, heartbeat, login, make_pile, run, running
from ykc_server.masking import spec_of
from ykc_server.protocol import FrameBuffer, check_frame, decode
from ykc_server.replay import BadExport, compare, play, read_export, restamp

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)


def line(frame: bytes, *, down: bool = False, after: float = 0.0, code: str = CODE) -> str:
    row = {
        "at": (BEGIN + timedelta(seconds=after)).isoformat(),
        "pile_code": code,
        "direction": "down" if down else "up",
        "hex": frame.hex(),
    }
    return json.dumps(row)


def conversation(host: Any) -> Any:
    """Log in and beat once; returns what the pile sent and what it got."""

    async def go() -> tuple[list[bytes], list[bytes]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
        sent = [login().encode(b"\x01\x02"), heartbeat().encode(b"\x03\x04")]
        writer.write(b"".join(sent))
        buffer, got = FrameBuffer(), []
        async with asyncio.timeout(5):
            while len(got) < 3:
                got += buffer.feed(await reader.read(65_536))
        writer.close()
        return sent, got

    return go()


def test_a_conversation_is_answered_as_it_was(committed: Any) -> None:
    make_pile()

    async def go() -> Any:
        async with running() as host:
            sent, got = await conversation(host)
            lines = read_export([line(frame) for frame in sent] + [line(f, down=True, after=1) for f in got])
            same = await play(lines, host="127.0.0.1", port=host.port, speed=0)
            strange = await play(
                lines, host="127.0.0.1", port=host.port, speed=0, pile_code=OTHER_CODE, wait_s=1.0
            )
            return same, strange

    same, strange = run(go())
    assert (same.sent, len(same.received), same.differences) == (2, 3, [])
    # A pile that is not registered is refused, and the comparison says so.
    assert any("login_ack" in text for text in strange.differences)


def test_a_frame_gets_another_pile_code_and_a_good_crc() -> None:
    frame = heartbeat().encode(b"\x03\x04")
    changed = restamp(frame, CODE, OTHER_CODE)
    assert check_frame(changed) == "ok"
    assert decode(changed).value("pile_no") == OTHER_CODE
    assert restamp(changed, OTHER_CODE, CODE) == frame
    assert restamp(b"\x68\x01", CODE, OTHER_CODE) == b"\x68\x01"
    assert spec_of(changed) is spec_of(frame)


def test_answers_are_compared_by_what_they_say() -> None:
    first, again = heartbeat().encode(b"\0\0"), heartbeat().encode(b"\x09\0")
    assert compare([first], [again]) == []
    assert compare([first, first], [again]) == ["0x03 heartbeat: 2 recorded, 1 received"]


@pytest.mark.parametrize("text", ["{", "{}", '{"at": 1}', "", line(b"\x68", down=True)])
def test_what_is_no_export_is_refused(text: str) -> None:
    with pytest.raises(BadExport):
        read_export([text])


def test_the_command_plays_only_where_it_may(tenant: Any, tmp_path: Path) -> None:
    make_pile()
    file = tmp_path / "export.jsonl"
    file.write_text(line(heartbeat().encode()))

    def replay(*more: str) -> str:
        out = io.StringIO()
        call_command("ykc", "replay", str(file), "--port", "1", *more, stdout=out)
        return out.getvalue()

    sure = "--yes-this-is-a-test-tenant"
    for arguments, said in (
        (("--tenant", "alpha"), "--yes-this-is-a-test-tenant"),
        (("--tenant", "nobody", sure), "no tenant nobody"),
        (("--tenant", "beta", sure), "not registered at tenant beta"),
        (("--tenant", "alpha", sure, "--pile-code", OTHER_CODE), f"pile {OTHER_CODE} is not registered"),
        (("--tenant", "alpha", sure), "no gateway at"),
    ):
        with pytest.raises(CommandError, match=said):
            replay(*arguments)
    file.write_text("no json")
    with pytest.raises(CommandError, match="line 1"):
        replay("--tenant", "alpha", sure)
