"""Price tasks, the holiday calendar, and prices for a time."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('backoffice', '0003_approvals'),
        ('piles', '0007_offline_cards_and_parallel'),
        ('pricing', '0004_approve_assignment'),
        ('sites', '0004_department_and_keeper'),
    ]

    operations = [
        migrations.CreateModel(
            name='Holiday',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('day', models.DateField(unique=True, verbose_name='day')),
                ('kind', models.CharField(choices=[('holiday', 'public holiday'), ('workday', 'working day instead')], max_length=8, verbose_name='kind')),
                ('name', models.CharField(max_length=50, verbose_name='name')),
                ('created_by', models.CharField(blank=True, max_length=100, verbose_name='created by')),
            ],
            options={
                'verbose_name': 'holiday',
                'verbose_name_plural': 'holiday calendar',
                'ordering': ['-day'],
            },
        ),
        migrations.AddField(
            model_name='priceassignment',
            name='begun_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='start noticed at'),
        ),
        migrations.AddField(
            model_name='priceassignment',
            name='ends_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='ends at'),
        ),
        migrations.AddField(
            model_name='priceassignment',
            name='is_temporary',
            field=models.BooleanField(db_default=False, default=False, verbose_name='for a time'),
        ),
        migrations.AddField(
            model_name='priceassignment',
            name='over_at',
            field=models.DateTimeField(blank=True, null=True, verbose_name='end noticed at'),
        ),
        migrations.AlterField(
            model_name='pricepush',
            name='state',
            field=models.CharField(choices=[('pending', 'pending'), ('sent', 'sent'), ('done', 'done'), ('failed', 'failed'), ('superseded', 'no longer needed')], default='pending', max_length=16, verbose_name='state'),
        ),
        migrations.CreateModel(
            name='PriceTask',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('days', models.CharField(choices=[('all', 'from the start on, without a break'), ('holidays', 'on public holidays'), ('rest_days', 'on weekends and public holidays')], default='all', max_length=16, verbose_name='days')),
                ('starts_at', models.DateTimeField(verbose_name='starts at')),
                ('ends_at', models.DateTimeField(blank=True, null=True, verbose_name='ends at')),
                ('state', models.CharField(choices=[('waiting', 'waits for a second person'), ('refused', 'not approved'), ('scheduled', 'scheduled'), ('running', 'in force'), ('done', 'carried out'), ('cancelled', 'cancelled'), ('rolled_back', 'rolled back')], default='waiting', max_length=16, verbose_name='state')),
                ('reason', models.CharField(blank=True, max_length=200, verbose_name='reason')),
                ('created_by', models.CharField(blank=True, max_length=100, verbose_name='created by')),
                ('approval', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='backoffice.approval', verbose_name='approval')),
                ('piles', models.ManyToManyField(blank=True, related_name='price_tasks', to='piles.pile', verbose_name='piles')),
                ('stations', models.ManyToManyField(blank=True, related_name='price_tasks', to='sites.station', verbose_name='stations')),
                ('version', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tasks', to='pricing.priceversion', verbose_name='price version')),
            ],
            options={
                'verbose_name': 'price task',
                'verbose_name_plural': 'price tasks',
                'ordering': ['-id'],
                'permissions': [('cancel_pricetask', 'Can cancel price tasks that have not begun'), ('roll_back_pricetask', 'Can roll price tasks back')],
            },
        ),
        migrations.AddField(
            model_name='priceassignment',
            name='task',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='assignments', to='pricing.pricetask', verbose_name='price task'),
        ),
        migrations.AddIndex(
            model_name='priceassignment',
            index=models.Index(condition=models.Q(('begun_at__isnull', True)), fields=['starts_at'], name='price_not_begun'),
        ),
        migrations.AddIndex(
            model_name='priceassignment',
            index=models.Index(condition=models.Q(('ends_at__isnull', False), ('over_at__isnull', True)), fields=['ends_at'], name='price_not_over'),
        ),
        migrations.AddConstraint(
            model_name='pricetask',
            constraint=models.CheckConstraint(condition=models.Q(('ends_at', None), ('ends_at__gt', models.F('starts_at')), _connector='OR'), name='price_task_ends_after_start'),
        ),
        # What applies already has gone to the piles.
        migrations.RunSQL(
            "UPDATE pricing_priceassignment SET begun_at = starts_at WHERE starts_at <= now()",
            migrations.RunSQL.noop,
        ),
    ]
