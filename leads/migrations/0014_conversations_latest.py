from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.expressions import F, OrderBy


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("leads", "0013_indexes_for_reading"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="conversation",
            index=models.Index(
                OrderBy(F("last_incoming_at"), descending=True, nulls_last=True),
                OrderBy(F("created_at"), descending=True),
                OrderBy(F("id"), descending=True),
                name="conversations_latest",
            ),
        ),
    ]
