"""A mini-program's app id stood with the tenant and with the tenant's own mini-programs: the second place stays.

What only the platform had entered goes to the tenant's own page, switched off, since its secret is not known.
"""

from django.db import migrations
from psycopg import sql

FIELDS = {"wechat": "wechat_app_id", "alipay": "alipay_app_id"}


def _programs(cursor, schema):
    """The tenant's table, or None in a schema that is older than it."""
    cursor.execute("select to_regclass(%s)", [f'"{schema}".customers_miniprogram'])
    return sql.Identifier(schema, "customers_miniprogram") if cursor.fetchone()[0] else None


def to_tenants(apps, schema_editor):
    tenants = apps.get_model("tenancy", "Tenant").objects.order_by("pk")
    with schema_editor.connection.cursor() as cursor:
        for tenant in tenants.exclude(wechat_app_id="", alipay_app_id=""):
            table = _programs(cursor, tenant.schema_name)
            for provider, field in FIELDS.items():
                app_id = getattr(tenant, field)
                if table is not None and app_id:
                    cursor.execute(
                        sql.SQL(
                            "insert into {} (provider, app_id, secret, public_key, content_key, is_active,"
                            " created_at, updated_at) values (%s, %s, '', '', '', false, now(), now())"
                            " on conflict (provider) do nothing"
                        ).format(table),
                        [provider, app_id],
                    )


def to_the_platform(apps, schema_editor):
    tenants = apps.get_model("tenancy", "Tenant").objects.order_by("pk")
    with schema_editor.connection.cursor() as cursor:
        for tenant in tenants:
            table = _programs(cursor, tenant.schema_name)
            if table is None:
                continue
            cursor.execute(sql.SQL("select provider, app_id from {}").format(table))
            found = {FIELDS[provider]: app_id for provider, app_id in cursor.fetchall()}
            if found:
                tenants.filter(pk=tenant.pk).update(**found)


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0011_domain_names'),
    ]

    operations = [
        migrations.RunPython(to_tenants, to_the_platform),
        # Processes of the version before still read the columns while this runs; the next version drops them.
        migrations.RunSQL(
            [f"alter table tenancy_tenant alter column {field} set default ''" for field in FIELDS.values()],
            [f"alter table tenancy_tenant alter column {field} drop default" for field in FIELDS.values()],
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(
                    model_name='tenant',
                    name='alipay_app_id',
                ),
                migrations.RemoveField(
                    model_name='tenant',
                    name='wechat_app_id',
                ),
            ]
        ),
    ]
