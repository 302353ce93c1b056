import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_franchisees'),
    ]

    operations = [
        migrations.AddField(
            model_name='signinpolicy',
            name='puzzle_failures',
            field=models.PositiveSmallIntegerField(default=3, help_text='of a user name or an address, before a password is looked at; 0: never', validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(50)], verbose_name='failures within an hour after which a picture has to be read'),
        ),
    ]
