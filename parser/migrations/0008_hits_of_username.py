import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0007_one_hit_per_album"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="hit",
            index=models.Index(
                django.db.models.functions.text.Lower("username"),
                models.OrderBy(models.F("said_at"), descending=True),
                condition=models.Q(("username", ""), _negated=True),
                name="hits_of_username",
            ),
        ),
    ]
