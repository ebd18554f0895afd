from django.db import migrations, models

MAKE = """
CREATE UNIQUE INDEX CONCURRENTLY one_hit_per_person_and_text ON parser_hit (telegram_user_id, campaign_id, text_key)
WHERE text_key IS NOT NULL
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0019_repeats"),
    ]

    operations = [
        migrations.RunSQL(
            MAKE,
            "DROP INDEX CONCURRENTLY IF EXISTS one_hit_per_person_and_text",
            state_operations=[
                migrations.AddConstraint(
                    model_name="hit",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(("text_key__isnull", False)),
                        fields=("telegram_user_id", "campaign", "text_key"),
                        name="one_hit_per_person_and_text",
                    ),
                ),
            ],
        ),
    ]
