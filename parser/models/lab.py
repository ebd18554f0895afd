"""What operators think of hits, the texts that keywords are tried on, and the history of keywords."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import MD5, Now

from campaigns.models import Campaign
from parser.models.hits import Hit


class Verdict(models.Model):
    """An operator's opinion of a hit. A hit has one verdict at most; a later one replaces it."""

    class Value(models.TextChoices):
        GOOD = "good", "Good"
        NOT_FOR_US = "not_for_us", "Not for us"
        SPAM = "spam", "Spam"
        COMPETITOR = "competitor", "Competitor"

    hit = models.OneToOneField(Hit, on_delete=models.CASCADE, related_name="verdict")
    value = models.CharField("verdict", max_length=10, choices=Value)
    by = models.CharField(max_length=150, help_text="The user who gave the verdict")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.get_value_display()}: {self.hit}"


class GoldenText(models.Model):
    """A text, and whether the campaign's keywords are to match it.

    `telegram_user_id` is the author of the hit that the text comes from, so that the text can be erased with the
    author's other data.
    """

    class Source(models.TextChoices):
        VERDICT = "verdict", "A verdict"
        HAND = "hand", "By hand"
        FILE = "file", "A file"
        SEED = "seed", "The seed file"

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="golden_texts")
    text = models.TextField(help_text="A message as people write it in chats")
    wanted = models.BooleanField(
        "wanted as a hit", default=True, help_text="Tick the box if the keywords have to match this text."
    )
    source = models.CharField(max_length=7, choices=Source, default=Source.HAND, editable=False)
    telegram_user_id = models.BigIntegerField(null=True, blank=True, editable=False)
    by = models.CharField(max_length=150, blank=True, default="", editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "campaign",
                MD5("text"),
                name="one_golden_text_per_campaign",
                violation_error_message="The campaign's golden set already has this text.",
            ),
        ]
        indexes = [
            models.Index(
                fields=["telegram_user_id"],
                name="golden_texts_of_person",
                condition=models.Q(telegram_user_id__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        # Without the text, which the panel's history would keep after the person's data was erased.
        return f"golden text {self.pk}"


class KeywordVersion(models.Model):
    """A campaign's keywords as they were after a change.

    `keywords` is a list of objects with `kind` and `text`. `golden` is the result of the golden set with these
    keywords (`parser.lab.golden.Score.as_json`), or empty if there was no golden set.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="keyword_versions")
    number = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    keywords = models.JSONField(default=list)
    golden = models.JSONField("golden set", default=dict, blank=True)
    restored_from = models.PositiveIntegerField(
        null=True, blank=True, help_text="The number of the version that was restored"
    )
    by = models.CharField(
        max_length=150, blank=True, default="", help_text="The user who made the change; empty if it is not known"
    )
    at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "number"], name="one_keyword_version_per_number"),
        ]

    def __str__(self) -> str:
        return f"version {self.number} of the keywords of {self.campaign}"
