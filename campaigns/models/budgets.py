"""Budgets: limits for messages and new contacts."""

from django.db import models
from django.db.models import Q

from campaigns.models.purposes import Purpose
from campaigns.policy.duration_limits import YEAR, at_most


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
