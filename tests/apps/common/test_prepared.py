"""Statements prepared once for each connection: the same rows as a plain query, of the schema of the moment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import NotSupportedError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.common.prepared import Prepared, keeps_plans
from apps.common.schema import schema_context
from apps.common.time import now
from apps.customers import sessions
from apps.customers.models import DriverSession
from apps.piles.selectors import gun_counts
from apps.pricing.selectors import station_tariffs
from apps.pricing.tariff import ClassPrice, RateClass
from apps.tenancy.models import Tenant
from tests import factories

POOLED = {"min_size": 1, "max_size": 2}


@pytest.fixture
def pooled(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """This connection counts as one that comes back."""
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", POOLED)


def asked(statement: Prepared, *values: Any) -> tuple[list[tuple[Any, ...]], list[str]]:
    """The rows, and the first words of what was sent for them."""
    with CaptureQueriesContext(connection) as queries:
        rows = statement.rows(*values)
    words = [query["sql"].split()[0] for query in queries]
    return rows, [word for word in words if word != "SET"]  # of the search path


def test_a_plan_is_made_once_and_only_where_the_connection_comes_back(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    statement = Prepared(
        "of_test", ["bigint[]", "text"], "SELECT id, $2 || '%' FROM unnest($1) AS one (id) WHERE id > 1"
    )
    rows = [(2, "a'%"), (3, "a'%")]
    assert asked(statement, [1, 2, 3], "a'") == (rows, ["SELECT"])
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "pool", POOLED)
    assert asked(statement, [1, 2, 3], "a'") == (rows, ["PREPARE", "EXECUTE"])
    assert asked(statement, [1, 2, 3], "a'") == (rows, ["EXECUTE"])
    assert asked(statement, [], "") == ([], ["EXECUTE"])
    settings.TENANT_LIMIT_SET_CALLS = False  # behind PgBouncer the next query may go to another connection
    assert not keeps_plans()
    assert asked(statement, [1, 2, 3], "a'") == (rows, ["SELECT"])


def test_a_kept_plan_finds_the_rows_of_the_tenant_that_is_served(pooled: None, other_tenant: Tenant) -> None:
    """The same numbers stand for other rows in each schema, and the connection goes from one to the other."""
    found = {}
    for name, guns in (("t_alpha", 2), (other_tenant.schema_name, 3)):
        with schema_context(name):
            pile = factories.a_pile(guns=guns)
            session = sessions.open_session(customer=factories.a_customer("0"), agent=name)
            factories.a_retail_price(pile.station, {"flat": ("0.80", f"0.{guns}")})
            found[name] = (pile.station_id, guns, session.number)
    numbers = [number for _, _, number in found.values()]
    for _ in range(8):  # from the sixth execution on PostgreSQL may take a plan for any values
        for name, (station_id, guns, number) in found.items():
            with schema_context(name):
                counts = gun_counts(station_ids=[station_id])[station_id]
                assert counts["dc"] + counts["ac"] == guns, name
                tariff = station_tariffs(station_ids=[station_id, 10**9], at=now())[station_id]
                assert tariff.prices[RateClass.FLAT] == ClassPrice(Decimal("0.80000"), Decimal(f"0.{guns}"))
                assert set(tariff.prices) == set(factories.TARIFF.prices)  # one class has no price
                assert sessions.of_number(number).agent == name
                for other in set(numbers) - {number}:
                    with pytest.raises(sessions.SessionOver):
                        sessions.of_number(other)


@pytest.mark.usefixtures("committed")
def test_a_plan_outlives_a_change_of_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict["OPTIONS"], "pool", POOLED)
        outlives_changes(
            Prepared("of_change", ["text"], "SELECT word FROM pg_temp.of_change WHERE word = $1")
        )


def outlives_changes(statement: Prepared) -> None:
    """Ask it before and after its table changes."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE of_change AS SELECT 'ab'::varchar(5) AS word")
        assert statement.rows("ab") == [("ab",)]
        cursor.execute("ALTER TABLE of_change ADD COLUMN later integer DEFAULT 0")
        assert asked(statement, "ab") == ([("ab",)], ["EXECUTE"])
        cursor.execute("ALTER TABLE of_change ALTER COLUMN word TYPE varchar(9)")
        assert asked(statement, "ab") == ([("ab",)], ["EXECUTE", "DEALLOCATE", "PREPARE", "EXECUTE"])
        cursor.execute("ALTER TABLE of_change ALTER COLUMN word TYPE varchar(12)")
        with pytest.raises(NotSupportedError), transaction.atomic():  # nothing can be asked in it any more
            statement.rows("ab")
        assert statement.rows("ab") == [("ab",)]


def test_a_session_is_read_as_the_orm_reads_it(tenant: Tenant) -> None:
    number = sessions.open_session(
        customer=factories.a_customer("0"), agent="a phone", address="2001:db8::1"
    ).number
    ours, orm = (
        sessions.of_number(number),
        DriverSession.objects.select_related("customer").get(number=number),
    )
    for one, other in ((ours, orm), (ours.customer, orm.customer)):
        assert not one.get_deferred_fields()
        assert not one._state.adding
        assert one._state.db == other._state.db
        fields = [field.attname for field in one._meta.concrete_fields]
        assert [(name, getattr(one, name)) for name in fields] == [
            (name, getattr(other, name)) for name in fields
        ]
        # A column that is converted after it is read would need more than `_session_of` does.
        assert not any(hasattr(field, "from_db_value") for field in one._meta.concrete_fields)
