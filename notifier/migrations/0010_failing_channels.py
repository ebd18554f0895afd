from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifier', '0009_newest_first'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='notification',
            index=models.Index(condition=models.Q(('state', 'sent')), fields=['channel', '-sent_at'], name='notifications_arrived'),
        ),
        AddIndexConcurrently(
            model_name='notification',
            index=models.Index(condition=models.Q(('error', ''), _negated=True), fields=['channel', '-due_at'], name='notifications_failing'),
        ),
    ]
