"""Who ended a membership: staff, after which no invitation code brings it back, or the member."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('customers', '0014_more_messages'),
    ]

    operations = [
        migrations.AddField(
            model_name='enterprisemember',
            name='removed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='removed at'),
        ),
    ]
