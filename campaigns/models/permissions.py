"""Permissions of chat owners, and the files that prove them."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from campaigns.models.chats import Chat

# Bytes. A scanned letter or a screenshot is smaller; operators give a link to anything larger.
EVIDENCE_MOST_BYTES = 5 * 1024 * 1024
# The chat form shows this too: it checks for an existing permission itself.
ONE_PERMISSION = (
    "One for this purpose is on record: revoke it, or record the new one under Permissions, which ends the old one."
)


class ChatPermission(models.Model):
    """The chat owner's permission on record. Unless a permission is in force, bots neither write nor read in the chat.

    Only `campaigns.permissions.validity` decides whether a permission is in force. Records are added and ended, never
    rewritten: to prolong a permission an operator records a new one, which ends the old one.
    """

    class Grant(models.TextChoices):
        SCRIPT = "script", "Scripted lines are posted in the chat"
        PARSE = "parse", "Messages are watched for keywords"
        FIRST_CONTACT = "first_contact", "Members may be written to directly without an operator's approval"

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="permissions")
    purpose = models.CharField(max_length=16, choices=Grant)
    granted_by = models.CharField(max_length=200, help_text="Who gave it: the owner's name or account")
    granted_at = models.DateTimeField(help_text="When it was given")
    evidence = models.TextField(help_text="Where it is written down, or its words")
    evidence_link = models.URLField(max_length=500, blank=True, default="", help_text="Where it can be read")
    valid_from = models.DateTimeField(null=True, blank=True, help_text="Not before; empty: at once")
    valid_until = models.DateTimeField(null=True, blank=True, help_text="Not from then on; empty: until it is revoked")
    members_told = models.TextField(
        blank=True, default="", help_text="How the chat's members are told: the pinned message, the description"
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=300, blank=True, default="")
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=300, blank=True, default="")
    expiry_told = models.PositiveSmallIntegerField(
        null=True, blank=True, editable=False, help_text="Days before its end at which the team was last told of it"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["chat", "purpose"],
                condition=Q(revoked_at__isnull=True),
                name="one_permission_in_force",
                violation_error_message=ONE_PERMISSION,
            ),
            models.CheckConstraint(
                condition=~Q(evidence=""),
                name="permission_has_evidence",
                violation_error_message="Say how the permission can be proved.",
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True)
                | Q(valid_until__gt=F("granted_at"))
                & (Q(valid_from__isnull=True) | Q(valid_until__gt=F("valid_from"))),
                name="permission_ends_after_it_begins",
                violation_error_message="It would end before it begins.",
            ),
            models.CheckConstraint(
                condition=Q(suspended_at__isnull=True, suspended_reason="")
                | (Q(suspended_at__isnull=False) & ~Q(suspended_reason="")),
                name="suspension_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=["valid_until"], name="permissions_ending", condition=Q(revoked_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.chat}: {self.purpose}"

    @property
    def reference_changed_at(self) -> datetime | None:
        """The chat's `reference_changed_at`, as an attribute that `campaigns.permissions.validity.Terms` has too."""
        return self.chat.reference_changed_at


class EvidenceFile(models.Model):
    """A file that proves a permission: a letter, a screenshot. A backup of the database includes it.

    `content_type` is detected from the content; `name` is the uploaded file's name without a path.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    permission = models.ForeignKey(ChatPermission, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=150)
    content_type = models.CharField(max_length=40)
    size = models.PositiveIntegerField()
    content = models.BinaryField()
    uploaded_by = models.CharField(max_length=150, blank=True, default="")
    uploaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(size__gt=0, size__lte=EVIDENCE_MOST_BYTES), name="evidence_file_size"),
        ]

    def __str__(self) -> str:
        return self.name
