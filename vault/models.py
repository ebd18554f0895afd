"""Which keys have written to this database."""

from django.db import models
from django.db.models.functions import Now


class KeyInUse(models.Model):
    """A key that encrypted values here. `probe` is a token of its own: whoever holds the key can read it.

    The row stays until `rotate_keys` has found nothing written with that key any more.
    """

    fingerprint = models.CharField(max_length=16, primary_key=True, help_text="The beginning of the key's SHA-256")
    probe = models.TextField()
    since = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "keys in use"

    def __str__(self) -> str:
        return self.fingerprint
