"""For which member an enterprise paid. Orders that are there have none: they count by customer until their month is over."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0015_removed_members'),
        ('orders', '0018_start_order'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='enterprise_member',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='customers.enterprisemember', verbose_name='enterprise member'),
        ),
    ]
