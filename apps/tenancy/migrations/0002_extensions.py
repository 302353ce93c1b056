"""Extensions live in public, made by a shared app: a tenant's migration would put them into that tenant's schema."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tenancy", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE EXTENSION IF NOT EXISTS cube SCHEMA public", "DROP EXTENSION IF EXISTS cube"
        ),
        migrations.RunSQL(
            "CREATE EXTENSION IF NOT EXISTS earthdistance SCHEMA public", "DROP EXTENSION IF EXISTS earthdistance"
        ),
    ]
