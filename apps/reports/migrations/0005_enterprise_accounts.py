"""What enterprises paid, in the sums of days."""

import apps.common.fields
from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('reports', '0004_own_package'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollup',
            name='paid_enterprise',
            field=apps.common.fields.MoneyField(db_default=0, decimal_places=2, default=0, max_digits=14, verbose_name='paid by enterprises'),
        ),
        migrations.AddField(
            model_name='rollup',
            name='refunded_enterprise',
            field=apps.common.fields.MoneyField(db_default=0, decimal_places=2, default=0, max_digits=14, verbose_name='refunded to enterprises'),
        ),
    ]
