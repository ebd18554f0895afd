import django.db.models.functions.comparison
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("leads", "0010_attempts_in_a_row"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                condition=models.Q(("delivery", None)), fields=["telegram_message_id"], name="messages_heard"
            ),
        ),
        AddIndexConcurrently(
            model_name="message",
            index=models.Index(
                models.F("conversation"),
                django.db.models.functions.comparison.Coalesce("telegram_message_id", "follows_message_id"),
                models.F("telegram_message_id"),
                models.F("at"),
                models.F("id"),
                name="messages_in_order",
            ),
        ),
    ]
