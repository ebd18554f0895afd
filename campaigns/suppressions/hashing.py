"""Hashes erased people: their suppressions are keyed hashes, which do not reveal who the people were.

The key is random. It is created at the first erasure and stored encrypted in the database, so that without
FIELD_ENCRYPTION_KEYS a copy of the table cannot be searched by trying all possible ids. The key never changes: with
another key the hashes would match no person any more.
"""

import hashlib
import hmac
import secrets

from campaigns.models import HashKey

_ONLY = 1


def key_for_erasing() -> str:
    """The key, created if there is none. Call it in the transaction that stores the hash."""
    row, _ = HashKey.objects.get_or_create(pk=_ONLY, defaults={"key": secrets.token_hex(32)})
    return row.key


def key_if_any() -> str | None:
    """The key; None if no person was ever erased."""
    return HashKey.objects.filter(pk=_ONLY).values_list("key", flat=True).first()


def id_hash(key: str, telegram_user_id: int) -> str:
    return _hash(key, f"id:{telegram_user_id}")


def name_hash(key: str, plain_username: str) -> str:
    return _hash(key, f"name:{plain_username}")


def _hash(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
