"""A campaign's keywords, and how they are compared with messages."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from campaigns.models import Campaign
from parser.keywords.checks import check_keyword


class Keyword(models.Model):
    """What to look for in messages, in the language of `parser.keywords.grammar`.

    A message with a minus keyword never matches, however many plus keywords it contains.
    """

    class Kind(models.TextChoices):
        PLUS = "plus", "Match"
        MINUS = "minus", "Exclude"

    campaign = models.ForeignKey(Campaign, on_delete=models.CASCADE, related_name="keywords")
    kind = models.CharField(
        max_length=5,
        choices=Kind,
        default=Kind.PLUS,
        help_text="Match: a message with this keyword is a hit. Exclude: a message with this keyword is never a hit.",
    )
    text = models.CharField(
        max_length=400,
        validators=[check_keyword],
        help_text="A word or phrase with all its grammatical forms. Also: “exact form” in straight quotation marks, "
        "begin*, near ~3 words, (one | other) word, word -without, #hashtag, @name.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "kind", "text"],
                name="one_keyword_per_text",
                violation_error_message="The campaign already has this keyword.",
            ),
        ]

    def __str__(self) -> str:
        return f"{'−' if self.kind == self.Kind.MINUS else ''}{self.text}"


class MatchingSettings(models.Model):
    """How a campaign's keywords are compared with messages. A campaign without this row has the default values."""

    campaign = models.OneToOneField(Campaign, on_delete=models.CASCADE, related_name="matching_settings")
    languages = ArrayField(
        models.CharField(max_length=8),
        default=list,
        blank=True,
        help_text="The languages of the keywords. Empty: each word is looked up in all dictionaries of its alphabet.",
    )
    ignore_diacritics = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Treat letters with and without diacritics as equal: café and cafe, ö and o.",
    )

    class Meta:
        verbose_name = "matching settings"
        verbose_name_plural = "matching settings"

    def __str__(self) -> str:
        return f"matching settings of {self.campaign}"
