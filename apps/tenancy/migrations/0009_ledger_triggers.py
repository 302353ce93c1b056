"""The functions behind the ledger's triggers, once for a statement instead of once for a row. In public, for all schemas."""

from django.db import migrations

# What a statement adds to an entry has to balance by itself. An entry that balanced before does so afterwards, so
# nothing but the new rows is looked at.
BALANCED_POSTINGS = """
CREATE OR REPLACE FUNCTION public.chargeplat_balanced_postings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT entry_id, sum(amount) AS total, count(*) AS legs INTO wrong
      FROM new_rows GROUP BY entry_id HAVING sum(amount) <> 0 OR count(*) < 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'journal entry % does not balance: % postings, sum %', wrong.entry_id, wrong.legs, wrong.total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""
# At the end of the transaction: an entry without postings. In the tenant's own schema the plan is kept; whoever writes
# from elsewhere, by the table's full name, gets one made.
POSTED_ENTRY = """
CREATE OR REPLACE FUNCTION public.chargeplat_posted_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    posted boolean;
BEGIN
    IF current_schema() = TG_TABLE_SCHEMA THEN
        posted := EXISTS (SELECT FROM wallet_posting WHERE entry_id = NEW.id);
    ELSE
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.wallet_posting WHERE entry_id = $1)', TG_TABLE_SCHEMA)
            INTO posted USING NEW.id;
    END IF;
    IF NOT posted THEN
        RAISE EXCEPTION 'journal entry % does not balance: it has no postings', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""
# Who posts on a day shares a lock with all others who do; who closes the day takes it alone (apps.wallet.books). The
# lock comes after the rows: whoever waits for it here, because the day is being closed, finds it closed then. A day that
# is not over by the server's clock cannot be closed, which spares today's entries the question.
REFUSE_CLOSED_DAYS = """
CREATE OR REPLACE FUNCTION public.chargeplat_refuse_closed_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    given date;
    closed boolean;
BEGIN
    FOR given IN SELECT DISTINCT business_day FROM new_rows ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock_shared(hashtext(TG_TABLE_SCHEMA || ':books'), given - DATE '2000-01-01');
        CONTINUE WHEN given >= (clock_timestamp() AT TIME ZONE 'Asia/Shanghai')::date;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I.wallet_dayclosing WHERE day >= $1)', TG_TABLE_SCHEMA)
            INTO closed USING given;
        IF closed THEN
            RAISE EXCEPTION 'business day % of % is closed', given, TG_TABLE_SCHEMA
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'day_closed';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0008_closed_days")]

    operations = [
        migrations.RunSQL(text, f"DROP FUNCTION IF EXISTS public.chargeplat_{name}()")
        for name, text in (
            ("balanced_postings", BALANCED_POSTINGS),
            ("posted_entry", POSTED_ENTRY),
            ("refuse_closed_days", REFUSE_CLOSED_DAYS),
        )
    ]
