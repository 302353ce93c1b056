"""Functions behind the triggers of tenant tables. In public, so that a cloned schema's triggers find them."""

from django.db import migrations

REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION public.chargeplat_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END
$$
"""

# For deferred constraint triggers on a journal entry and on its postings. Both are needed: the entry's finds an entry
# without postings, the postings' finds one that is added to an old entry. The sum is exact: amounts are numeric.
BALANCED_ENTRY = """
CREATE OR REPLACE FUNCTION public.chargeplat_balanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry bigint;
    total numeric;
    legs bigint;
BEGIN
    IF TG_TABLE_NAME = 'wallet_posting' THEN
        entry := NEW.entry_id;
    ELSE
        entry := NEW.id;
    END IF;
    EXECUTE format(
        'SELECT coalesce(sum(amount), 0), count(*) FROM %I.wallet_posting WHERE entry_id = $1', TG_TABLE_SCHEMA
    ) INTO total, legs USING entry;
    IF total <> 0 OR legs < 2 THEN
        RAISE EXCEPTION 'journal entry % does not balance: % postings, sum %', entry, legs, total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0002_extensions")]

    operations = [
        migrations.RunSQL(REFUSE_CHANGE, "DROP FUNCTION IF EXISTS public.chargeplat_refuse_change()"),
        migrations.RunSQL(BALANCED_ENTRY, "DROP FUNCTION IF EXISTS public.chargeplat_balanced_entry()"),
    ]
