"""Encrypts all secrets again with the first key, while other processes read and write them.

A value is replaced only if it has not changed since it was read. Values that the first key has already encrypted are
skipped, so an interrupted rotation continues where it stopped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Model

from vault.fields import EncryptedTextField
from vault.keyring import encrypted_fields, key_remember
from vault.keys import cipher, fingerprint
from vault.models import KeyInUse

# Rows read and written at once. A session has about 100 kB.
BATCH = 100
# The most rounds: other processes may go on writing with an older key.
ROUNDS = 5


@dataclass
class Rotated:
    """The result for a column. `overtaken`: values that changed meanwhile. `unreadable`: primary keys of rows that no
    configured key decrypts."""

    column: str
    seen: int = 0
    rotated: int = 0
    overtaken: int = 0
    unreadable: list[str] = field(default_factory=list)


Progress = Callable[[Rotated], object]


def rotate(*, on_progress: Progress = lambda _: None, batch: int = BATCH) -> list[Rotated]:
    """Rotate every column, and call `on_progress` after each batch.

    If afterwards all values are readable and the first key has encrypted all of them, the records of older keys are
    deleted.
    """
    done: list[Rotated] = []
    for _ in range(ROUNDS):
        done = [_rotate_column(model, column, on_progress, batch) for model, column in encrypted_fields()]
        if not any(each.rotated or each.overtaken for each in done):
            break
    else:
        return done
    if not any(each.unreadable for each in done):
        key_remember()
        others = KeyInUse.objects.exclude(fingerprint=fingerprint(settings.FIELD_ENCRYPTION_KEYS[0]))
        with transaction.atomic():
            old = list(others.order_by("pk").select_for_update().values_list("pk", flat=True))
            KeyInUse.objects.filter(pk__in=old).delete()
    return done


def _rotate_column(model: type[Model], column: EncryptedTextField, on_progress: Progress, batch: int) -> Rotated:
    result = Rotated(f"{model._meta.label}.{column.name}")
    first = Fernet(settings.FIELD_ENCRYPTION_KEYS[0])
    for rows in _batches(model, column, batch):
        changes = []
        for pk, token in rows:
            result.seen += 1
            if _decrypts(first, token):
                continue
            try:
                changes.append((cipher().rotate(token.encode("ascii")).decode("ascii"), pk, token))
            except (InvalidToken, UnicodeEncodeError):
                result.unreadable.append(str(pk))
        if changes:
            # Not before there is something to write: a key that encrypts nothing must not be required afterwards.
            key_remember()
        replaced = _replace(model, column, changes)
        result.rotated += replaced
        result.overtaken += len(changes) - replaced
        on_progress(result)
    return result


def _decrypts(key: Fernet, token: str) -> bool:
    try:
        key.decrypt(token.encode("ascii"))
    except (InvalidToken, UnicodeEncodeError):
        return False
    return True


def _batches(model: type[Model], column: EncryptedTextField, size: int) -> Iterator[list[tuple[Any, str]]]:
    """Batches of pairs of primary key and stored token, in the order of the primary keys."""
    table, name, pk = _names(model, column)
    after: Any = None
    while True:
        start = f"AND {pk} > %s" if after is not None else ""
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {pk}, {name} FROM {table} WHERE {name} <> '' {start} ORDER BY {pk} LIMIT %s",
                [size] if after is None else [after, size],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def _replace(model: type[Model], column: EncryptedTextField, changes: list[tuple[str, Any, str]]) -> int:
    table, name, pk = _names(model, column)
    replaced = 0
    with transaction.atomic(), connection.cursor() as cursor:
        for change in changes:
            cursor.execute(f"UPDATE {table} SET {name} = %s WHERE {pk} = %s AND {name} = %s", change)
            replaced += cursor.rowcount
    return replaced


def _names(model: type[Model], column: EncryptedTextField) -> tuple[str, str, str]:
    quote = connection.ops.quote_name
    return quote(model._meta.db_table), quote(str(column.column)), quote(str(model._meta.pk.column))
