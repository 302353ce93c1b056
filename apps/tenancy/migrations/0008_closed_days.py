"""The function behind the triggers that keep closed business days closed. In public, for all schemas."""

from django.db import migrations

# Who posts on a day shares a lock with all others who do; who closes the day takes it alone (apps.wallet.books). So a
# day is closed either before an entry is tried or after its transaction has ended, and never in between. A day that is
# not over by the server's clock cannot be closed, which spares today's entries the question.
REFUSE_CLOSED_DAY = """
CREATE OR REPLACE FUNCTION public.chargeplat_refuse_closed_day() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
        hashtext(TG_TABLE_SCHEMA || ':books'), NEW.business_day - DATE '2000-01-01'
    );
    IF NEW.business_day >= (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date THEN
        RETURN NEW;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.wallet_dayclosing WHERE day >= $1)', TG_TABLE_SCHEMA)
        INTO closed USING NEW.business_day;
    IF closed THEN
        RAISE EXCEPTION 'business day % of % is closed', NEW.business_day, TG_TABLE_SCHEMA
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'day_closed';
    END IF;
    RETURN NEW;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0007_offline_sessions")]

    operations = [
        migrations.RunSQL(REFUSE_CLOSED_DAY, "DROP FUNCTION IF EXISTS public.chargeplat_refuse_closed_day()"),
    ]
