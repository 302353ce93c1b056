"""What `make bench` compares is the same on both sides, and a wrong answer never passes for a right one."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvloop

from chargeplat.embedded import BASE_DIR
from ykc_server.bench import codec, load
from ykc_server.bench.echo import Echo
from ykc_server.bench.goals import GOALS, Result, percentile, ratio
from ykc_server.bench.load import Errors, Fleet
from ykc_server.bench.pace import Pace
from ykc_server.bench.speed import echoed
from ykc_server.management.commands.bench_ykc import MEASURES
from ykc_server.protocol import FrameBuffer

CODES = ["32990000000001", "32990000000002", "32990000000003"]


def test_by_hand_and_by_table_make_the_same_of_a_frame() -> None:
    ours = codec.heartbeat_of_ours(FrameBuffer())
    assert codec.heartbeat_by_hand(codec.HEARTBEAT) == ours(codec.HEARTBEAT)
    assert codec.realtime_by_hand(codec.REALTIME) == codec.realtime_of_ours(FrameBuffer())(codec.REALTIME)


def test_construct_reads_the_same_fields() -> None:
    for parse, frame in zip(codec.by_construct(), (codec.HEARTBEAT, codec.REALTIME), strict=True):
        m = codec.realtime_of_ours(FrameBuffer())(frame)
        parsed = parse(frame).checked.value
        assert parsed.sequence == m.sequence
        assert {name: parsed[name] for name in m.spec.fields} == {
            name: getattr(m, name) for name in m.spec.fields
        }


def test_construct_and_hand_written_code_refuse_a_wrong_checksum() -> None:
    torn = codec.HEARTBEAT[:-1] + bytes((codec.HEARTBEAT[-1] ^ 1,))
    with pytest.raises(ValueError, match="no heartbeat"):
        codec.heartbeat_by_hand(torn)
    with pytest.raises(Exception, match="checksum"):
        codec.by_construct()[0](torn)


def test_goals_are_met_from_the_right_side() -> None:
    assert Result("heartbeat", 1.35).is_met
    assert not Result("heartbeat", 1.36).is_met
    assert Result("records", 2.5).is_met
    assert not Result("records", 2.49).is_met
    assert Result("charging_saturated", 99.0).is_met
    assert Result("pace_p99", 8.0, goal=9.0).is_met


def test_ratios_are_medians_of_rounds() -> None:
    assert ratio("heartbeat", [(2.0, 1.0), (9.0, 3.0), (4.0, 1.0)]).value == 3.0
    assert ratio("stock_heartbeat", [(2.0, 1.0), (1.0, 4.0), (1.0, 3.0)], inverse=True).value == 3.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0  # one of a hundred may pass it


class Liar(Echo):
    """Gives back one byte in another form."""

    def data_received(self, data: bytes) -> None:
        self.transport.write(data[:-1] + bytes((data[-1] ^ 1,)))  # type: ignore[attr-defined]


async def _against(server: type[asyncio.Protocol], *, chop: bool) -> tuple[Errors, int]:
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    fleet = Fleet(listener.sockets[0].getsockname()[1], Errors(), chop=chop)
    await fleet.dial(CODES)
    await fleet.once(echoed(load.charging_exchanges))
    answered = fleet.answered()
    fleet.close()
    listener.close()
    return fleet.errors, answered


@pytest.mark.parametrize("chop", [False, True])
def test_every_answer_is_compared(chop: bool) -> None:
    errors, answered = uvloop.run(_against(Echo, chop=chop))
    assert (errors.wrong, errors.missing, answered) == (0, 0, 27)


def test_a_wrong_answer_is_counted() -> None:
    errors, _ = uvloop.run(_against(Liar, chop=False))
    assert (errors.wrong, errors.missing) == (3, 0)


def test_half_a_minute_of_guns_at_their_pace() -> None:
    fleet = Fleet(0, Errors())
    fleet.piles = [load.PileClient(code, fleet.errors) for code in CODES]
    play = Pace(fleet, charging=2)
    kinds = [kind for _, _, _, kind in play.events]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {0x03: 9, 0x13: 4, 0x23: 4, 0x25: 4, 0x12: 1}
    assert [event[0] for event in play.events] == sorted(event[0] for event in play.events)


def _figures(tmp_path: Path, *options: str) -> tuple[dict[str, Any], subprocess.CompletedProcess[str]]:
    """Run the command with a hundredth of all numbers; return what it found, and how it ended."""
    figures = tmp_path / "figures.json"
    command = [
        sys.executable,
        "manage.py",
        "bench_ykc",
        "--share",
        "0.01",
        "--seconds",
        "0.3",
        "--rounds",
        "1",
    ]
    environment = os.environ | {"CHARGEPLAT_STATE": str(tmp_path / "s")}
    done = subprocess.run(
        [*command, "--json", str(figures), *options],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=1100,
    )
    assert figures.exists(), done.stdout[-2_000:] + done.stderr[-2_000:]
    found = json.loads(figures.read_text())
    assert found["errors"] == {"wrong": 0, "missing": 0}, done.stdout
    return found, done


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_measure_runs_with_a_few_piles(tmp_path: Path) -> None:
    found, done = _figures(tmp_path)
    assert {result["name"] for result in found["results"]} == set(GOALS)
    assert len(MEASURES) == 18
    assert done.returncode in {0, 1}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_measure_at_a_socket_runs_with_torn_writes(tmp_path: Path) -> None:
    at_a_socket = {name for name, (piles, _) in MEASURES.items() if piles}
    found, done = _figures(tmp_path, "--chop", "--only", *at_a_socket)
    aside = ("codec", "books", "pages", "near", "reconcile")
    assert {result["name"] for result in found["results"]} == {
        name for name in GOALS if not name.startswith(aside)
    }
    assert done.returncode == 0
