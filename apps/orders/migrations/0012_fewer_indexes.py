"""Fewer indexes to write at each move of an order and for each record: none that another one covers."""

import django.db.models.deletion
from django.db import migrations, models

from apps.common.indexes import without_index, without_prefix_index


class Migration(migrations.Migration):

    dependencies = [
        ('coupons', '0001_initial'),
        ('customers', '0006_set_pin'),
        ('orders', '0011_quarantined_records'),
        ('piles', '0007_offline_cards_and_parallel'),
        ('pricing', '0004_approve_assignment'),
        ('sites', '0004_department_and_keeper'),
    ]

    operations = [
        without_index(
            [
                ('orders_order', 'customer_id'),
                ('orders_order', 'station_id'),
                ('orders_order', 'coupon_id'),
                ('orders_order', 'enterprise_id'),
                ('orders_billline', 'order_id'),
                ('orders_transactionrecord', 'transaction_no'),
            ]
        ),
        without_prefix_index([('orders_order', 'order_no')]),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='billline',
                    name='order',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='lines', to='orders.order', verbose_name='order'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='coupon',
                    field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='coupons.coupon', verbose_name='coupon'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='customer',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='customers.customer', verbose_name='customer'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='enterprise',
                    field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='customers.enterprise', verbose_name='enterprise'),
                ),
                migrations.AlterField(
                    model_name='order',
                    name='station',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='sites.station', verbose_name='station'),
                ),
                migrations.AlterField(
                    model_name='transactionrecord',
                    name='transaction_no',
                    field=models.CharField(max_length=32, verbose_name='transaction number'),
                ),
            ]
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('coupon__isnull', False)), fields=['coupon'], name='order_of_coupon'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(condition=models.Q(('enterprise__isnull', False)), fields=['enterprise'], name='order_of_enterprise'),
        ),
    ]
