"""Tokens of Django REST framework keep working by their digests; the keys themselves go."""

from django.db import migrations

_TAKE = """
    INSERT INTO coolthing_site_apitoken (user_id, name, digest, created_at)
    SELECT user_id, 'a token of before', encode(sha256(convert_to(key, 'UTF8')), 'hex'), created FROM authtoken_token
    ON CONFLICT (digest) DO NOTHING
"""


def take_over(apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        if "authtoken_token" not in connection.introspection.table_names(cursor):
            return
        cursor.execute(_TAKE)
        cursor.execute("DROP TABLE authtoken_token")


class Migration(migrations.Migration):

    dependencies = [
        ("coolthing_site", "0002_api_tokens"),
    ]

    operations = [
        migrations.RunPython(take_over, migrations.RunPython.noop),
    ]
