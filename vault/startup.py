"""The check of the keys that every process makes before it uses secrets."""

import logging

from django.db import Error as DatabaseFailure
from django.db import ProgrammingError, connection

from vault.keyring import key_remember, unreadable

log = logging.getLogger(__name__)


def problem() -> str:
    """A line that names the missing keys; empty if none is missing.

    Also empty if the database is unreachable or not migrated yet: other checks report that.
    """
    try:
        lost = unreadable()
        if not lost:
            key_remember()
    except ProgrammingError:
        return ""
    except DatabaseFailure as error:
        log.warning("could not check FIELD_ENCRYPTION_KEYS against the database: %s", type(error).__name__)
        return ""
    finally:
        if not connection.in_atomic_block:
            connection.close()
    if not lost:
        return ""
    return (
        "configuration: FIELD_ENCRYPTION_KEYS lacks a key that has encrypted values in this database "
        f"({', '.join(lost)} cannot be decrypted): add this key after the first key; after `manage.py rotate_keys` "
        "it is not needed any more"
    )


def exit_unless_readable() -> None:
    """End the process with the line of `problem` if a key is missing."""
    if line := problem():
        raise SystemExit(line)
