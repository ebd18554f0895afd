from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("leads", "0012_where_unsent_messages_stand"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("deleted_at", None), ("delivery", None), ("telegram_message_id__isnull", False)),
                fields=["at"],
                name="messages_heard_lately",
            ),
        ),
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(fields=["conversation", "epoch"], name="messages_by_epoch"),
        ),
    ]
