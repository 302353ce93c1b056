from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0015_removed_members'),
    ]

    operations = [
        migrations.AlterField(
            model_name='driverappsettings',
            name='refuses_virtual_operators',
            field=models.BooleanField(db_default=False, default=False, help_text='Nobody becomes a customer with a number that begins with 162, 165, 167, 170 or 171, or changes to one. Who is a customer already signs in as ever.', verbose_name='refuse numbers of virtual operators'),
        ),
    ]
