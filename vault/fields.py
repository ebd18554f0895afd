"""A model field whose column holds ciphertext only."""

from typing import Any

from cryptography.fernet import InvalidToken
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.views.decorators.debug import sensitive_variables

from vault.keys import cipher


class UnreadableSecret(Exception):
    """None of the configured keys decrypts this value: FIELD_ENCRYPTION_KEYS lacks the key that encrypted it."""


class EncryptedTextField(models.TextField):
    """Text that is encrypted (Fernet) in the database and plain in Python. The empty string stays empty.

    It cannot be searched or ordered by: the same text encrypts differently each time.
    """

    @sensitive_variables()
    def get_prep_value(self, value: Any) -> Any:
        text = super().get_prep_value(value)
        return cipher().encrypt(text.encode()).decode("ascii") if text else text

    @sensitive_variables()
    def from_db_value(self, value: str | None, expression: Any, connection: BaseDatabaseWrapper) -> str | None:
        if not value:
            return value
        try:
            return cipher().decrypt(value.encode("ascii")).decode()
        except InvalidToken as error:
            raise UnreadableSecret(f"{self.model._meta.label}.{self.name} was written with another key") from error
