"""Campaigns, their chats, and the permissions, suppressions and budgets that the gate checks."""

import uuid
from datetime import datetime

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower, Now

from campaigns.policy.disclosure import validate_locale
from campaigns.policy.duration_limits import HOUR, WEEK, YEAR, at_most
from campaigns.policy.quiet_hours import validate_time_zone
from vault.fields import EncryptedTextField

# Bytes. A scanned letter or a screenshot is smaller; operators give a link to anything larger.
EVIDENCE_MOST_BYTES = 5 * 1024 * 1024
# The campaign form shows this too, next to the field.
BOTH_ENDS = "Quiet hours need both ends, or none."
# The chat form shows this too: it checks for an existing permission itself.
ONE_PERMISSION = (
    "One for this purpose is on record: revoke it, or record the new one under Permissions, which ends the old one."
)
# The suppression form checks this before the database does, because the form can show more details.
SUPPRESSED_ALREADY = "Nobody writes to this person already."
NOBODY_NAMED = "Whom? Give the Telegram id, or the username if you do not know the id."


class Purpose(models.TextChoices):
    """What a message is for. Permissions and budgets apply to a purpose."""

    SCRIPT = "script"
    FIRST_CONTACT = "first_contact"
    REPLY = "reply"
    OPERATOR = "operator"


class Campaign(models.Model):
    class State(models.TextChoices):
        DRAFT = "draft"
        RUNNING = "running"
        PAUSED = "paused"
        FINISHED = "finished"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[validate_time_zone],
        help_text="IANA name, for quiet hours: Europe/Berlin",
    )
    locale = models.CharField(
        max_length=8,
        default="en",
        validators=[validate_locale],
        help_text="Language of the first contact: en or ru",
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="Local time; no scripts and first contacts from here"
    )
    quiet_to = models.TimeField(null=True, blank=True, help_text="Local time at which quiet hours end")
    first_contact_interval_seconds = models.PositiveIntegerField(
        default=60, validators=[at_most(WEEK, "a week")], help_text="Seconds between a hit and the first contact"
    )
    reply_quiet_seconds = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0), at_most(HOUR, "an hour")],
        help_text="Seconds of silence after a lead's last message before the LLM answers all of them",
    )
    first_contact_template = models.TextField(
        blank=True,
        default="",
        help_text="Says who writes, that an AI writes it, and how to stop. Spintax is allowed",
    )
    llm_model = models.CharField(max_length=100, blank=True, default="", help_text="Empty: OPENAI_MODEL")
    llm_brief = models.TextField(blank=True, default="", help_text="What the LLM knows of the service it offers")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_to__isnull=True)
                | Q(quiet_from__isnull=False, quiet_to__isnull=False),
                name="quiet_hours_have_both_ends",
                violation_error_message=BOTH_ENDS,
            ),
        ]

    def __str__(self) -> str:
        return self.name


# The value of `Chat.reference_leads_to` for a chat that none of the team's accounts is in.
UNSEEN_CHAT = 0


class Chat(models.Model):
    """A Telegram group or supergroup that the team works in."""

    class Kind(models.TextChoices):
        UNKNOWN = "unknown"
        GROUP = "group"
        SUPERGROUP = "supergroup"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.SlugField(unique=True, help_text="The chat's name in seed files")
    reference = models.CharField(
        max_length=200,
        unique=True,
        help_text="@username, an invite link, or the marked id (-100…, or -… for groups). When you change it, an "
        "account has to confirm that it leads to the same chat",
    )
    telegram_id = models.BigIntegerField(null=True, blank=True, unique=True, help_text="Marked id, once resolved")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.UNKNOWN)
    upgraded_from_id = models.BigIntegerField(
        null=True, blank=True, unique=True, help_text="Marked id of the basic group that it was"
    )
    upgraded_at = models.DateTimeField(null=True, blank=True, help_text="When the supergroup was first seen")
    reference_changed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When you changed the reference; empty once an account has confirmed that it leads to the same chat",
    )
    reference_leads_to = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Marked id of another chat, to which the reference led at the last look; 0: no account sees its id",
    )
    title = models.CharField(max_length=200, blank=True, default="")
    label = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="What tells the chat's members that scripts play here",
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(upgraded_from_id__isnull=True, upgraded_at__isnull=True)
                | Q(upgraded_from_id__isnull=False, upgraded_at__isnull=False, telegram_id__isnull=False),
                name="upgraded_chats_have_both_ids",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reference_changed_at"],
                name="references_to_confirm",
                condition=Q(reference_changed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.title or self.reference

    @property
    def telegram_ids(self) -> set[int]:
        """The chat's current marked id, and its former one if it was a basic group."""
        return {telegram_id for telegram_id in (self.telegram_id, self.upgraded_from_id) if telegram_id is not None}

    def telegram_id_at(self, moment: datetime) -> int | None:
        """The marked id to which messages went at `moment` (a time of the database's clock)."""
        before = self.upgraded_at is not None and moment < self.upgraded_at
        return self.upgraded_from_id if before else self.telegram_id


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


class Suppression(models.Model):
    """A person whom no bot writes to again, in any campaign.

    A suppression applies to a Telegram id. If an operator entered only a username, it applies to any person who has
    that username until it is known whose it is; from then on it applies to that id, and the username is only a note.
    For an erased person only `person_hash` is left (`campaigns.suppressions.hashing`).
    """

    class Source(models.TextChoices):
        WORDS = "words", "Said stop"
        BLOCK = "block", "Blocked an account of ours"
        LLM = "llm", "The LLM understood a refusal"
        OPERATOR = "operator", "Entered by an operator"
        IMPORT = "import", "Imported"
        ERASURE = "erasure", "Asked for erasure"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    telegram_user_id = models.BigIntegerField(null=True, blank=True)
    username = models.CharField(max_length=64, blank=True, default="", help_text="Without @")
    person_hash = models.CharField(max_length=64, blank=True, default="", editable=False)
    source = models.CharField(max_length=12, choices=Source)
    reason = models.CharField(max_length=300, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="When a name that was entered got its id")
    resolved_by = models.CharField(max_length=60, blank=True, default="", help_text="What told whose name it is")
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
        return "key of the hashes"


class Budget(models.Model):
    """At most `limit` messages, or new contacts, in any `window_seconds`, counted from the ledger of deliveries.

    `key` names one object of the scope (a campaign's, bot's or chat's UUID, a peer's Telegram id as text). With an
    empty key the budget applies to every object of the scope, each counted separately. With an empty purpose messages
    of every purpose count. The team scope is the whole installation.
    """

    class Scope(models.TextChoices):
        TEAM = "team"
        CAMPAIGN = "campaign"
        BOT = "bot"
        CHAT = "chat"
        PEER = "peer"

    class Counts(models.TextChoices):
        MESSAGES = "messages"
        NEW_CONTACTS = "new_contacts", "New contacts: first messages of a bot to a person"

    scope = models.CharField(max_length=10, choices=Scope)
    key = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text=(
            "Which one: a campaign's slug, a bot's or chat's key, or its id; a person's Telegram id. "
            "Empty: each of them by itself"
        ),
    )
    purpose = models.CharField(max_length=16, choices=Purpose, blank=True, default="")
    counts = models.CharField(
        max_length=16,
        choices=Counts,
        default=Counts.MESSAGES,
        db_default=Counts.MESSAGES,
        help_text="New contacts: only what opens a direct chat counts; a reply to who wrote first does not",
    )
    limit = models.PositiveIntegerField()
    window_seconds = models.PositiveIntegerField(validators=[at_most(YEAR, "a year")])

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "key", "purpose", "counts", "window_seconds"],
                name="one_budget_per_window",
                violation_error_message="One of this scope, key, purpose, counts and window exists: change its limit.",
            ),
            models.CheckConstraint(
                condition=Q(window_seconds__gt=0),
                name="budget_window_positive",
                violation_error_message="A window lasts a second at least.",
            ),
            models.CheckConstraint(
                condition=Q(counts="messages") | Q(scope__in=["team", "campaign", "bot"]),
                name="new_contacts_are_of_a_bot_or_more",
                violation_error_message="New contacts are counted for the team, a campaign or a bot.",
            ),
        ]
        # A claim looks up the budgets of the objects that its deliveries concern, in every scope.
        indexes = [models.Index(fields=["key"], name="budgets_of_key")]

    def __str__(self) -> str:
        counted = self.counts.replace("_", " ")
        named = " ".join(filter(None, [self.scope, self.key, self.purpose]))
        return f"{named}: {self.limit} {counted} in {self.window_seconds} s"
