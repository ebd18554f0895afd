from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('parser', '0010_hits_of_message'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='hit',
            index=models.Index(fields=['telegram_user_id'], name='hits_of_person'),
        ),
    ]
