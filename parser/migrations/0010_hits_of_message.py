from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0009_edits_and_deletions"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="hit",
            index=models.Index(fields=["message_id", "peer_id"], name="hits_of_message"),
        ),
    ]
