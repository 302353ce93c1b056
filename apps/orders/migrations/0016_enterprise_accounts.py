"""Who paid for an order, and what went back to an enterprise."""

import apps.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('coupons', '0001_initial'),
        ('customers', '0012_enterprise_accounts'),
        ('orders', '0015_list_by_time'),
        ('piles', '0010_alarms'),
        ('pricing', '0005_price_tasks'),
        ('sites', '0006_stations_for_drivers'),
    ]

    operations = [
        migrations.CreateModel(
            name='EnterpriseCharge',
            fields=[
            ],
            options={
                'verbose_name': 'charge paid by an enterprise',
                'verbose_name_plural': 'charges paid by enterprises',
                'ordering': ['-settled_at', '-id'],
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('orders.order',),
        ),
        migrations.AddField(
            model_name='order',
            name='paid_enterprise',
            field=apps.common.fields.MoneyField(db_default=0, decimal_places=2, default=0, max_digits=14, verbose_name='paid by the enterprise'),
        ),
        migrations.AddField(
            model_name='order',
            name='payer',
            field=models.CharField(choices=[('wallet', 'own wallet'), ('enterprise', 'enterprise')], db_default='wallet', default='wallet', max_length=10, verbose_name='paid by'),
        ),
        migrations.AddField(
            model_name='orderrefund',
            name='enterprise',
            field=apps.common.fields.MoneyField(db_default=0, decimal_places=2, default=0, max_digits=14, verbose_name='to the enterprise'),
        ),
    ]
