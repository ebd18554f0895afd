"""Hashes erased people: their suppressions are kept as keyed hashes, which do not reveal who they were.

The key is random, made at the first erasure and kept encrypted in the database: a copy of the table alone, without
FIELD_ENCRYPTION_KEYS, cannot be tried with all the ids that there are. It is never changed: with another one the
people behind the hashes would be forgotten.
"""

import hashlib
import hmac
import secrets

from campaigns.models import HashKey

_ONLY = 1


def key_for_erasing() -> str:
    """The key, made when there is none. Its transaction is the one that stores the first hash."""
    row, _ = HashKey.objects.get_or_create(pk=_ONLY, defaults={"key": secrets.token_hex(32)})
    return row.key


def key_if_any() -> str | None:
    """None: nobody was ever erased here."""
    return HashKey.objects.filter(pk=_ONLY).values_list("key", flat=True).first()


def id_hash(key: str, telegram_user_id: int) -> str:
    return _hash(key, f"id:{telegram_user_id}")


def name_hash(key: str, plain_username: str) -> str:
    return _hash(key, f"name:{plain_username}")


def _hash(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
