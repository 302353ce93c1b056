"""What enterprises paid for each member, by month: for their limits. None of the rows that are there belong to it."""

from django.db import migrations, models

from apps.common.indexes import AddIndexQuietly


class Migration(migrations.Migration):

    atomic = False
    dependencies = [('orders', '0019_enterprise_member')]

    operations = [
        AddIndexQuietly(
            model_name='order',
            index=models.Index(
                condition=models.Q(('payer', 'enterprise')),
                fields=['enterprise_member', 'created_at'],
                name='order_paid_for_member',
            ),
        ),
    ]
