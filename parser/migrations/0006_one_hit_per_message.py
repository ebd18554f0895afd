from django.db import migrations, models

# The new index is made while hits come in; the constraint changes over to it in a moment.
MAKE = """
CREATE UNIQUE INDEX CONCURRENTLY one_hit_per_message_of_peer
ON parser_hit (campaign_id, bot_id, chat_id, peer_id, message_id)
"""
CHANGE_OVER = """
ALTER TABLE parser_hit DROP CONSTRAINT one_hit_per_message,
ADD CONSTRAINT one_hit_per_message UNIQUE USING INDEX one_hit_per_message_of_peer
"""
CHANGE_BACK = """
ALTER TABLE parser_hit DROP CONSTRAINT one_hit_per_message,
ADD CONSTRAINT one_hit_per_message UNIQUE (campaign_id, bot_id, chat_id, message_id)
"""
FIELDS = ("campaign", "bot", "chat", "peer_id", "message_id")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0005_peers_of_hits"),
    ]

    operations = [
        migrations.RunSQL(MAKE, "DROP INDEX CONCURRENTLY IF EXISTS one_hit_per_message_of_peer"),
        migrations.RunSQL(
            CHANGE_OVER,
            CHANGE_BACK,
            state_operations=[
                migrations.RemoveConstraint(model_name="hit", name="one_hit_per_message"),
                migrations.AddConstraint(
                    model_name="hit",
                    constraint=models.UniqueConstraint(fields=FIELDS, name="one_hit_per_message"),
                ),
            ],
        ),
    ]
