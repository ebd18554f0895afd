from django.db import migrations, models

MAKE = """
CREATE UNIQUE INDEX CONCURRENTLY one_hit_per_album ON parser_hit (campaign_id, bot_id, chat_id, grouped_id)
WHERE grouped_id IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0006_one_hit_per_message"),
    ]

    operations = [
        migrations.RunSQL(
            MAKE,
            "DROP INDEX CONCURRENTLY IF EXISTS one_hit_per_album",
            state_operations=[
                migrations.AddConstraint(
                    model_name="hit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("grouped_id__isnull", False)),
                        fields=("campaign", "bot", "chat", "grouped_id"),
                        name="one_hit_per_album",
                    ),
                ),
            ],
        ),
    ]
