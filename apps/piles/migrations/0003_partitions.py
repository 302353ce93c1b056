"""Two tables partitioned by month. Partitions are made by `piles.services.ensure_partitions`: a tenant is cloned from
a template, and the clone function copies a partitioned table, but not every kind of partition."""

from django.db import migrations

CREATE = """
CREATE TABLE piles_telemetry (
    at timestamptz NOT NULL,
    connector_id bigint NOT NULL,
    kind smallint NOT NULL,
    transaction_no varchar(32) NOT NULL,
    voltage_v numeric(7, 1),
    current_a numeric(7, 1),
    soc_percent smallint,
    energy_kwh numeric(14, 4),
    amount_yuan numeric(14, 4),
    demand_voltage_v numeric(7, 1),
    demand_current_a numeric(7, 1),
    max_temp_c smallint,
    min_temp_c smallint,
    remaining_minutes integer,
    status_bits integer
) PARTITION BY RANGE (at);
CREATE INDEX piles_telemetry_of_transaction ON piles_telemetry (transaction_no, at);
CREATE TABLE piles_rawframe (
    at timestamptz NOT NULL,
    pile_code varchar(14) NOT NULL,
    number bigint NOT NULL,
    connection_id varchar(40) NOT NULL,
    is_down boolean NOT NULL,
    verdict varchar(16) NOT NULL,
    frame bytea NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX piles_rawframe_of_pile ON piles_rawframe (pile_code, at);
"""


class Migration(migrations.Migration):
    dependencies = [("piles", "0002_devices")]
    operations = [migrations.RunSQL(CREATE, "DROP TABLE piles_telemetry; DROP TABLE piles_rawframe")]
