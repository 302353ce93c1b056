"""The audit log is append-only in the database itself."""

from django.db import migrations

TABLE = "backoffice_auditentry"
FORWARD = f"""
CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION public.chargeplat_refuse_change();
CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION public.chargeplat_refuse_change();
"""
BACKWARD = f"DROP TRIGGER {TABLE}_append_only ON {TABLE}; DROP TRIGGER {TABLE}_no_truncate ON {TABLE}"


class Migration(migrations.Migration):
    dependencies = [("backoffice", "0001_initial"), ("tenancy", "0003_trigger_functions")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
