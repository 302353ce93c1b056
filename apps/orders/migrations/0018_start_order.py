from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('orders', '0017_paid_by_enterprise'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='order',
            options={'ordering': ['-id'], 'permissions': [('start_order', 'Can start a charge for a driver'), ('stop_order', 'Can stop a charge'), ('force_end_order', 'Can end an order whose pile is lost, with a second person')], 'verbose_name': 'charging order', 'verbose_name_plural': 'charging orders'},
        ),
    ]
