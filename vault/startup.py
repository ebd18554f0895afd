"""Asked by every process that uses secrets, before it takes any work."""

import logging

from django.db import Error as DatabaseFailure
from django.db import ProgrammingError, connection

from vault.keyring import key_remember, unreadable

log = logging.getLogger(__name__)


def problem() -> str:
    """One line that says which keys are missing; empty when all is well.

    A database that is away or not migrated yet is somebody else's matter: then nothing is said.
    """
    try:
        lost = unreadable()
        if not lost:
            key_remember()
    except ProgrammingError:
        return ""
    except DatabaseFailure as error:
        log.warning("whether FIELD_ENCRYPTION_KEYS fits the database is not known: %s", type(error).__name__)
        return ""
    finally:
        if not connection.in_atomic_block:
            connection.close()
    if not lost:
        return ""
    return (
        f"configuration: FIELD_ENCRYPTION_KEYS lacks a key that wrote to this database ({', '.join(lost)} cannot be "
        "decrypted): add it, behind the first one; `manage.py rotate_keys` makes it dispensable"
    )


def exit_unless_readable() -> None:
    """End the process with that line."""
    if line := problem():
        raise SystemExit(line)
