"""The keys that encrypt what is secret at rest."""

import hashlib
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def parse_keys(keys: list[str]) -> MultiFernet:
    """Build the cipher from `keys`: the first encrypts, every one of them decrypts.

    Raises ImproperlyConfigured, which never repeats a key, when there is none or one is malformed.
    """
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS holds no key: make one with `python -m vault`")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS: each key is 32 bytes in URL-safe base64; make one with `python -m vault`"
        ) from error


def fingerprint(key: str) -> str:
    """A name for a key that tells nothing about it."""
    return hashlib.sha256(key.encode("ascii")).hexdigest()[:16]


@lru_cache(maxsize=1)
def cipher() -> MultiFernet:
    """The process's cipher, from settings.FIELD_ENCRYPTION_KEYS."""
    return parse_keys(settings.FIELD_ENCRYPTION_KEYS)
