"""The journal is append-only, and every entry balances when its transaction commits."""

from django.db import migrations

TABLES = ["wallet_journalentry", "wallet_posting"]


def append_only(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION public.chargeplat_refuse_change();
        CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION public.chargeplat_refuse_change();
        """,
        f"DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table}",
    )


def balanced(table: str) -> migrations.RunSQL:
    return migrations.RunSQL(
        f"""
        CREATE CONSTRAINT TRIGGER {table}_balanced AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION public.chargeplat_balanced_entry()
        """,
        f"DROP TRIGGER {table}_balanced ON {table}",
    )


class Migration(migrations.Migration):
    dependencies = [("wallet", "0001_initial"), ("tenancy", "0003_trigger_functions")]

    operations = [*(append_only(table) for table in TABLES), *(balanced(table) for table in TABLES)]
