"""Partial indexes of what the list of orders is filtered by and few orders have."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('coupons', '0001_initial'),
        ('customers', '0006_set_pin'),
        ('orders', '0012_fewer_indexes'),
        ('piles', '0009_piles_for_drivers'),
        ('pricing', '0004_approve_assignment'),
        ('sites', '0005_station_master_data'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('verdict__in', ['flagged', 'held'])), fields=['verdict', '-id'], name='order_verdict'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('source', 'app'), _negated=True), fields=['source', '-id'], name='order_source'),
        ),
    ]
