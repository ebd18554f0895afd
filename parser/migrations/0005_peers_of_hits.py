from django.db import migrations

from messaging.database.migrating import in_batches

# So far a chat had one id.
PEERS = """
UPDATE parser_hit SET peer_id = chat.telegram_id FROM campaigns_chat AS chat
WHERE chat.id = parser_hit.chat_id AND chat.telegram_id IS NOT NULL AND parser_hit.peer_id = 0
    AND parser_hit.id BETWEEN %(first)s AND %(last)s
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("campaigns", "0008_chat_identity"),
        ("parser", "0004_albums"),
    ]

    operations = [
        migrations.RunPython(in_batches("parser_hit", PEERS), migrations.RunPython.noop),
    ]
