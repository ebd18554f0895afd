from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models import Q
from django.db.models.expressions import F, OrderBy


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("leads", "0015_newest_first"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="conversation",
            index=models.Index(
                OrderBy(F("last_incoming_at"), descending=True, nulls_last=True),
                name="conversations_of_operators",
                condition=Q(owner="human"),
            ),
        ),
    ]
