"""Wallets of enterprises: an account that pays for its members."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0012_enterprise_accounts'),
        ('wallet', '0012_bonus_forfeited'),
    ]

    operations = [
        migrations.CreateModel(
            name='EnterpriseAccount',
            fields=[
            ],
            options={
                'verbose_name': 'enterprise account',
                'verbose_name_plural': 'enterprise accounts',
                'permissions': [('transfer_enterpriseaccount', 'Can ask to book top-ups and withdrawals of enterprises'), ('approve_enterpriseaccount', 'Can approve top-ups and withdrawals of enterprises')],
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('wallet.wallet',),
        ),
        migrations.RemoveConstraint(
            model_name='wallet',
            name='wallet_not_negative',
        ),
        migrations.AddField(
            model_name='wallet',
            name='enterprise',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='wallet', to='customers.enterprise', verbose_name='enterprise'),
        ),
        migrations.AlterField(
            model_name='account',
            name='kind',
            field=models.CharField(choices=[('customer_principal', 'customer principal'), ('customer_bonus', 'customer bonus'), ('held_principal', 'held principal'), ('held_bonus', 'held bonus'), ('frozen_principal', 'frozen principal'), ('frozen_bonus', 'frozen bonus'), ('customer_debt', 'customer debt'), ('enterprise_balance', 'enterprise balance'), ('enterprise_held', 'held of enterprises'), ('channel_clearing', 'payment channel clearing'), ('revenue_electricity', 'revenue electricity'), ('revenue_service', 'revenue service'), ('bonus_expense', 'bonus expense'), ('enterprise_discount', 'enterprise discount'), ('coupon_discount', 'coupon discount'), ('channel_fee', 'payment channel fee'), ('manual_transfer', 'transferred by hand')], max_length=24, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='daybalance',
            name='kind',
            field=models.CharField(choices=[('customer_principal', 'customer principal'), ('customer_bonus', 'customer bonus'), ('held_principal', 'held principal'), ('held_bonus', 'held bonus'), ('frozen_principal', 'frozen principal'), ('frozen_bonus', 'frozen bonus'), ('customer_debt', 'customer debt'), ('enterprise_balance', 'enterprise balance'), ('enterprise_held', 'held of enterprises'), ('channel_clearing', 'payment channel clearing'), ('revenue_electricity', 'revenue electricity'), ('revenue_service', 'revenue service'), ('bonus_expense', 'bonus expense'), ('enterprise_discount', 'enterprise discount'), ('coupon_discount', 'coupon discount'), ('channel_fee', 'payment channel fee'), ('manual_transfer', 'transferred by hand')], max_length=24, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='journalentry',
            name='kind',
            field=models.CharField(choices=[('recharge', 'top-up'), ('hold', 'hold'), ('charge', 'charge'), ('release', 'release of a hold'), ('debt_recovery', 'debt paid from a top-up'), ('refund_freeze', 'frozen for a refund'), ('refund_back', 'refund called off'), ('refund_paid', 'refund'), ('order_refund', 'refund of a charge'), ('channel_fee', 'payment channel fee'), ('bonus_forfeited', 'bonus given up'), ('enterprise_deposit', 'top-up of an enterprise'), ('enterprise_withdrawal', 'withdrawal of an enterprise')], max_length=24, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='wallet',
            name='customer',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='wallet', to='customers.customer', verbose_name='customer'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('bonus__gte', 0), ('debt__gte', 0), ('frozen_bonus__gte', 0), ('frozen_principal__gte', 0), ('held_bonus__gte', 0), ('held_principal__gte', 0), models.Q(('principal__gte', 0), ('enterprise__isnull', False), _connector='OR')), name='wallet_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('customer__isnull', False), ('enterprise__isnull', True)), models.Q(('bonus', 0), ('customer__isnull', True), ('debt', 0), ('enterprise__isnull', False), ('frozen_bonus', 0), ('frozen_principal', 0), ('held_bonus', 0)), _connector='OR'), name='wallet_of_one'),
        ),
    ]
