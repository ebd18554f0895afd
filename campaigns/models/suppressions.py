"""Suppressions: people to whom no bot writes any more."""

import uuid

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from vault.fields import EncryptedTextField

# The suppression form checks this before the database does, because the form can show more details.
SUPPRESSED_ALREADY = "This person is suppressed already."
NOBODY_NAMED = "Enter the person's Telegram id, or the username if you do not know the id."


class Suppression(models.Model):
    """A person to whom no bot writes again, in any campaign.

    A suppression applies to a Telegram id. If an operator has entered only a username, the suppression applies to
    any person with the username until the id of that person is known. From then on it applies to the id, and the
    username is only a note. For an erased person only `person_hash` is left (`campaigns.suppressions.hashing`).
    """

    class Source(models.TextChoices):
        WORDS = "words", "Asked to stop"
        BLOCK = "block", "Blocked one of our accounts"
        LLM = "llm", "Refused further messages, according to the LLM"
        OPERATOR = "operator", "Entered by an operator"
        IMPORT = "import", "Imported from a file"
        ERASURE = "erasure", "Requested the erasure of personal data"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    telegram_user_id = models.BigIntegerField(null=True, blank=True)
    username = models.CharField(max_length=64, blank=True, default="", help_text="Without @")
    person_hash = models.CharField(max_length=64, blank=True, default="", editable=False)
    source = models.CharField(max_length=12, choices=Source)
    reason = models.CharField(max_length=300, blank=True, default="")
    resolved_at = models.DateTimeField(
        null=True, blank=True, help_text="When the Telegram id of the entered username was found"
    )
    resolved_by = models.CharField(
        max_length=60, blank=True, default="", help_text="Where the Telegram id of the entered username was found"
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        # The permission is on this model because an erasure leaves a suppression and nothing else.
        permissions = [("erase_person", "Can erase a person's data in every room")]
        constraints = [
            models.UniqueConstraint(
                fields=["telegram_user_id"],
                condition=Q(telegram_user_id__isnull=False),
                name="suppressed_id_once",
                violation_error_message=SUPPRESSED_ALREADY,
            ),
            models.UniqueConstraint(
                Lower("username"),
                condition=~Q(username="") & Q(telegram_user_id__isnull=True),
                name="suppressed_name_once",
                violation_error_message=SUPPRESSED_ALREADY,
            ),
            models.UniqueConstraint(fields=["person_hash"], condition=~Q(person_hash=""), name="suppressed_hash_once"),
            models.CheckConstraint(
                condition=Q(telegram_user_id__isnull=False) | ~Q(username="") | ~Q(person_hash=""),
                name="suppression_names_somebody",
                violation_error_message=NOBODY_NAMED,
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="suppressions_newest"),
            # Includes suppressions that apply to an id: the gate preview finds them by the username noted there.
            models.Index(Lower("username"), name="suppressions_of_username", condition=~Q(username="")),
        ]

    def __str__(self) -> str:
        if self.username or self.telegram_user_id is not None:
            return f"@{self.username}" if self.username else str(self.telegram_user_id)
        return "an erased person"


class HashKey(models.Model):
    """The key of the hashes of erased people: one row, made at the first erasure."""

    key = EncryptedTextField()
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return "key of the hashes of erased people"
