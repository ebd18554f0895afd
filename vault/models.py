"""The keys that have encrypted values in this database."""

from django.db import models
from django.db.models.functions import Now


class KeyInUse(models.Model):
    """A key that has encrypted values here. `probe` is a token that only this key decrypts.

    The row stays until `rotate_keys` finds no value that this key has encrypted.
    """

    fingerprint = models.CharField(max_length=16, primary_key=True, help_text="The beginning of the key's SHA-256")
    probe = models.TextField()
    since = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "keys in use"

    def __str__(self) -> str:
        return self.fingerprint
