"""The list of orders by time, each of its filters with an index; none written for orders that nobody asks it for."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Coalesce, ExtractHour

from apps.common.indexes import AddIndexQuietly, RemoveIndexQuietly, without_index
from apps.common.time import SHANGHAI

NEW = [
    models.Index(
        condition=models.Q(('settled_at__isnull', False)), fields=['settled_at'], name='order_by_settled'
    ),
    models.Index(
        condition=models.Q(('settled_at__isnull', False)),
        fields=['station', 'settled_at'],
        name='order_by_station_settled',
    ),
    models.Index(
        condition=models.Q(('state', 'completed'), _negated=True),
        fields=['state', 'created_at'],
        name='order_by_state',
    ),
    models.Index(fields=['station', 'created_at'], name='order_by_station'),
    models.Index(
        condition=models.Q(('verdict__in', ['flagged', 'held'])),
        fields=['verdict', 'created_at'],
        name='order_by_verdict',
    ),
    models.Index(
        condition=models.Q(('source', 'app'), _negated=True),
        fields=['source', 'created_at'],
        name='order_by_source',
    ),
    models.Index(
        ExtractHour(Coalesce('charging_at', 'started_at', 'created_at'), tzinfo=SHANGHAI),
        'created_at',
        include=['charging_at', 'started_at'],
        name='order_by_hour',
    ),
]
OLD = ['order_state', 'order_station_settled', 'order_settled', 'order_verdict', 'order_source']


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('orders', '0014_presets'),
        ('pricing', '0004_approve_assignment'),
    ]

    operations = [
        *(AddIndexQuietly(model_name='order', index=index) for index in NEW),
        *(RemoveIndexQuietly(model_name='order', name=name) for name in OLD),
        without_index([('orders_order', 'price_version_id')]),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='order',
                    name='price_version',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='pricing.priceversion', verbose_name='price version'),
                ),
            ]
        ),
    ]
