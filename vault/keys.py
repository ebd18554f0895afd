"""The keys that encrypt secrets at rest."""

import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def parse_keys(keys: list[str]) -> MultiFernet:
    """Build the cipher from `keys`: the first key encrypts, and all keys decrypt.

    Raises ImproperlyConfigured if there is no key or a key is malformed; the message never repeats a key.
    """
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS contains no key: make a key with `python -m vault`")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS: each key is 32 bytes in URL-safe base64; make a key with `python -m vault`"
        ) from error


def fingerprint(key: str) -> str:
    """A name for a key that does not reveal the key."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()[:16]


@lru_cache(maxsize=1)
def cipher() -> MultiFernet:
    """The process's cipher, from settings.FIELD_ENCRYPTION_KEYS."""
    return parse_keys(settings.FIELD_ENCRYPTION_KEYS)
