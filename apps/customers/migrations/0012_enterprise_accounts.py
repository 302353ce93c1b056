"""What enterprises pay for, and up to how much."""

import apps.common.fields
import apps.sites.hours
import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0011_inbox_and_invitations'),
        ('sites', '0006_stations_for_drivers'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='enterprise',
            options={'ordering': ['name'], 'permissions': [('set_enterprise_account', 'Can set what an enterprise pays for, and its credit limit')], 'verbose_name': 'enterprise', 'verbose_name_plural': 'enterprises'},
        ),
        migrations.AddField(
            model_name='enterprise',
            name='account_kind',
            field=models.CharField(choices=[('none', 'none: members pay themselves'), ('prepaid', 'pre-paid'), ('postpaid', 'post-paid, up to a credit limit')], db_default='none', default='none', max_length=8, verbose_name='account'),
        ),
        migrations.AddField(
            model_name='enterprise',
            name='credit_limit',
            field=apps.common.fields.MoneyField(db_default=0, decimal_places=2, default=0, help_text='Of a post-paid account: so far below zero the balance may go.', max_digits=14, validators=[django.core.validators.MinValueValidator(0)], verbose_name='credit limit (yuan)'),
        ),
        migrations.AddField(
            model_name='enterprise',
            name='member_monthly_limit',
            field=apps.common.fields.MoneyField(blank=True, decimal_places=2, help_text='Of a member without a limit of their own. Empty: no limit.', max_digits=14, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='limit per member and month (yuan)'),
        ),
        migrations.AddField(
            model_name='enterprise',
            name='monthly_limit',
            field=apps.common.fields.MoneyField(blank=True, decimal_places=2, help_text='For all members together. Empty: no limit.', max_digits=14, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='limit per month (yuan)'),
        ),
        migrations.AddField(
            model_name='enterprise',
            name='pay_hours',
            field=models.CharField(blank=True, db_default='', default='', help_text='As opening hours are written, such as 07:00-22:00. Empty: at any time.', max_length=200, validators=[apps.sites.hours.validate], verbose_name='hours in which it pays'),
        ),
        migrations.AddField(
            model_name='enterprise',
            name='stations',
            field=models.ManyToManyField(blank=True, help_text='None: at every station.', related_name='enterprises', to='sites.station', verbose_name='stations at which it pays'),
        ),
        migrations.AddField(
            model_name='enterprisemember',
            name='monthly_limit',
            field=apps.common.fields.MoneyField(blank=True, decimal_places=2, help_text="What the enterprise pays for this member. Empty: the enterprise's limit per member.", max_digits=14, null=True, validators=[django.core.validators.MinValueValidator(0)], verbose_name='limit per month (yuan)'),
        ),
        migrations.AddField(
            model_name='enterprisemember',
            name='payer',
            field=models.CharField(choices=[('wallet', 'own wallet'), ('enterprise', 'enterprise')], db_default='enterprise', default='enterprise', max_length=10, verbose_name='pays with'),
        ),
        migrations.AddConstraint(
            model_name='enterprise',
            constraint=models.CheckConstraint(condition=models.Q(('credit_limit__gte', 0), models.Q(('monthly_limit', None), ('monthly_limit__gte', 0), _connector='OR'), models.Q(('member_monthly_limit', None), ('member_monthly_limit__gte', 0), _connector='OR')), name='enterprise_limits'),
        ),
        migrations.AddConstraint(
            model_name='enterprisemember',
            constraint=models.CheckConstraint(condition=models.Q(('monthly_limit', None), ('monthly_limit__gte', 0), _connector='OR'), name='enterprise_member_limit'),
        ),
    ]
