"""Postings are checked once for each statement that writes them, not once for each row and again at the commit."""

from django.db import migrations

from apps.common.indexes import without_prefix_index


def new_rows(table: str, name: str, function: str) -> str:
    return (
        f"CREATE TRIGGER {table}_{name} AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows"
        f" FOR EACH STATEMENT EXECUTE FUNCTION public.chargeplat_{function}();"
    )


def at_commit(table: str, function: str) -> str:
    return (
        f"CREATE CONSTRAINT TRIGGER {table}_balanced AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW EXECUTE FUNCTION public.chargeplat_{function}();"
    )


def each_row(table: str) -> str:
    return (
        f"CREATE TRIGGER {table}_open_day BEFORE INSERT ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION public.chargeplat_refuse_closed_day();"
    )


JOURNAL = ("wallet_journalentry", "wallet_posting")
DROP = "".join(
    f"DROP TRIGGER {table}_{name} ON {table};" for table in JOURNAL for name in ("balanced", "open_day")
)
AFTER = (
    DROP
    + at_commit("wallet_journalentry", "posted_entry")
    + new_rows("wallet_posting", "balanced", "balanced_postings")
    + "".join(new_rows(table, "open_day", "refuse_closed_days") for table in JOURNAL)
)
BEFORE = DROP + "".join(at_commit(table, "balanced_entry") + each_row(table) for table in JOURNAL)


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0009_ledger_triggers"), ("wallet", "0010_bill_states_and_wrong_amounts")]

    operations = [
        migrations.RunSQL(AFTER, BEFORE),
        without_prefix_index(
            [
                ("wallet_journalentry", "key"),
                ("wallet_journalentry", "reference"),
                ("wallet_hold", "order_no"),
            ]
        ),
    ]
