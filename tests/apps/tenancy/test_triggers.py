"""What the database itself refuses, in schemas that were cloned from the template."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from apps.tenancy.models import Tenant

APPEND_ONLY = [
    "wallet_journalentry",
    "wallet_posting",
    "wallet_dayclosing",
    "wallet_daybalance",
    "wallet_accountday",
    "pricing_priceversion",
    "pricing_retailprice",
    "backoffice_auditentry",
]


def execute(statement: str, *parameters: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def insert(table: str, **values: object) -> int:
    """Insert a row into any table and return its id; columns that are not given and not null get a plain value."""
    return insert_all(table, [values])


def insert_all(table: str, given: list[dict[str, object]]) -> int:
    """Insert rows that have the same columns, in one statement; returns the first one's id."""
    columns = execute(
        "select column_name, data_type from information_schema.columns where table_schema = %s and table_name = %s"
        " and is_nullable = 'NO' and is_identity = 'NO' and column_default is null",
        connection.schema_name,
        table,
    )
    plain = {
        "date": "2026-01-01",
        "timestamp with time zone": "2026-01-01T00:00Z",
        "boolean": False,
        "jsonb": "{}",
    }
    rows = [{name: plain.get(kind, "1") for name, kind in columns} | values for values in given]
    marks = ", ".join([f"({', '.join(['%s'] * len(rows[0]))})"] * len(rows))
    names = ", ".join(f'"{name}"' for name in rows[0])
    values = [value for row in rows for value in row.values()]
    return execute(f"insert into {table} ({names}) values {marks} returning id", *values)[0][0]


def account() -> int:
    return insert(
        "wallet_account", kind="channel_clearing", channel=f"c{execute('select random()')[0][0]}"[:16]
    )


def entry(key: str, *amounts: str) -> int:
    entry_id = insert("wallet_journalentry", key=key)
    if amounts:
        insert_all(
            "wallet_posting",
            [{"entry_id": entry_id, "account_id": account(), "amount": amount} for amount in amounts],
        )
    return entry_id


def check_now() -> None:
    """Run the deferred checks that a commit would run."""
    execute("set constraints all immediate; set constraints all deferred")


@pytest.mark.parametrize("schema", ["tenant_template", "t_alpha", "t_beta"])
def test_triggers_are_in_every_schema(tenant: Tenant, schema: str) -> None:
    found = execute(
        "select c.relname, t.tgname, t.tgdeferrable, t.tginitdeferred, p.pronamespace::regnamespace::text"
        " from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_proc p on p.oid = t.tgfoid"
        " where not t.tgisinternal and c.relnamespace = %s::regnamespace",
        schema,
    )
    expected = {(table, f"{table}_append_only", False, False, "public") for table in APPEND_ONLY}
    expected |= {(table, f"{table}_no_truncate", False, False, "public") for table in APPEND_ONLY}
    expected |= {
        ("wallet_journalentry", "wallet_journalentry_balanced", True, True, "public"),
        ("wallet_posting", "wallet_posting_balanced", False, False, "public"),
    }
    expected |= {
        (table, f"{table}_open_day", False, False, "public")
        for table in ("wallet_journalentry", "wallet_posting")
    }
    expected |= {
        (table, f"{table}_one_live", False, False, "public")
        for table in ("orders_order", "orders_parallelleg")
    }
    assert set(found) == expected


def test_the_platforms_own_audit_log_is_append_only_too(tenant: Tenant) -> None:
    found = execute("select tgname from pg_trigger where tgrelid = 'public.backoffice_auditentry'::regclass")
    assert {name for (name,) in found} == {
        "backoffice_auditentry_append_only",
        "backoffice_auditentry_no_truncate",
    }


def rows_of_append_only_tables() -> None:
    entry("e1", "5.00", "-5.00")
    template = insert("pricing_pricetemplate", name="t")
    insert("pricing_priceversion", template_id=template, slots="0" * 48, billing_model_no="0001")
    station = insert("sites_station", station_no="S1")
    insert("pricing_retailprice", station_id=station)
    insert("backoffice_auditentry", hash="h")
    insert("wallet_accountday", account_id=account())
    insert("wallet_daybalance")
    insert("wallet_dayclosing")


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["update {} set id = id", "delete from {}", "truncate {} cascade"])
def test_append_only(tenant: Tenant, table: str, statement: str) -> None:
    rows_of_append_only_tables()
    check_now()
    before = execute(f"select * from {table}")
    assert len(before) >= 1
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        execute(statement.format(table))
    assert execute(f"select * from {table}") == before


@pytest.mark.parametrize(
    "amounts",
    [(), ("5.00",), ("5.00", "-4.99"), ("5.00", "-5.00", "0.01"), ("0.01", "0.01")],
)
def test_an_entry_that_does_not_balance_is_refused(tenant: Tenant, amounts: tuple[str, ...]) -> None:
    def post() -> None:
        entry("e1", *amounts)
        check_now()

    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        post()


def test_a_balanced_entry_is_taken_and_cannot_be_added_to(committed: Tenant) -> None:
    """With real commits: an entry without postings is refused when its transaction ends, wherever one stands."""

    def from_outside(key: str, *amounts: str) -> None:
        entry(key, *amounts)
        connection.set_schema_to_public()

    with transaction.atomic():
        first = entry("e1", "5.00", "-3.00", "-2.00")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        insert("wallet_posting", entry_id=first, account_id=account(), amount="1.00")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        insert_all(
            "wallet_posting",
            [
                {"entry_id": first, "account_id": account(), "amount": "1.00"},
                {"entry_id": first, "account_id": account(), "amount": "-0.99"},
            ],
        )
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        entry("e2")
    with pytest.raises(IntegrityError, match="does not balance"), transaction.atomic():
        from_outside("e2")
    connection.set_tenant(committed)
    with transaction.atomic():
        from_outside("e3", "5.00", "-5.00")
    connection.set_tenant(committed)
    assert execute("select count(*), sum(amount) from wallet_posting")[0] == (5, 0)
    assert execute("select count(*) from wallet_journalentry")[0] == (2,)
