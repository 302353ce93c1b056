"""A start on its way to the pile: from the API call, and from the committed command to the pile's answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from django.db import connection, transaction

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.piles import gateway as pile_gateway
from apps.piles.commands import StartCharge
from apps.piles.drivers import redis_client
from apps.piles.models import Pile
from ykc_server import translate
from ykc_server.bench import load
from ykc_server.bench.business import HOST
from ykc_server.bench.goals import Result, percentile, ratio
from ykc_server.bench.load import PileClient
from ykc_server.bench.pace import CALM_S, Pace
from ykc_server.bench.processes import Measured
from ykc_server.bench.rigged import CHANNEL
from ykc_server.bench.stage import Stage, undisturbed
from ykc_server.protocol.messages import RemoteStart, RemoteStartAck, RemoteStop

API_PILES = 1_000
API_CALLS = 200
DRIVERS = 200
PILES = 5_000
COMMANDS = 100
WARM_UP = 10
PAUSE_S = 0.02
TIMEOUT_S = 10.0
START = RemoteStart.spec.kind


def refusal(frame: bytes) -> bytes:
    """0x33 to a 0x34: refused, so that the order ends and the driver's money is free for the next run."""
    answer = RemoteStartAck(
        transaction_no=frame[6:22], pile_no=frame[22:29], gun_no=frame[29:30], result=0, fail_reason=3
    )
    return answer.encode(frame[2:4])


# --- From the API -----------------------------------------------------------------------------------------


class Calls:
    """API calls, one after another, and the piles that they reach."""

    def __init__(self, stage: Stage, daphne: Measured) -> None:
        self.stage = stage
        self.daphne = daphne
        self.started: dict[str, asyncio.Future[tuple[float, bytes]]] = {}
        self.ended: dict[str, asyncio.Future[None]] = {}

    def frame(self, pile: PileClient, frame: bytes) -> None:
        """What a pile gets that is no answer to a heartbeat."""
        if frame[5] == RemoteStop.spec.kind and (ended := self.ended.get(pile.code)) is not None:
            if not ended.done():
                ended.set_result(None)
        elif frame[5] == START and (waiting := self.started.get(pile.code)) is not None:
            if waiting.done():
                self.stage.errors.wrong += 1  # one call, one start
                return
            waiting.set_result((time.perf_counter(), frame))
            pile.write(refusal(frame))

    async def call(self, code: str, token: str) -> float:
        """Start a charge; return the milliseconds until the pile has 0x34."""
        loop = asyncio.get_running_loop()
        waiting = self.started[code] = loop.create_future()
        self.ended[code] = loop.create_future()
        body = json.dumps({"connector_code": f"{code}01", "preset_amount": "20.00"}).encode()
        head = (
            f"POST /api/v1/charges HTTP/1.1\r\nHost: {HOST}:{self.daphne.port}\r\nAuthorization: Bearer {token}\r\n"
            f"Idempotency-Key: {uuid.uuid4().hex}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.daphne.port)
        began = time.perf_counter()
        writer.write(head.encode() + body)
        try:
            arrived, frame = await asyncio.wait_for(asyncio.shield(waiting), TIMEOUT_S)
        except TimeoutError:
            self.stage.errors.missing += 1
            answer = await asyncio.wait_for(reader.read(), TIMEOUT_S)
            self.stage.note(f"no 0x34 for {code}: {answer[:12]!r} … {answer[-120:]!r}")
            writer.close()
            return TIMEOUT_S * 1e3
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(TimeoutError):
            # The refused start is given up with a stop: until then its own work would slow the next call down.
            await asyncio.wait_for(asyncio.shield(self.ended[code]), TIMEOUT_S)
        right = frame[22:29] == bytes.fromhex(code) and int.from_bytes(frame[46:50], "little") == 2_000
        if not right or not answer.startswith(b"HTTP/1.1 201"):
            self.stage.errors.wrong += 1
        return (arrived - began) * 1e3


async def from_api(stage: Stage) -> list[Result]:
    """Milliseconds from the API call until the pile has 0x34, one call after another."""
    codes = stage.piles(API_PILES)
    with stage.web(core=None) as daphne, stage.gateway() as gateway:
        fleet = stage.fleet(gateway)
        await fleet.dial(codes)
        await fleet.log_in()
        calls = Calls(stage, daphne)
        play = Pace(fleet, charging=0)
        play.on_other = calls.frame
        play.report(0)
        play.start()
        await gateway.quiet(below_s=CALM_S)
        delays = []
        used = daphne.cpu_s()
        count = stage.some(API_CALLS)
        for index in range(count + WARM_UP):
            delay_ms = await calls.call(codes[index % len(codes)], stage.tokens[index % DRIVERS])
            if index >= WARM_UP:  # the first ones load code
                delays.append(delay_ms)
        web_ms = (daphne.cpu_s() - used) * 1e3 / (count + WARM_UP)
        await play.stop()
        await gateway.quiet()
        fleet.close()
    p99 = percentile(delays, 0.99)
    note = f"p99 {p99:.1f} ms, web {web_ms:.1f} ms CPU each"
    return [Result("start", statistics.median(delays), sorted(delays), note=note)]


# --- From the command -------------------------------------------------------------------------------------


class Commands:
    """Starts through `gateway.send`, and the same frame over a plain Redis channel through the same process.

    A pile answers with 0x33 and a heartbeat behind it in one write: the 0x04 says that the gateway has read both.
    """

    def __init__(self, stage: Stage, play: Pace) -> None:
        self.stage = stage
        self.piles = {pile.code: pile for pile in play.fleet.piles}
        self._waiting: dict[str, asyncio.Future[float]] = {}
        self._expected: dict[str, bytes] = {}
        self._answers: dict[str, bytes] = {}
        self._counter = time.time_ns() // 1_000_000
        self._thread = ThreadPoolExecutor(1)
        with schema_context(stage.schema):
            self._rows = {pile.pile_code: pile for pile in Pile.objects.filter(pile_code__in=self.piles)}
        connection.close()
        play.on_other = self._frame

    def close(self) -> None:
        """End the thread that sends."""
        self._thread.submit(_close_connection).result()
        self._thread.shutdown()

    async def one(self, code: str, *, raw: bool) -> float:
        """Return milliseconds from the commit (raw: from the publication) until the pile's answer is with us."""
        loop = asyncio.get_running_loop()
        self._counter += 1
        number = f"{code}{self._counter:018d}"
        done = self._waiting[code] = loop.create_future()
        command = StartCharge(transaction_no=number, connector_no="01", balance=Decimal("20.00"))
        expected = translate.command_message(command, code, five_prices=False).encode(b"\0\0")
        self._expected[code] = expected[6:-2]
        began = await loop.run_in_executor(
            self._thread, self._publish if raw else self._send, code, command, expected
        )
        try:
            arrived = await asyncio.wait_for(done, TIMEOUT_S)
        except TimeoutError:
            self.stage.errors.missing += 1
            return TIMEOUT_S * 1e3
        return (arrived - began) * 1e3

    def _send(self, code: str, command: StartCharge, expected: bytes) -> float:
        committed = []
        with schema_context(self.stage.schema), transaction.atomic():
            transaction.on_commit(lambda: committed.append(time.perf_counter()))
            pile_gateway.send(pile=self._rows[code], command=command, actor=SYSTEM)
        return committed[0]

    def _publish(self, code: str, command: StartCharge, frame: bytes) -> float:
        began = time.perf_counter()
        redis_client().publish(CHANNEL, b" ".join((self.stage.schema.encode(), code.encode(), frame)))
        return began

    def _frame(self, pile: PileClient, frame: bytes) -> None:
        done = self._waiting.get(pile.code)
        if done is None or done.done():
            self.stage.errors.wrong += 1
        elif frame[5] == START:
            if frame[6:-2] != self._expected[pile.code]:
                self.stage.errors.wrong += 1
            behind = load.heartbeat(pile.code, b"\xfe\xff")
            self._answers[pile.code] = behind.answer
            pile.write(refusal(frame) + behind.request)
        elif frame == self._answers.pop(pile.code, None):
            done.set_result(time.perf_counter())
        else:
            self.stage.errors.wrong += 1


def _close_connection() -> None:
    connection.close()  # of the thread that calls


async def from_command(stage: Stage) -> list[Result]:
    """p50 of a start from its commit to the pile's answer, among piles at their real pace."""
    p50s, p99s = [], []
    with stage.helper("rigged", "raw") as gateway:
        fleet = stage.fleet(gateway)
        await fleet.dial(stage.piles(PILES))
        await fleet.log_in()
        play = Pace(fleet, charging=0)
        play.report(0)
        play.start()
        await gateway.quiet(below_s=CALM_S)
        commands = await asyncio.to_thread(Commands, stage, play)
        count = stage.some(COMMANDS)
        codes = list(commands.piles)
        step = max(len(codes) // 7, 1)
        place = 0
        with undisturbed():
            for turn in range(-1, stage.rounds):
                waits: dict[bool, list[float]] = {True: [], False: []}
                for _ in range(count if turn >= 0 else WARM_UP):
                    for raw in (True, False):
                        place += step
                        waits[raw].append(await commands.one(codes[place % len(codes)], raw=raw))
                        await asyncio.sleep(
                            PAUSE_S
                        )  # the answer's own work in the database is not ours to wait for
                if turn < 0:
                    continue
                ours, raw_ms = statistics.median(waits[False]), statistics.median(waits[True])
                p50s.append((ours, raw_ms))
                p99s.append(percentile(waits[False], 0.99))
                raw_p99 = percentile(waits[True], 0.99)
                stage.note(
                    f"command {turn + 1}: p50 {ours:.2f} ms against {raw_ms:.2f}, "
                    f"p99 {p99s[-1]:.2f} against {raw_p99:.2f}"
                )
        await play.stop()
        commands.close()
        fleet.close()
    return [ratio("command", p50s), Result("command_p99", statistics.median(p99s), p99s)]
