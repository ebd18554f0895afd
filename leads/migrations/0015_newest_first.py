from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('leads', '0014_conversations_latest'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='lead',
            index=models.Index(fields=['-hit_at'], name='leads_newest'),
        ),
        AddIndexConcurrently(
            model_name='lead',
            index=models.Index(fields=['state', '-hit_at'], name='leads_newest_by_state'),
        ),
        AddIndexConcurrently(
            model_name='llmjob',
            index=models.Index(fields=['-created_at'], name='llm_jobs_newest'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(fields=['-at'], name='messages_newest'),
        ),
        AddIndexConcurrently(
            model_name='unclaimedmessage',
            index=models.Index(fields=['-said_at'], name='unclaimed_newest'),
        ),
        AddIndexConcurrently(
            model_name='unclaimedmessage',
            index=models.Index(condition=models.Q(('given_up_at', None)), fields=['conversation'], name='unclaimed_open'),
        ),
    ]
