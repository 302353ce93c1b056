from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0012_enterprise_accounts'),
    ]

    operations = [
        migrations.AddField(
            model_name='driverappsettings',
            name='refuses_virtual_operators',
            field=models.BooleanField(db_default=False, default=False, help_text='Numbers that begin with 162, 165, 167, 170 or 171 get no code and are bound to no account. Who is signed in stays so.', verbose_name='refuse numbers of virtual operators'),
        ),
    ]
