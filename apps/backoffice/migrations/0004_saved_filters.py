"""Filters of lists that people keep."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('backoffice', '0003_approvals'),
    ]

    operations = [
        migrations.CreateModel(
            name='SavedFilter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('owner_id', models.PositiveBigIntegerField(verbose_name="owner's id")),
                ('owner_name', models.CharField(blank=True, max_length=100, verbose_name='owner')),
                ('page', models.CharField(max_length=64, verbose_name='list')),
                ('name', models.CharField(max_length=30, verbose_name='name')),
                ('query', models.CharField(max_length=2000, verbose_name='filter')),
                ('is_shared', models.BooleanField(default=False, verbose_name='shared')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
            ],
            options={
                'verbose_name': 'saved filter',
                'verbose_name_plural': 'saved filters',
                'ordering': ['name', 'id'],
                'permissions': [('share_savedfilter', 'Can share saved filters with everybody')],
                'indexes': [models.Index(fields=['page', 'is_shared'], name='saved_filter_of_page')],
                'constraints': [models.UniqueConstraint(fields=('owner_id', 'page', 'name'), name='saved_filter_unique')],
            },
        ),
    ]
