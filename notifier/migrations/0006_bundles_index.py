from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('notifier', '0005_bundles'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='notification',
            index=models.Index(condition=models.Q(('bundle_at__isnull', False)), fields=['channel', 'bundle', 'bundle_at'], name='notifications_bundled'),
        ),
    ]
