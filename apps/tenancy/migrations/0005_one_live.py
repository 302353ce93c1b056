"""The function behind the triggers that keep an order and another order's further gun off one connector."""

from django.db import migrations

# Each table has a unique index of its own for what is live; this looks into the other one. The connector's row lock
# makes two transactions that take the same connector wait for each other, so that the second sees the first's row.
ONE_LIVE = """
CREATE OR REPLACE FUNCTION public.chargeplat_one_live() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    taken boolean;
BEGIN
    EXECUTE format('SELECT true FROM %I.piles_connector WHERE id = $1 FOR NO KEY UPDATE', TG_TABLE_SCHEMA)
        USING NEW.connector_id;
    IF TG_TABLE_NAME = 'orders_order' THEN
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.orders_parallelleg WHERE connector_id = $1 AND is_live)', TG_TABLE_SCHEMA
        ) INTO taken USING NEW.connector_id;
    ELSE
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.orders_order WHERE connector_id = $1'
            ' AND state IN (''pending'', ''starting'', ''charging'', ''stopping''))', TG_TABLE_SCHEMA
        ) INTO taken USING NEW.connector_id;
    END IF;
    IF taken THEN
        RAISE EXCEPTION 'connector_one_live: connector % is in use', NEW.connector_id
            USING ERRCODE = 'unique_violation';
    END IF;
    RETURN NEW;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0004_devices")]

    operations = [migrations.RunSQL(ONE_LIVE, "DROP FUNCTION IF EXISTS public.chargeplat_one_live()")]
