from django.db import migrations

# A row for each change of what decides which messages can match: a bots worker compares these rows with those that it
# has seen (`parser/memory.py`). Only the latest rows are kept. Rows that another transaction deletes are left to it, so
# no change waits for another.
MAKE = """
CREATE TABLE IF NOT EXISTS parser_matchingchange (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE OR REPLACE FUNCTION parser_matching_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO parser_matchingchange DEFAULT VALUES;
    DELETE FROM parser_matchingchange WHERE id IN (
        SELECT id FROM parser_matchingchange WHERE id < (SELECT max(id) - 100 FROM parser_matchingchange)
        ORDER BY id LIMIT 10 FOR UPDATE SKIP LOCKED
    );
    RETURN NULL;
END $$;
"""
UNMAKE = """
DROP FUNCTION parser_matching_changed() CASCADE;
DROP TABLE parser_matchingchange;
"""
TABLES = ("parser_keyword", "parser_matchingsettings", "parser_watchedchat")
OF_TABLE = """
DROP TRIGGER IF EXISTS matching_changed ON {table};
CREATE TRIGGER matching_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION parser_matching_changed();
"""
OF_CHATS = """
DROP TRIGGER IF EXISTS matching_changed ON campaigns_chat;
CREATE TRIGGER matching_changed AFTER UPDATE OF telegram_id, upgraded_from_id ON campaigns_chat
FOR EACH ROW WHEN (
    OLD.telegram_id IS DISTINCT FROM NEW.telegram_id OR OLD.upgraded_from_id IS DISTINCT FROM NEW.upgraded_from_id
) EXECUTE FUNCTION parser_matching_changed();
"""


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("campaigns", "0012_words_of_forms"),
        ("parser", "0014_matching_settings"),
    ]

    operations = [
        migrations.RunSQL(MAKE, UNMAKE),
        *(migrations.RunSQL(OF_TABLE.format(table=table), migrations.RunSQL.noop) for table in TABLES),
        migrations.RunSQL(OF_CHATS, migrations.RunSQL.noop),
    ]
