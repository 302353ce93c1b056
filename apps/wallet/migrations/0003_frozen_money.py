import apps.common.fields
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0003_devices'),
        ('wallet', '0002_ledger_triggers'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='wallet',
            name='wallet_not_negative',
        ),
        migrations.AddField(
            model_name='wallet',
            name='frozen_bonus',
            field=apps.common.fields.MoneyField(decimal_places=2, default=0, max_digits=14, verbose_name='frozen bonus'),
        ),
        migrations.AddField(
            model_name='wallet',
            name='frozen_principal',
            field=apps.common.fields.MoneyField(decimal_places=2, default=0, max_digits=14, verbose_name='frozen principal'),
        ),
        migrations.AlterField(
            model_name='account',
            name='kind',
            field=models.CharField(choices=[('customer_principal', 'customer principal'), ('customer_bonus', 'customer bonus'), ('held_principal', 'held principal'), ('held_bonus', 'held bonus'), ('frozen_principal', 'frozen principal'), ('frozen_bonus', 'frozen bonus'), ('customer_debt', 'customer debt'), ('channel_clearing', 'payment channel clearing'), ('revenue_electricity', 'revenue electricity'), ('revenue_service', 'revenue service'), ('bonus_expense', 'bonus expense'), ('enterprise_discount', 'enterprise discount'), ('coupon_discount', 'coupon discount'), ('channel_fee', 'payment channel fee'), ('manual_transfer', 'transferred by hand')], max_length=24, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='journalentry',
            name='kind',
            field=models.CharField(choices=[('recharge', 'top-up'), ('hold', 'hold'), ('charge', 'charge'), ('release', 'release of a hold'), ('debt_recovery', 'debt paid from a top-up'), ('refund_freeze', 'frozen for a refund'), ('refund_back', 'refund called off'), ('refund_paid', 'refund'), ('order_refund', 'refund of a charge'), ('channel_fee', 'payment channel fee')], max_length=24, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='wallet',
            constraint=models.CheckConstraint(condition=models.Q(('bonus__gte', 0), ('debt__gte', 0), ('frozen_bonus__gte', 0), ('frozen_principal__gte', 0), ('held_bonus__gte', 0), ('held_principal__gte', 0), ('principal__gte', 0)), name='wallet_not_negative'),
        ),
    ]
