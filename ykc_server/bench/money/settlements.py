"""Settlements per second by four processes, against pgbench with as many row writes per transaction.

python -m ykc_server.bench.money.settlements SCHEMA is one of the processes: it reads the id of a record from its input,
settles it to be warm, says "ready", works off what is stored when another line comes, as the task of a worker does, and
says "done" when nothing is left.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from chargeplat import embedded

PROCESSES = 4
ORDERS = 200
"""Of each process and round."""
ROWS = 100_000
SECONDS = 5


class NoPgbench(RuntimeError):
    """PostgreSQL's own benchmark is nowhere to be found."""


def pgbench() -> str:
    """Return the path of pgbench: Debian's, or the one beside the embedded server. Raises NoPgbench."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    own = embedded.services()._postgres_binaries() / "pgbench"  # noqa: SLF001 - where its server is, it is too
    for path in (shutil.which("pgbench"), own, *reversed(found)):
        if path and Path(path).is_file():
            return str(path)
    raise NoPgbench("pgbench is missing: run `make servers`")


# --- What is to be settled --------------------------------------------------------------------------------


def records(codes: list[str], phones: list[str], count: int) -> list[int]:
    """Start and end a charge at each of `count` piles; return the stored records, not yet settled."""
    from apps.common.time import now
    from apps.customers.models import Customer
    from apps.orders import services as orders
    from apps.orders.enums import LIVE
    from apps.orders.models import Order
    from apps.orders.settling import store_record
    from apps.piles.enums import ConnectorState
    from apps.piles.models import ConnectorStatus, Pile
    from apps.piles.reports import StartAnswer
    from apps.reports.demo.plan import Gun, record_of
    from apps.wallet.recharges import create_recharge, pay_sandbox

    customers = list(Customer.objects.filter(phone__in=phones).order_by("pk"))
    Pile.objects.filter(pile_code__in=codes).update(is_online=True)
    # A run that was killed has left charges that go on: their piles are passed over.
    busy = Order.objects.filter(state__in=LIVE).values_list("connector__pile__pile_code", flat=True)
    free = sorted(set(codes) - set(busy))
    assert len(free) >= count, f"{len(free)} of {len(codes)} piles are free, {count} are needed"
    found = []
    begin = now() - timedelta(hours=1)
    for number in range(count):
        gun = Gun(f"{free[number]}01", Decimal(120))
        customer = customers[number % len(customers)]
        key = f"settle-{time.time_ns()}"
        recharge = create_recharge(customer=customer, amount=Decimal(100), channel="sandbox", request_key=key)
        pay_sandbox(customer=customer, recharge_no=recharge.recharge_no)
        ConnectorStatus.objects.filter(connector__code=gun.code).update(state=ConnectorState.IDLE)
        order = orders.start_charge(
            customer=customer,
            connector_code=gun.code,
            request_key=key,
            preset_amount=Decimal(50),
            at=begin,
        )
        answer = StartAnswer(
            pile_code=gun.code[:14],
            connector_no=gun.code[14:],
            transaction_no=order.transaction_no,
            accepted=True,
        )
        orders.start_answered(answer, at=begin + timedelta(seconds=3))
        for state, moment in (
            (ConnectorState.CHARGING, begin),
            (ConnectorState.PLUGGED, begin + timedelta(minutes=9)),
        ):
            orders.connector_changed(
                transaction_no=order.transaction_no,
                connector_code=gun.code,
                state=state,
                energy_kwh="0.0000",
                reported_at=moment + timedelta(seconds=10),
            )
        report = record_of(
            transaction_no=order.transaction_no,
            gun=gun,
            begin=begin + timedelta(seconds=10),
            end=begin + timedelta(minutes=9),
            average_kw=Decimal(60),
            tariff=order.frozen_tariff(),
            limit=Decimal(40),
        )
        found.append(store_record(report=report, received_at=report.end_time).pk)
    return found


def row_writes(record_id: int) -> tuple[int, int]:
    """Settle one record; return how many rows that inserts, and how many it updates or deletes."""
    from django.db import connection, transaction

    from apps.orders.settling import settle_record

    counts = "select sum(n_tup_ins)::int, sum(n_tup_upd + n_tup_del)::int from pg_stat_xact_user_tables"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(counts)
        before = cursor.fetchone()  # what this connection wrote lately is counted too
        settle_record(record_id=record_id)
        cursor.execute(counts)
        after = cursor.fetchone()
    return after[0] - before[0], after[1] - before[1]


def check_settled(ids: list[int]) -> None:
    """Raise RuntimeError unless all of these records are settled and nothing is wrong with the ledger."""
    from apps.orders.ledger_check import differences
    from apps.orders.models import TransactionRecord

    unsettled = TransactionRecord.objects.filter(pk__in=ids).exclude(state="settled").count()
    wrong = differences()
    if unsettled or wrong:
        raise RuntimeError(f"{unsettled} records are not settled; the ledger says: {wrong[:3]}")


# --- Ours -------------------------------------------------------------------------------------------------


@contextmanager
def settlers(schema: str, first: list[int], environment: dict[str, str]) -> Iterator[Callable[[], float]]:
    """Start a process for each of these first records; yields what lets them work off the rest: returns seconds."""
    command = [sys.executable, "-m", __name__, schema]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=embedded.BASE_DIR,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in first
        ]
        for process, record_id in zip(processes, first, strict=True):
            _tell(process, str(record_id))
        for process in processes:
            _hear(process, "ready")

        def go() -> float:
            began = time.perf_counter()
            for process in processes:
                _tell(process, "go")
            for process in processes:
                _hear(process, "done")
            return time.perf_counter() - began

        yield go


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    heard = process.stdout.readline().strip()
    if heard != word:
        raise RuntimeError(f"a settling process said {heard!r} instead of {word!r}")


def main() -> None:
    """One process: wait, settle, say so."""
    import django

    django.setup()
    from apps.common.schema import schema_context
    from apps.orders.settling import settle_pending, settle_record

    with schema_context(sys.argv[1]):
        # Connections and caches are warm, as a worker's are.
        settle_record(record_id=int(sys.stdin.readline()))
        print("ready", flush=True)  # noqa: T201 - heard by the bench
        sys.stdin.readline()
        while settle_pending():
            pass
        print("done", flush=True)  # noqa: T201


# --- Theirs -----------------------------------------------------------------------------------------------


def make_rows(cursor: Any) -> None:
    """Make what pgbench writes to: as wide as a row of ours on average, with a key and an index."""
    cursor.execute("create schema if not exists pgbench; drop table if exists pgbench.rows")
    cursor.execute(
        "create table pgbench.rows (id bigserial primary key, owner bigint not null, amount numeric(14, 2) not null,"
        " at timestamptz not null default now(), body text not null)"
    )
    cursor.execute(
        "insert into pgbench.rows (owner, amount, body) select n, 1, repeat('x', 150) from generate_series(1, %s) n",
        [ROWS],
    )
    cursor.execute("create index on pgbench.rows (owner)")


def script(inserted: int, changed: int) -> str:
    """Return a transaction with so many row writes."""
    # Each from a part of its own, in order: two transactions never wait for each other in a ring.
    part = ROWS // max(changed, 1)
    updates = [
        f"\\set id{number} random({number * part + 1}, {number * part + part})\n"
        f"UPDATE pgbench.rows SET amount = amount + 1, at = now() WHERE id = :id{number};\n"
        for number in range(changed)
    ]
    insert = (
        f"\\set owner random(1, {ROWS})\n"
        "INSERT INTO pgbench.rows (owner, amount, body) VALUES (:owner, 1, repeat('x', 150));\n"
    )
    return "BEGIN;\n" + insert * inserted + "".join(updates) + "COMMIT;\n"


def transactions_per_s(path: Path, dsn: dict[str, Any]) -> float:
    """Run pgbench with as many clients as there are settling processes."""
    command = [pgbench(), "-n", "-c", str(PROCESSES), "-j", "2", "-T", str(SECONDS), "-f", str(path)]
    command += ["-h", str(dsn["host"]), "-p", str(dsn["port"]), "-U", str(dsn["user"]), str(dsn["dbname"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    if done.returncode or found is None or "number of failed transactions: 0 " not in done.stdout:
        raise RuntimeError(f"pgbench failed: {done.stdout[-500:]}{done.stderr[-500:]}")
    return float(found[1])


if __name__ == "__main__":
    main()
