"""Campaigns: what is offered, in which language and at which hours."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from campaigns.policy.disclosure import validate_locale
from campaigns.policy.duration_limits import HOUR, WEEK, at_most
from campaigns.policy.quiet_hours import validate_time_zone

# The campaign form shows this too, next to the field.
BOTH_ENDS = "Quiet hours need both ends, or none."


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
