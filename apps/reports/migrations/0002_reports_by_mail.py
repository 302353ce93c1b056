"""Finance reports that are mailed by themselves."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reports', '0001_rollups'),
        ('sites', '0005_station_master_data'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ReportSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('name', models.CharField(max_length=50, verbose_name='name')),
                ('rhythm', models.CharField(choices=[('daily', 'daily, the day before'), ('weekly', 'on Mondays, the week before'), ('monthly', 'on the first, the month before')], default='daily', max_length=8, verbose_name='rhythm')),
                ('group', models.CharField(choices=[('day', 'by day'), ('month', 'by month'), ('station', 'by station'), ('pile', 'by pile'), ('gun', 'by gun'), ('source', 'by source'), ('customer', 'by kind of customer'), ('hour', 'by hour of the day')], default='station', max_length=10, verbose_name='grouped')),
                ('recipients', models.TextField(help_text='mail addresses, one a line', verbose_name='recipients')),
                ('is_active', models.BooleanField(default=True, editable=False, verbose_name='in use')),
                ('sent_through', models.DateField(blank=True, editable=False, null=True, verbose_name='sent through')),
                ('sent_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last sent at')),
                ('error', models.CharField(blank=True, editable=False, max_length=200, verbose_name='what went wrong')),
                ('owner', models.ForeignKey(editable=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='owner')),
                ('station', models.ForeignKey(blank=True, help_text='empty: all that its owner sees', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='sites.station', verbose_name='station')),
            ],
            options={
                'verbose_name': 'report by mail',
                'verbose_name_plural': 'reports by mail',
                'ordering': ['name', 'id'],
                'permissions': [('send_reportschedule', 'Can send reports by mail at once and switch them')],
            },
        ),
    ]
