"""Days that are closed, and the journal in the order in which lists walk it."""

import apps.common.fields
import django.db.models.deletion
from django.db import migrations, models


DAY_OF_POSTINGS = '''
ALTER TABLE wallet_posting DISABLE TRIGGER USER;
UPDATE wallet_posting p SET business_day = e.business_day FROM wallet_journalentry e WHERE e.id = p.entry_id;
ALTER TABLE wallet_posting ENABLE TRIGGER USER;
'''
APPEND_ONLY = ['wallet_dayclosing', 'wallet_daybalance', 'wallet_accountday']
JOURNAL = ['wallet_journalentry', 'wallet_posting']


def append_only(table):
    return migrations.RunSQL(
        f'''
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION public.chargeplat_refuse_change();
        CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION public.chargeplat_refuse_change();
        ''',
        f'DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table}',
    )


def open_days_only(table):
    return migrations.RunSQL(
        f'''
        CREATE TRIGGER {table}_open_day BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION public.chargeplat_refuse_closed_day()
        ''',
        f'DROP TRIGGER {table}_open_day ON {table}',
    )


class Migration(migrations.Migration):

    dependencies = [
        ('tenancy', '0008_closed_days'),
        ('wallet', '0003_frozen_money'),
    ]

    operations = [
        migrations.CreateModel(
            name='AccountDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(db_index=True, verbose_name='business day')),
                ('debits', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='debits')),
                ('credits', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='credits')),
                ('balance', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='balance')),
            ],
            options={
                'verbose_name': 'day of an account',
                'verbose_name_plural': 'days of an account',
            },
        ),
        migrations.CreateModel(
            name='DayBalance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(verbose_name='business day')),
                ('kind', models.CharField(choices=[('customer_principal', 'customer principal'), ('customer_bonus', 'customer bonus'), ('held_principal', 'held principal'), ('held_bonus', 'held bonus'), ('frozen_principal', 'frozen principal'), ('frozen_bonus', 'frozen bonus'), ('customer_debt', 'customer debt'), ('channel_clearing', 'payment channel clearing'), ('revenue_electricity', 'revenue electricity'), ('revenue_service', 'revenue service'), ('bonus_expense', 'bonus expense'), ('enterprise_discount', 'enterprise discount'), ('coupon_discount', 'coupon discount'), ('channel_fee', 'payment channel fee'), ('manual_transfer', 'transferred by hand')], max_length=24, verbose_name='kind')),
                ('channel', models.CharField(blank=True, max_length=16, verbose_name='channel')),
                ('debits', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='debits')),
                ('credits', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='credits')),
                ('balance', apps.common.fields.MoneyField(decimal_places=2, max_digits=14, verbose_name='balance')),
            ],
            options={
                'verbose_name': 'balance of a day',
                'verbose_name_plural': 'balances of a day',
                'ordering': ['kind', 'channel'],
            },
        ),
        migrations.CreateModel(
            name='DayClosing',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(unique=True, verbose_name='business day')),
                ('entries', models.PositiveIntegerField(verbose_name='entries')),
                ('moved', apps.common.fields.MoneyField(decimal_places=2, help_text='Equal to the sum of credits.', max_digits=14, verbose_name='sum of debits')),
                ('digest', models.CharField(max_length=64, verbose_name='digest')),
                ('previous_digest', models.CharField(blank=True, max_length=64, verbose_name='digest of the day before')),
                ('closed_at', models.DateTimeField(verbose_name='closed at')),
                ('closed_by', models.CharField(max_length=100, verbose_name='closed by')),
            ],
            options={
                'verbose_name': 'day closing',
                'verbose_name_plural': 'day closings',
                'ordering': ['-day'],
            },
        ),
        migrations.CreateModel(
            name='LedgerCheck',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('finished_at', models.DateTimeField(verbose_name='finished at')),
                ('differences', models.PositiveIntegerField(verbose_name='differences')),
                ('found', models.JSONField(default=list, verbose_name='found')),
                ('totals', models.JSONField(default=dict, verbose_name='totals')),
                ('asked_by', models.CharField(max_length=100, verbose_name='asked by')),
            ],
            options={
                'permissions': [('run_ledgercheck', 'Can check the books and close business days')],
                'verbose_name': 'ledger check',
                'verbose_name_plural': 'ledger checks',
                'ordering': ['-id'],
            },
        ),
        migrations.AlterModelOptions(
            name='journalentry',
            options={'ordering': ['-business_day', '-id'], 'verbose_name': 'journal entry', 'verbose_name_plural': 'journal'},
        ),
        migrations.RemoveIndex(
            model_name='journalentry',
            name='journal_of_wallet',
        ),
        migrations.AddField(
            model_name='posting',
            name='business_day',
            field=models.DateField(null=True, verbose_name='business day'),
        ),
        migrations.RunSQL(DAY_OF_POSTINGS, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name='posting',
            name='business_day',
            field=models.DateField(verbose_name='business day'),
        ),
        migrations.AlterField(
            model_name='journalentry',
            name='business_day',
            field=models.DateField(verbose_name='business day'),
        ),
        migrations.AlterField(
            model_name='journalentry',
            name='posted_at',
            field=models.DateTimeField(verbose_name='posted at'),
        ),
        migrations.AlterField(
            model_name='journalentry',
            name='wallet',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='wallet.wallet', verbose_name='wallet'),
        ),
        migrations.AlterField(
            model_name='posting',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='postings', to='wallet.account', verbose_name='account'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(fields=['business_day', 'id'], name='journal_by_day'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(fields=['kind', 'business_day', 'id'], name='journal_by_kind'),
        ),
        migrations.AddIndex(
            model_name='journalentry',
            index=models.Index(fields=['wallet', 'business_day', 'id'], name='journal_by_wallet'),
        ),
        migrations.AddIndex(
            model_name='posting',
            index=models.Index(fields=['account', 'business_day', 'id'], name='posting_by_account'),
        ),
        migrations.AddField(
            model_name='accountday',
            name='account',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='days', to='wallet.account', verbose_name='account'),
        ),
        migrations.AddConstraint(
            model_name='accountday',
            constraint=models.UniqueConstraint(fields=('account', 'day'), name='account_day_unique'),
        ),
        migrations.AddConstraint(
            model_name='daybalance',
            constraint=models.UniqueConstraint(fields=('day', 'kind', 'channel'), name='day_balance_unique'),
        ),
        *(append_only(table) for table in APPEND_ONLY),
        *(open_days_only(table) for table in JOURNAL),
    ]
