"""Five million journal entries, balanced and closed day by day, written by COPY once and kept.

They stand in a database of their own below the state directory, beside a tenant with five thousand: pages of both are
compared. Every wallet is topped up, and money is held and given back, over and over: an entry needs no order then, and
`check_ledger` finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from psycopg import sql

from apps.common.ids import SYSTEM
from apps.common.schema import schema_context
from apps.common.time import SHANGHAI
from apps.customers.models import Customer
from apps.tenancy.models import Tenant
from apps.tenancy.services import create_tenant
from apps.wallet import books
from apps.wallet.enums import AccountKind, RechargeState
from apps.wallet.models import Account, JournalEntry, Recharge, Wallet

MANY, FEW = "million", "thousand"
ENTRIES = {MANY: 5_000_000, FEW: 5_000}
WALLETS = {MANY: 2_000, FEW: 20}
DAYS = 365
CYCLE = (("recharge", 5000), ("hold", 2000), ("release", 2000), ("hold", 1000), ("release", 1000))
"""What a wallet sees again and again: kind and fen. Nothing is held at the end of a cycle."""
BLOCK = 20_000
TABLES = (
    "customers_customer",
    "wallet_account",
    "wallet_accountday",
    "wallet_daybalance",
    "wallet_dayclosing",
    "wallet_journalentry",
    "wallet_posting",
    "wallet_recharge",
    "wallet_wallet",
)
Say = Callable[[str], object]


def host_of(code: str) -> str:
    """The host of one of the two tenants."""
    return f"{code}.localhost"


def prepare(say: Say, *, share: float = 1.0) -> None:
    """Bring the database up to date and fill what is missing. `share` of the many, to try it out."""
    call_command("migrate_tenants", verbosity=0)
    for code, entries in ENTRIES.items():
        tenant = Tenant.objects.filter(code=code).first()
        if tenant is None:
            tenant = create_tenant(code=code, name=code, hostname=host_of(code))
        per_round = WALLETS[code] * len(CYCLE)
        wanted = max(int(entries * (share if code == MANY else 1)) // per_round, 1) * per_round
        with schema_context(tenant.schema_name):
            last = books.closable_until()
            if not JournalEntry.objects.exists():
                say(f"growing {code}: {wanted:,} entries")
                with transaction.atomic():
                    _grow(wanted, WALLETS[code], say)
            if books.close_days(until=last, actor=SYSTEM, progress=_progress(say)):
                with connection.cursor() as cursor:
                    for table in TABLES:
                        cursor.execute(f"vacuum analyze {table}")
                say(f"{code} is closed through {last}")


def _progress(say: Say) -> Callable[[Any], None]:
    count = 0

    def told(closing: Any) -> None:
        nonlocal count
        count += 1
        if count % 73 == 0:
            say(f"closed {count} of {DAYS} days, {closing.day}")

    return told


def _grow(entries: int, wallets: int, say: Say) -> None:
    """Write the entries in one transaction: a run that is killed leaves nothing."""
    customers = Customer.objects.bulk_create(
        [Customer(phone=f"+86137{number:08d}", nickname=f"车主{number}") for number in range(wallets)]
    )
    rounds = entries // (wallets * len(CYCLE))
    principal = f"{rounds * CYCLE[0][1]}e-2"
    owned = Wallet.objects.bulk_create(
        [Wallet(customer=customer, principal=principal) for customer in customers]
    )
    cash = Account.objects.create(kind=AccountKind.CHANNEL_CLEARING, channel="sandbox")
    own, held = (
        [
            account.pk
            for account in Account.objects.bulk_create(
                [Account(kind=kind, wallet=wallet) for wallet in owned]
            )
        ]
        for kind in (AccountKind.CUSTOMER_PRINCIPAL, AccountKind.HELD_PRINCIPAL)
    )
    plan = Plan(entries, [wallet.pk for wallet in owned], cash.pk, own, held)
    tables = ("wallet_journalentry", "wallet_posting", "wallet_recharge")
    with connection.cursor() as cursor:
        indexes = drop_indexes(cursor, tables)
        cursor.execute(
            "set local session_replication_role = replica; set local maintenance_work_mem = '512MB'"
        )
        _copy(cursor, "wallet_journalentry", plan.ENTRY, plan.entries(), say)
        _copy(cursor, "wallet_posting", plan.POSTING, plan.postings(), say)
        columns, lines = plan.recharges()
        _copy(cursor, "wallet_recharge", columns, lines, say)
        cursor.execute("set local session_replication_role = origin")
        for definition in indexes:
            cursor.execute(definition)
        for table in tables:
            cursor.execute(
                sql.SQL("select setval(pg_get_serial_sequence({}, 'id'), (select max(id) from {}))").format(
                    sql.Literal(table), sql.Identifier(table)
                )
            )
    say("indexed")


class Plan:
    """The entries by number: which wallet, what, when."""

    ENTRY = "id, key, kind, reference, wallet_id, posted_at, business_day, memo"
    POSTING = "entry_id, account_id, amount, business_day"

    def __init__(self, count: int, wallets: list[int], cash: int, own: list[int], held: list[int]) -> None:
        self.count, self.wallets, self.cash, self.own, self.held = count, wallets, cash, own, held
        last = books.closable_until()
        self.days = [last - timedelta(days=DAYS - 1 - number) for number in range(DAYS)]
        self.starts = [datetime.combine(day, time(8), SHANGHAI) for day in self.days]

    def when(self, number: int) -> tuple[int, datetime]:
        """Day and moment of an entry."""
        day, rest = divmod(number * DAYS, self.count)
        return day, self.starts[day] + timedelta(seconds=rest * 50_000 // self.count)

    def steps(self) -> Iterator[tuple[int, int, str, int]]:
        """Number, wallet's place, kind and fen of each entry."""
        wallets = len(self.wallets)
        for number in range(self.count):
            turn, place = divmod(number, wallets)
            kind, fen = CYCLE[turn % len(CYCLE)]
            yield number, place, kind, fen

    def entries(self) -> Iterator[str]:
        """Lines of the journal."""
        for number, place, kind, _fen in self.steps():
            day, moment = self.when(number)
            key = f"recharge:{_recharge_no(number)}" if kind == "recharge" else f"{kind}:{number}"
            reference = _recharge_no(number) if kind == "recharge" else f"B{number}"
            yield (
                f"{number + 1}\t{key}\t{kind}\t{reference}\t{self.wallets[place]}\t{moment.isoformat()}"
                f"\t{self.days[day]}\t\n"
            )

    def postings(self) -> Iterator[str]:
        """Two legs of each entry."""
        for number, place, kind, fen in self.steps():
            day = self.days[number * DAYS // self.count]
            own = self.own[place]
            debit, credit = {
                "recharge": (self.cash, own),
                "hold": (own, self.held[place]),
                "release": (self.held[place], own),
            }[kind]
            entry, yuan = number + 1, f"{fen // 100}.{fen % 100:02d}"
            yield f"{entry}\t{debit}\t{yuan}\t{day}\n{entry}\t{credit}\t-{yuan}\t{day}\n"

    def recharges(self) -> tuple[str, Iterator[str]]:
        """Columns and lines of the top-ups, with the defaults of every column that the model has."""
        sample = Recharge(
            channel="sandbox",
            state=RechargeState.PAID,
            amount=f"{CYCLE[0][1]}e-2",
            request_key="",
            wallet_id=0,
        )
        fields = [field for field in Recharge._meta.concrete_fields if not field.primary_key]
        values = {
            field.column: _text(field.get_db_prep_save(field.pre_save(sample, True), connection))
            for field in fields
        }

        def lines() -> Iterator[str]:
            for number, place, kind, _fen in self.steps():
                if kind == "recharge":
                    _day, moment = self.when(number)
                    at = moment.isoformat()
                    own = {
                        "recharge_no": _recharge_no(number),
                        "wallet_id": str(self.wallets[place]),
                        "channel_trade_no": f"T{number}",
                        "paid_at": at,
                        "created_at": at,
                        "updated_at": at,
                        "request_key": f"b{number}",
                    }
                    yield "\t".join((values | own).values()) + "\n"

        return ", ".join(values), lines()


def _recharge_no(number: int) -> str:
    return f"RB{number:012d}"


def _text(value: Any) -> str:
    if value is None:
        return "\\N"
    if hasattr(value, "dumps"):  # JSON as the driver wraps it
        return str(value.dumps(value.obj))
    return str(value)


def _copy(cursor: Any, table: str, columns: str, lines: Iterator[str], say: Say) -> None:
    with cursor.copy(f"copy {table} ({columns}) from stdin") as copy:
        block: list[str] = []
        for line in lines:
            block.append(line)
            if len(block) == BLOCK:
                copy.write("".join(block))
                block.clear()
        copy.write("".join(block))
    say(f"written: {table}")


def drop_indexes(cursor: Any, tables: tuple[str, ...]) -> list[str]:
    """Drop what is no constraint; return what makes it again: much faster than to keep them while rows come."""
    cursor.execute(
        """select i.indexname, i.indexdef from pg_indexes i
           where i.schemaname = current_schema() and i.tablename = any(%s)
           and not exists (select from pg_constraint c where c.conindid =
               format('%%I.%%I', i.schemaname, i.indexname)::regclass)""",
        [list(tables)],
    )
    found = cursor.fetchall()
    for name, _definition in found:
        cursor.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
    return [definition for _name, definition in found]
