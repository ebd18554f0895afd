"""Permissions of chat owners, and the files that prove them."""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from campaigns.models.chats import Chat

# Bytes. A scanned letter or a screenshot is smaller; operators give a link to anything larger.
EVIDENCE_MOST_BYTES = 5 * 1024 * 1024
# The constraint's message. The chat form checks for an existing permission before and shows the same message.
ONE_PERMISSION = (
    "A permission for this purpose is on record. Revoke it first, or record the new permission on the page "
    "Permissions: this ends the old one."
)


class ChatPermission(models.Model):
    """A permission of the chat's owner. Unless one is in force, bots neither write nor read in the chat.

    Only `campaigns.permissions.validity` decides whether a permission is in force. Records are added and ended, never
    rewritten: to extend a permission, an operator records a new one, which ends the old one.
    """

    class Grant(models.TextChoices):
        SCRIPT = "script", "Accounts post scripted lines in the chat"
        PARSE = "parse", "Accounts watch the chat for keywords"
        FIRST_CONTACT = "first_contact", "Accounts write to members directly without an operator's approval"

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="permissions")
    purpose = models.CharField(max_length=16, choices=Grant)
    granted_by = models.CharField(max_length=200, help_text="Name or account of the chat's owner")
    granted_at = models.DateTimeField(help_text="When the owner gave the permission")
    evidence = models.TextField(help_text="Where the permission is written down, or the words of the owner")
    evidence_link = models.URLField(max_length=500, blank=True, default="", help_text="Link to the evidence")
    valid_from = models.DateTimeField(
        null=True, blank=True, help_text="When the permission begins; if empty, it begins at once"
    )
    valid_until = models.DateTimeField(
        null=True, blank=True, help_text="When the permission ends; if empty, it lasts until you revoke it"
    )
    members_told = models.TextField(
        "notice to members",
        blank=True,
        default="",
        help_text="How the chat's members are informed: by a pinned message, for example, or the chat's description",
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=300, blank=True, default="")
    suspended_at = models.DateTimeField(null=True, blank=True)
    suspended_reason = models.CharField(max_length=300, blank=True, default="")
    expiry_told = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="How many days before the permission's end the team was last notified",
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
                violation_error_message="Enter the evidence: where the permission is written down, or the words of "
                "the owner.",
            ),
            models.CheckConstraint(
                condition=Q(valid_until__isnull=True)
                | Q(valid_until__gt=F("granted_at"))
                & (Q(valid_from__isnull=True) | Q(valid_until__gt=F("valid_from"))),
                name="permission_ends_after_it_begins",
                violation_error_message="The permission would end before it begins.",
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
        """When the chat's reference changed. It makes a permission usable as `campaigns.permissions.validity.Terms`."""
        return self.chat.reference_changed_at


class EvidenceFile(models.Model):
    """A file that proves a permission, such as a letter or a screenshot. A backup of the database includes it.

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
