from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('bots', '0010_mass_cancellation'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='cursor',
            index=models.Index(condition=models.Q(('gaps__gt', 0)), fields=['bot'], include=('gaps', 'gap_messages'), name='cursors_with_gaps'),
        ),
        AddIndexConcurrently(
            model_name='delivery',
            index=models.Index(fields=['-created_at'], name='deliveries_newest'),
        ),
    ]
