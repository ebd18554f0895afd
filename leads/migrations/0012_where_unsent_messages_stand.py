from django.db import migrations

from messaging.database.migrating import in_batches

# Messages that are neither sent nor to be sent stand below what they answer.
WHERE_UNSENT_ONES_STAND = """
UPDATE leads_message AS unsent SET follows_message_id = COALESCE((
    SELECT MAX(told.telegram_message_id) FROM leads_message AS told
    WHERE told.conversation_id = unsent.conversation_id AND told.epoch <= unsent.epoch
), 0)
FROM bots_delivery AS delivery
WHERE delivery.id = unsent.delivery_id AND unsent.telegram_message_id IS NULL AND unsent.follows_message_id IS NULL
    AND delivery.state NOT IN ('queued', 'sending') AND unsent.id BETWEEN %(first)s AND %(last)s
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("bots", "0010_mass_cancellation"),
        ("leads", "0011_message_indexes"),
    ]

    operations = [
        migrations.RunPython(in_batches("leads_message", WHERE_UNSENT_ONES_STAND), migrations.RunPython.noop),
    ]
