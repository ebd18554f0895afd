"""Checks whether the configured keys decrypt the secrets in the database, and records the key in use."""

from collections.abc import Iterator

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models import Model

from vault.fields import EncryptedTextField
from vault.keys import cipher, fingerprint
from vault.models import KeyInUse

# The plain text of each key's probe.
_PROBE = b"CoolThing"


def key_remember() -> None:
    """Record that the first key encrypts values in this database from now on."""
    key = settings.FIELD_ENCRYPTION_KEYS[0]
    probe = Fernet(key).encrypt(_PROBE).decode("ascii")
    KeyInUse.objects.bulk_create([KeyInUse(fingerprint=fingerprint(key), probe=probe)], ignore_conflicts=True)


def encrypted_fields() -> Iterator[tuple[type[Model], EncryptedTextField]]:
    """All encrypted columns of the installed models."""
    for model in apps.get_models():
        if model._meta.managed and not model._meta.proxy:
            for field in model._meta.local_concrete_fields:
                if isinstance(field, EncryptedTextField):
                    yield model, field


def unreadable() -> list[str]:
    """Names what the configured keys do not decrypt: keys that encrypted values here, and columns with such values.

    Makes two small queries. A value of each column is tried too, because the database may be older than its records of
    keys.
    """
    lost = [f"key {row.fingerprint}" for row in KeyInUse.objects.order_by("since") if not readable(row.probe)]
    return lost + [name for name, value in _samples() if not readable(value)]


def readable(token: str) -> bool:
    try:
        cipher().decrypt(token.encode("ascii"))
    except (InvalidToken, UnicodeEncodeError):
        return False
    return True


def _samples() -> list[tuple[str, str]]:
    quote = connection.ops.quote_name
    parts, names = [], []
    for model, field in encrypted_fields():
        column, table = quote(str(field.column)), quote(model._meta.db_table)
        parts.append(f"(SELECT %s, {column} FROM {table} WHERE {column} <> '' LIMIT 1)")
        names.append(f"{model._meta.label}.{field.name}")
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), names)
        return [(str(name), str(value)) for name, value in cursor.fetchall()]
