from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('messaging', '0008_edited_addresses'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='outboxevent',
            index=models.Index(condition=models.Q(('parked_at__isnull', False)), fields=['event_id'], name='outbox_parked'),
        ),
    ]
