"""Budgets: limits for messages and new contacts."""

from django.db import models
from django.db.models import Q

from campaigns.models.purposes import Purpose
from campaigns.policy.duration_limits import YEAR, at_most


class Budget(models.Model):
    """A limit of messages or new contacts in any period of `window_seconds`, counted from the ledger of deliveries.

    `key` identifies one object of the scope (a campaign's, bot's or chat's UUID, a peer's Telegram id as text). With an
    empty key the budget applies to every object of the scope, and each object is counted separately. If the purpose is
    empty, messages of every purpose count. The scope `team` is the whole installation.
    """

    class Scope(models.TextChoices):
        TEAM = "team"
        CAMPAIGN = "campaign"
        BOT = "bot", "Account"
        CHAT = "chat"
        PEER = "peer", "Person"

    class Counts(models.TextChoices):
        MESSAGES = "messages"
        NEW_CONTACTS = "new_contacts", "New contacts: first messages of an account to a person"

    scope = models.CharField(max_length=10, choices=Scope)
    key = models.CharField(
        max_length=64,
        blank=True,
        default="",
        help_text=(
            "Enter a campaign's slug, the key of an account or a chat, the id of any of these, or a person's Telegram "
            "id. If empty, the budget applies to each object of the scope separately"
        ),
    )
    purpose = models.CharField(
        max_length=16, choices=Purpose, blank=True, default="", help_text="If empty, messages of every purpose count"
    )
    counts = models.CharField(
        max_length=16,
        choices=Counts,
        default=Counts.MESSAGES,
        db_default=Counts.MESSAGES,
        help_text="New contacts are messages that open a direct chat; replies to people who wrote first do not count",
    )
    limit = models.PositiveIntegerField(help_text="The maximum number of messages or new contacts in the window")
    window_seconds = models.PositiveIntegerField(
        "window (seconds)",
        validators=[at_most(YEAR, "a year")],
        help_text="Length of the window: 3600 seconds are an hour, 86400 a day",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["scope", "key", "purpose", "counts", "window_seconds"],
                name="one_budget_per_window",
                violation_error_message="A budget with this scope, key, purpose, counts and window exists: change "
                "its limit.",
            ),
            models.CheckConstraint(
                condition=Q(window_seconds__gt=0),
                name="budget_window_positive",
                violation_error_message="The window must be at least 1 second long.",
            ),
            models.CheckConstraint(
                condition=Q(counts="messages") | Q(scope__in=["team", "campaign", "bot"]),
                name="new_contacts_are_of_a_bot_or_more",
                violation_error_message="New contacts can only be counted for the team, a campaign or an account.",
            ),
        ]
        # A claim looks up the budgets of the objects that its deliveries concern, in every scope.
        indexes = [models.Index(fields=["key"], name="budgets_of_key")]

    def __str__(self) -> str:
        counted = self.counts.replace("_", " ")
        named = " ".join(filter(None, [self.scope, self.key, self.purpose]))
        return f"{named}: {self.limit} {counted} in {self.window_seconds} s"
