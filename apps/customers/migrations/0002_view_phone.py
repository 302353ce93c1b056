"""A permission of its own for whole phone numbers."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [
        migrations.AlterModelOptions(
            name="customer",
            options={
                "ordering": ["-id"],
                "permissions": [("view_phone", "Can see whole phone numbers")],
                "verbose_name": "customer",
                "verbose_name_plural": "customers",
            },
        ),
    ]
