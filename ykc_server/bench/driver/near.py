"""The stations nearest to a point, asked for as a phone does, against a bare view that answers with the same bytes."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from apps.common.schema import schema_context
from apps.customers.models import Customer
from apps.miniapp.authentication import token_for
from apps.sites.models import Station
from apps.tenancy.models import Tenant
from chargeplat import embedded
from ykc_server.bench.driver import grow
from ykc_server.bench.goals import percentile
from ykc_server.bench.processes import Measured, free_port, server

POINTS = 200
WARM_UP = 20
CHECKED = 20
"""Answers of each run that are compared with a search through all stations."""
PAGE = 20
REACH_M = 50_000
EARTH_RADIUS_M = 6_371_008.8
Point = tuple[float, float]
"""Latitude and longitude, degrees."""


class Phone:
    """One connection that is kept; one request at a time."""

    def __init__(self, process: Measured, headers: dict[str, str]) -> None:
        self.process = process
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.process.port)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def get(self, path: str) -> tuple[float, bytes]:
        """Return the milliseconds that an answer took, and its body; raises AssertionError unless it is a 200."""
        began = time.perf_counter()
        self._writer.write(f"GET {path} HTTP/1.1\r\n{self._headers}\r\n".encode())
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))
        }
        body = await self._reader.readexactly(int(fields[b"content-length"]))
        taken = (time.perf_counter() - began) * 1e3
        assert head.startswith(b"HTTP/1.1 200"), head
        return taken, body


def measure(say: Callable[[str], object], *, rounds: int, share: float) -> dict[str, list[list[float]]]:
    """Ask both servers in turns; return [[p95 of ours, p95 of the bare view], …], milliseconds, of each round.

    Raises AssertionError for a wrong answer.
    """
    grow.prepare(say, share=share)
    with schema_context(Tenant.objects.get(code=grow.TENANT).schema_name):
        token = str(token_for(Customer.objects.get()))
        places = [
            (float(latitude), float(longitude), number)
            for latitude, longitude, number in Station.objects.values_list(
                "latitude", "longitude", "station_no"
            )
        ]
    headers = {"Host": grow.HOST, "Authorization": f"Bearer {token}", "Accept-Language": "zh-CN"}
    points = _points(max(int(POINTS * share), 10))
    others = set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0)
    core = min(others, default=None)
    log = embedded.state_dir() / "near.log"
    return asyncio.run(_measure(say, headers, points, places, rounds=rounds, core=core, log=log))


async def _measure(
    say: Callable[[str], object],
    headers: dict[str, str],
    points: Sequence[Point],
    places: Sequence[tuple[float, float, str]],
    *,
    rounds: int,
    core: int | None,
    log: Path,
) -> dict[str, list[list[float]]]:
    with ExitStack() as stack:

        def daphne(application: str, **environment: str) -> Measured:
            port = free_port()
            command = ["-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application]
            return stack.enter_context(server(command, port, core=core, log=log, environment=environment))

        # The driver's requests are counted as always, only the limit is out of reach.
        ours = Phone(
            daphne("chargeplat.asgi:application", DB_POOL="true", DRIVER_REQUESTS_PER_MINUTE="1000000"),
            headers,
        )
        await ours.open()
        paths = [
            f"/api/v1/stations?latitude={latitude}&longitude={longitude}&limit={PAGE}"
            for latitude, longitude in points
        ]
        answers = []
        for path, point in zip(paths, points, strict=True):
            _, body = await ours.get(path)
            check(json.loads(body), point, places if len(answers) < CHECKED else None)
            answers.append(body.decode())
        say(f"near: {len(answers)} answers right, {len(answers[0])} bytes the first of them")
        recorded = log.with_name("near.json")
        recorded.write_text(json.dumps(answers))
        bare = Phone(
            daphne("ykc_server.bench.driver.bare:application", BARE_ANSWERS=str(recorded)),
            {"Host": grow.HOST},
        )
        await bare.open()
        for number in range(WARM_UP):
            await bare.get(f"/{number % len(points)}")
        figures = []
        for turn in range(rounds):
            taken: tuple[list[float], list[float]] = ([], [])
            used = [phone.process.cpu_s() for phone in (ours, bare)]
            for number, path in enumerate(paths):
                our_ms, body = await ours.get(path)
                bare_ms, same = await bare.get(f"/{number}")
                assert same.decode() == answers[number], path
                check(json.loads(body), points[number], None)
                taken[0].append(our_ms)
                taken[1].append(bare_ms)
            figures.append([percentile(values, 0.95) for values in taken])
            p50 = [percentile(values, 0.5) for values in taken]
            cpu = [
                (phone.process.cpu_s() - before) * 1e3 / len(paths)
                for phone, before in zip((ours, bare), used, strict=True)
            ]
            say(
                f"near {turn + 1}: p95 {figures[-1][0]:.1f} ms, bare {figures[-1][1]:.2f} ms; "
                f"p50 {p50[0]:.1f} and {p50[1]:.2f} ms, CPU {cpu[0]:.1f} and {cpu[1]:.2f} ms each"
            )
        ours.close()
        bare.close()
    return {"near": figures}


def _points(count: int) -> list[Point]:
    """Where drivers are, always the same places: mostly in a city, each tenth somewhere between two of them."""
    dice = random.Random(7)
    points = []
    for number in range(count):
        _, latitude, longitude = dice.choice(grow.CITIES)
        if number % 10 == 9:
            _, other_latitude, other_longitude = dice.choice(grow.CITIES)
            latitude, longitude = (latitude + other_latitude) / 2, (longitude + other_longitude) / 2
        points.append((round(dice.gauss(latitude, 0.1), 6), round(dice.gauss(longitude, 0.1), 6)))
    return points


def check(answer: dict[str, Any], point: Point, places: Sequence[tuple[float, float, str]] | None) -> None:
    """Raise AssertionError unless stations come nearest first with all guns; with `places`, the nearest of all."""
    items = answer["items"]
    distances = [item["distance_m"] for item in items]
    assert distances == sorted(distances), distances
    assert all(distance <= REACH_M for distance in distances), distances
    for item in items:
        guns = item["guns"]
        assert (guns["dc"]["total"], guns["ac"]["total"]) == ((grow.PILES - 1) * grow.GUNS, grow.GUNS), guns
        assert item["price_now"], item["station_no"]
    if places is None:
        return
    within = sorted((metres(point, place[:2]), place[2]) for place in places)
    nearest = [(round(distance), number) for distance, number in within if distance <= REACH_M]
    assert len(items) == min(len(nearest), PAGE), (point, len(items))
    assert (answer["next_cursor"] is not None) == (len(nearest) > PAGE)
    found = [(item["distance_m"], item["station_no"]) for item in items]
    # Two that are a hair apart may change places between their arithmetic and ours.
    assert all(abs(ours[0] - theirs[0]) <= 1 for ours, theirs in zip(found, nearest, strict=False)), point
    assert {number for _, number in found[:-1]} <= {number for _, number in nearest[: PAGE + 1]}, point


def metres(one: Point, other: Point) -> float:
    """Great-circle distance of two points, by the haversine."""
    (south, west), (north, east) = (
        (math.radians(point[0]), math.radians(point[1])) for point in (one, other)
    )
    half = (
        math.sin((north - south) / 2) ** 2
        + math.cos(south) * math.cos(north) * math.sin((east - west) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half))
