"""The measures of the money part, as `make bench` runs them."""

from __future__ import annotations

import asyncio
import os
import statistics

from django.db import connection

from apps.common.schema import schema_context
from chargeplat import embedded
from ykc_server.bench.goals import Result, ratio
from ykc_server.bench.money import pages as book_pages
from ykc_server.bench.money import reconciliation as bills
from ykc_server.bench.money import settlements as settling
from ykc_server.bench.office.pages import PARTS
from ykc_server.bench.stage import Stage

RECORDS = settling.PROCESSES * (settling.ORDERS + 1)
"""Of each round: each process settles one to be warm before the clock runs."""
PILES = RECORDS + 100
DRIVERS = 200
MOST_ROUNDS = 3


async def pages(stage: Stage) -> list[Result]:
    """The slowest of the journal's pages, and of the statements, with many entries against few."""
    figures = await asyncio.to_thread(
        book_pages.in_own_process, stage.note, rounds=stage.rounds, share=stage.share
    )
    results = []
    for goal, begin in (("books_journal", "journal"), ("books_statement", "statement")):
        own = {name: pairs for name, pairs in figures.items() if name.startswith(begin)}
        worst = max(own, key=lambda name: statistics.median(many / few for many, few in own[name]))
        results.append(ratio(goal, [(many, few) for many, few in own[worst]], note=worst))
    return results


async def office(stage: Stage) -> list[Result]:
    """The slowest of each kind of page, with five million orders against a few hundred."""
    figures = await asyncio.to_thread(
        book_pages.in_own_process, stage.note, rounds=stage.rounds, share=stage.share, what="office"
    )
    results = []
    for goal, begin in PARTS.items():
        own = {name: pairs for name, pairs in figures.items() if name.startswith(begin)}
        worst = max(own, key=lambda name: statistics.median(many / few for many, few in own[name]))
        results.append(ratio(f"pages_{goal}", [(many, few) for many, few in own[worst]], note=worst))
    return results


async def near(stage: Stage) -> list[Result]:
    """Stations near a point, p95, against a bare view."""
    figures = await asyncio.to_thread(
        book_pages.in_own_process, stage.note, rounds=stage.rounds, share=stage.share, what="near"
    )
    return [ratio("near", [(ours, bare) for ours, bare in figures["near"]])]


async def settlements(stage: Stage) -> list[Result]:
    """Settlements per second against transactions of pgbench per second, in turns."""
    return await asyncio.to_thread(_settlements, stage)


def _settlements(stage: Stage) -> list[Result]:
    settling.pgbench()
    for pid in (os.getpid(), *(process.pid for process in embedded.services().owned.values())):
        os.sched_setaffinity(pid, range(os.cpu_count() or 1))  # the processes and the server share all cores
    each = stage.some(RECORDS)  # shared as the piles are: one for each record, however small the share
    rounds = min(stage.rounds, MOST_ROUNDS)
    phones = [f"+86139{number:08d}" for number in range(DRIVERS)]
    measured, writes = [], (0, 0)
    dsn = embedded.services().dsn()
    path = stage.state / "settlement.pgbench"
    with schema_context(stage.schema):
        with connection.cursor() as cursor:
            settling.make_rows(cursor)
        writes = settling.row_writes(settling.records(stage.piles(PILES), phones, 1)[0])
        path.write_text(settling.script(*writes))
        stage.note(f"a settlement inserts {writes[0]} rows and changes {writes[1]}")
        for turn in range(rounds):
            ids = settling.records(stage.piles(PILES), phones, each)
            first, rest = ids[: settling.PROCESSES], ids[settling.PROCESSES :]
            with settling.settlers(stage.schema, first, dict(os.environ)) as go:
                theirs = settling.transactions_per_s(path, dsn)
                ours = len(rest) / go()
            settling.check_settled(ids)
            measured.append((ours, theirs))
            stage.note(f"settlements {turn + 1}: {ours:,.0f}/s against {theirs:,.0f}/s of pgbench")
    connection.close()
    note = f"{writes[0]} rows inserted, {writes[1]} changed in each"
    return [ratio("settlements", measured, note=note)]


async def reconcile(stage: Stage) -> list[Result]:
    """Seconds that a day's bill of ten thousand rows takes."""
    return await asyncio.to_thread(_reconcile, stage)


def _reconcile(stage: Stage) -> list[Result]:
    rows = stage.some(bills.ROWS)
    taken = []
    with schema_context(stage.schema):
        for turn in range(min(stage.rounds, MOST_ROUNDS)):
            day = bills.fresh_day()
            wrong = bills.make_day(day, rows)
            taken.append(bills.reconcile(day, rows, wrong))
            stage.note(f"reconcile {turn + 1}: {taken[-1]:.1f} s for {rows:,} rows, {wrong} of them differ")
    connection.close()
    return [Result("reconcile", statistics.median(taken), taken)]
