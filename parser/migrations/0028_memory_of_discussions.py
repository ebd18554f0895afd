from django.db import migrations

# Parsers' memory contains the discussion groups too (see migration 0015).
OF_CHATS = """
DROP TRIGGER IF EXISTS matching_changed ON campaigns_chat;
CREATE TRIGGER matching_changed AFTER UPDATE OF telegram_id, upgraded_from_id, discussion_id ON campaigns_chat
FOR EACH ROW WHEN (
    OLD.telegram_id IS DISTINCT FROM NEW.telegram_id OR OLD.upgraded_from_id IS DISTINCT FROM NEW.upgraded_from_id
    OR OLD.discussion_id IS DISTINCT FROM NEW.discussion_id
) EXECUTE FUNCTION parser_matching_changed();
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("parser", "0027_discussions"),
    ]

    operations = [
        migrations.RunSQL(OF_CHATS, migrations.RunSQL.noop),
    ]
