"""The second look at hits: a campaign's settings, and the verdict on each of its hits."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxLengthValidator, MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from campaigns.models import Campaign
from parser.models.hits import Hit

INSTRUCTIONS_MISSING = "Describe what a good lead is: the LLM judges hits by this text."


class SecondLook(models.Model):
    """What a campaign checks before it contacts the author of a hit. Without this row nothing is checked.

    `spent_tokens` counts the tokens of the day `spent_on`, a day in the campaign's time zone.
    """

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="second_look")
    enabled = models.BooleanField(
        default=False, db_default=False, help_text="Check each new hit. If this is off, all hits become leads at once."
    )
    least_words = models.PositiveSmallIntegerField(
        default=3, help_text="Reject messages with fewer words. 0: no lower limit"
    )
    most_characters = models.PositiveIntegerField(
        default=1500, help_text="Reject messages with more characters. 0: no upper limit"
    )
    most_links = models.PositiveSmallIntegerField(
        null=True, blank=True, default=1, help_text="Reject messages with more links. Empty: any number of links"
    )
    blocked_senders = ArrayField(
        models.CharField(max_length=64),
        default=list,
        blank=True,
        help_text="Reject messages of these people: Telegram ids or @usernames, separated by commas",
    )
    advert_chats = models.PositiveSmallIntegerField(
        "chats of an advertisement",
        default=4,
        validators=[MaxValueValidator(1000)],
        help_text="Reject a message if nearly the same text was a hit in this many chats within 7 days, this chat "
        "included. 0: do not compare texts",
    )
    use_llm = models.BooleanField(
        "ask the LLM",
        default=False,
        db_default=False,
        help_text="Let the LLM judge hits that the rules above do not reject",
    )
    instructions = models.TextField(
        "a good lead",
        blank=True,
        default="",
        validators=[MaxLengthValidator(5000)],
        help_text="Tell the LLM what a good lead is, what is not, and give examples",
    )
    least_score = models.PositiveSmallIntegerField(
        default=60,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="The LLM's score, from 0 to 100, from which a hit becomes a lead",
    )
    daily_tokens = models.PositiveIntegerField(
        "tokens per day",
        default=200_000,
        help_text="Limit of the cost: when the LLM has used this many tokens in a day, further hits of the day wait "
        "for an operator. A hit takes about 500 tokens",
    )
    spent_on = models.DateField(null=True, blank=True, editable=False)
    spent_tokens = models.BigIntegerField("tokens spent", default=0, db_default=0, editable=False)
    notified_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the team was last notified that hits wait for an operator",
    )

    class Meta:
        verbose_name = "second look"
        verbose_name_plural = "second looks"
        constraints = [
            models.CheckConstraint(
                condition=Q(use_llm=False) | ~Q(instructions=""),
                name="llm_has_instructions",
                violation_error_message=INSTRUCTIONS_MISSING,
            ),
        ]

    def __str__(self) -> str:
        return f"second look of {self.campaign}"


class HitLook(models.Model):
    """The second look at one hit. The hit's event is published when the state becomes `passed`.

    `digest` and `simhash` are the fingerprint of the text (`parser.second_look.texts`); `simhash` only for long texts.
    `dispatched_at` is when a task was last sent. Until `claimed_until` no other task asks the LLM about this hit.
    """

    class State(models.TextChoices):
        DUE = "due", "Due: the LLM is asked"
        WAITING = "waiting", "Waiting for an operator"
        PASSED = "passed"
        REJECTED = "rejected"

    class Judge(models.TextChoices):
        RULES = "rules"
        LLM = "llm", "LLM"
        OPERATOR = "operator"

    class Rule(models.TextChoices):
        TOO_SHORT = "too_short", "Too short"
        TOO_LONG = "too_long", "Too long"
        LINKS = "links", "Too many links"
        SENDER = "sender", "Blocked sender"
        ADVERT = "advert", "Advertisement"

    hit = models.OneToOneField(Hit, on_delete=models.CASCADE, primary_key=True, related_name="look")
    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="looks", db_index=False)
    state = models.CharField(max_length=8, choices=State)
    judge = models.CharField(
        max_length=8, choices=Judge, blank=True, default="", verbose_name="decided by", help_text="Empty: not decided"
    )
    rule = models.CharField(max_length=10, choices=Rule, blank=True, default="", help_text="The rule that rejected it")
    reason = models.CharField(max_length=300, blank=True, default="")
    score = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The LLM's score, from 0 to 100")
    operator = models.CharField(max_length=150, blank=True, default="", help_text="The operator who decided")
    decided_at = models.DateTimeField(null=True, blank=True)
    digest = models.BigIntegerField(null=True, blank=True, editable=False)
    simhash = models.BigIntegerField(null=True, blank=True, editable=False)
    due_at = models.DateTimeField(null=True, blank=True)
    dispatched_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    error = models.CharField(max_length=300, blank=True, default="", help_text="Why the LLM's last attempt failed")
    prompt_tokens = models.PositiveIntegerField(default=0, db_default=0)
    completion_tokens = models.PositiveIntegerField("answer tokens", default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name = "verdict of the second look"
        verbose_name_plural = "verdicts of the second look"
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=("due", "waiting"), judge="") | Q(state__in=("passed", "rejected"), judge__gt=""),
                name="a_decision_has_a_judge",
            ),
        ]
        indexes = [
            models.Index(fields=["-created_at"], name="looks_newest"),
            models.Index(fields=["campaign", "-created_at"], name="looks_of_campaign"),
            models.Index(fields=["due_at"], name="looks_due", condition=Q(state="due")),
            models.Index(fields=["-created_at"], name="looks_waiting", condition=Q(state="waiting")),
            models.Index(fields=["digest", "created_at"], name="looks_same_text"),
            # Read by itself: a search for similar texts compares the fingerprints of 7 days.
            models.Index(
                fields=["created_at"],
                include=["simhash", "hit"],
                name="looks_similar_text",
                condition=Q(simhash__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hit}: {self.get_state_display()}"
