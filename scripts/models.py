"""Scripts, their assignments to campaigns, and the plays of assignments in chats."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from bots.models import Bot, Delivery
from campaigns.models import Campaign, Chat
from campaigns.policy.duration_limits import WEEK, at_most
from panelkit.labels import short_choice

# The states of assignments that have not ended. A script has at most one such assignment in a campaign.
OPEN_STATES = ("draft", "active", "playing", "paused")
# The constraint's message. The assignment form checks for an existing assignment before and shows the same message.
ONE_OPEN_ASSIGNMENT = "The script already has an assignment in this campaign that has not ended."


class Script(models.Model):
    """A dialogue. Each of its lines belongs to a slot."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """A part in a script. Each assignment chooses a bot for it."""

    script = models.ForeignKey(Script, on_delete=models.CASCADE, related_name="slots")
    name = models.CharField(max_length=50)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["script", "name"],
                name="one_slot_per_name",
                violation_error_message="The script already has a slot with this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Line(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    script = models.ForeignKey(Script, on_delete=models.CASCADE, related_name="lines")
    key = models.CharField(max_length=50, help_text="The line's name within the script. Seed files use it in reply_to.")
    position = models.PositiveIntegerField(help_text="The lines are sent in the order of their positions.")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="lines")
    text = models.TextField(
        help_text="{a|b} becomes a or b, and may be nested. Write \\{, \\| or \\} for the character itself."
    )
    reply_to = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="replies",
        help_text="An earlier line. If that line is not sent, this line is not sent either.",
    )
    delay_seconds = models.FloatField(
        default=5.0,
        validators=[MinValueValidator(0), at_most(WEEK, "a week")],
        help_text="Seconds between the previous line and this line",
    )

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(
                fields=["script", "key"],
                name="one_line_per_key",
                violation_error_message="The script already has a line with this key.",
            ),
            models.UniqueConstraint(
                fields=["script", "position"],
                name="one_line_per_position",
                deferrable=models.Deferrable.DEFERRED,
                violation_error_message="The script already has a line at this position.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.text[:60]}"


class Assignment(models.Model):
    """A script assigned to a campaign, with cast and target chats. Operators activate, pause and stop it as a whole."""

    class State(models.TextChoices):
        DRAFT = "draft"
        ACTIVE = "active", "Active: waiting to be prepared"
        PLAYING = "playing"
        PAUSED = "paused"
        FINISHED = "finished"
        FAILED = "failed"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="assignments")
    script = models.ForeignKey(Script, on_delete=models.PROTECT, related_name="assignments")
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    state_reason = models.CharField(max_length=300, blank=True, default="")
    seed = models.BigIntegerField(
        default=0,
        help_text="Determines which variant of each line is sent: the same seed gives the same texts again. "
        "0: a seed is chosen when you activate the assignment.",
    )
    snapshot = models.JSONField(null=True, blank=True, help_text="The script's lines at the activation")
    activated_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    supervised_at = models.DateTimeField(
        "monitored since", null=True, blank=True, help_text="When the watchdog began to monitor the assignment"
    )
    incident = models.CharField(max_length=300, blank=True, default="", help_text="The watchdog's latest report")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "scripts_scriptforcampaign"
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "script"],
                name="one_open_assignment_per_campaign",
                condition=Q(state__in=OPEN_STATES),
                violation_error_message=ONE_OPEN_ASSIGNMENT,
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["active", "playing", "paused"]) | Q(snapshot__isnull=False),
                name="what_plays_has_a_snapshot",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=OPEN_STATES) | Q(finished_at__isnull=True),
                name="what_plays_has_not_finished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.script} in {self.campaign}"

    @property
    def state_name(self) -> str:
        """The state as a word for sentences, without the explanation that its label contains."""
        return short_choice(self.get_state_display()).lower()


class Casting(models.Model):
    """The bot that plays a slot in an assignment."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="cast", db_column="sfc_id")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="castings")
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="castings", verbose_name="account")

    class Meta:
        verbose_name = "cast member"
        verbose_name_plural = "cast"
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "slot"],
                name="one_bot_per_slot",
                violation_error_message="This slot already has an account.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slot}: {self.bot}"


class Target(models.Model):
    """A chat in which an assignment is played."""

    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="targets", db_column="sfc_id")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="targeted_by")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["assignment", "chat"],
                name="one_target_per_chat",
                violation_error_message="This chat is already a target of the assignment.",
            ),
        ]

    def __str__(self) -> str:
        return str(self.chat)


class Play(models.Model):
    """The performance of an assignment in one chat."""

    class State(models.TextChoices):
        PLAYING = "playing"
        PAUSED = "paused"
        FINISHED = "finished"
        FAILED = "failed"
        STOPPED = "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    assignment = models.ForeignKey(Assignment, on_delete=models.CASCADE, related_name="plays", db_column="sfc_id")
    chat = models.ForeignKey(Chat, on_delete=models.PROTECT, related_name="plays")
    state = models.CharField(max_length=10, choices=State, default=State.PLAYING)
    state_reason = models.CharField(max_length=300, blank=True, default="")
    started_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True, blank=True)
    progressed_at = models.DateTimeField(
        "last progress at", db_default=Now(), help_text="When a line was last sent or skipped"
    )
    incident = models.CharField(max_length=300, blank=True, default="", help_text="Why the play makes no progress now")

    class Meta:
        db_table = "scripts_run"
        constraints = [models.UniqueConstraint(fields=["assignment", "chat"], name="one_run_per_chat")]
        indexes = [
            models.Index(fields=["assignment"], name="runs_alive", condition=Q(state__in=["playing", "paused"])),
            models.Index(fields=["-started_at"], name="runs_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.assignment} in {self.chat}"


class Step(models.Model):
    """One line of a play. Its text is fixed: the variant of the spintax was chosen when the play was prepared."""

    class State(models.TextChoices):
        # The last two were renamed; their stored values were not.
        PENDING = "pending"
        QUEUED = "queued", "Queued: the line is waiting to be sent"
        SENT = "said", "Sent"
        NOT_SENT = "not_said", "Not sent"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    play = models.ForeignKey(Play, on_delete=models.CASCADE, related_name="steps", db_column="run_id")
    line_id = models.UUIDField(help_text="The script's line, which may have been changed or deleted since")
    position = models.PositiveIntegerField()
    slot_name = models.CharField(max_length=50)
    bot = models.ForeignKey(Bot, on_delete=models.PROTECT, related_name="steps", verbose_name="account")
    text = models.TextField(help_text="The variant that was chosen for this play")
    reply_to = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="replies")
    delay_seconds = models.FloatField(help_text="Seconds between the previous line and this line")
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    reason = models.CharField(max_length=300, blank=True, default="")
    delivery = models.OneToOneField(Delivery, on_delete=models.PROTECT, null=True, blank=True, related_name="step")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["play", "position"], name="one_step_per_position"),
            models.CheckConstraint(
                condition=~Q(state__in=["queued", "said"]) | Q(delivery__isnull=False),
                name="a_spoken_step_has_a_delivery",
            ),
        ]
        indexes = [models.Index(fields=["bot"], name="steps_to_come", condition=Q(state__in=["pending", "queued"]))]

    def __str__(self) -> str:
        return f"{self.position}. {self.slot_name}: {self.text[:60]}"
