"""Campaigns, with the language and the hours of each."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from campaigns.policy.disclosure import validate_locale
from campaigns.policy.duration_limits import HOUR, WEEK, at_most, at_most_units
from campaigns.policy.quiet_hours import validate_time_zone

# The campaign form shows this too, next to the field.
BOTH_ENDS = "Enter both the beginning and the end of the quiet hours, or neither."


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
        help_text="Time zone of the quiet hours: an IANA name such as Europe/Berlin",
    )
    locale = models.CharField(
        max_length=8,
        default="en",
        validators=[validate_locale],
        help_text="Language of the first contact: en or ru",
    )
    quiet_from = models.TimeField(
        "quiet hours from",
        null=True,
        blank=True,
        help_text="Local time from which no scripts and no first contacts are sent",
    )
    quiet_to = models.TimeField(
        "quiet hours until", null=True, blank=True, help_text="Local time at which the quiet hours end"
    )
    first_contact_interval_seconds = models.PositiveIntegerField(
        "first contact after (seconds)",
        default=60,
        validators=[at_most(WEEK, "a week")],
        help_text="Seconds between a hit and the first contact",
    )
    first_contact_horizon_hours = models.PositiveIntegerField(
        "first contact within (hours)",
        default=24,
        db_default=24,
        validators=[MinValueValidator(1), at_most_units(24 * 31, "31 days (744 hours)")],
        help_text="Hours after a hit within which the person is contacted automatically. Older hits, for example after "
        "an outage, are kept, and you decide about their leads",
    )
    cool_down_days = models.PositiveIntegerField(
        "cool-down of a person (days)",
        default=0,
        db_default=0,
        validators=[at_most_units(366, "366 days")],
        help_text="Days after the last message between any of your accounts and a person during which this campaign "
        "contacts the person only if you approve it. 0: no cool-down",
    )
    reply_quiet_seconds = models.FloatField(
        "reply after silence (seconds)",
        default=5.0,
        validators=[MinValueValidator(0), at_most(HOUR, "an hour")],
        help_text="Seconds without a new message from the lead before the LLM answers all unanswered messages together",
    )
    first_contact_template = models.TextField(
        blank=True,
        default="",
        help_text="First message to a lead. Name the sender, state that an AI writes the message, and explain how to "
        "opt out. You may use spintax",
    )
    llm_model = models.CharField(
        "LLM model",
        max_length=100,
        blank=True,
        default="",
        help_text="If empty, the model in the setting OPENAI_MODEL is used",
    )
    llm_brief = models.TextField(
        "LLM briefing", blank=True, default="", help_text="Describe the service that the LLM offers to leads"
    )
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
