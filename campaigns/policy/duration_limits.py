"""Upper limits for durations: a typo would otherwise go unnoticed for months."""

from django.core.validators import MaxValueValidator

HOUR, WEEK, YEAR = 3600, 7 * 86_400, 366 * 86_400


def at_most_units(most: int, words: str) -> MaxValueValidator:
    """The validator of a field in hours or days; `words` names the longest span."""
    return MaxValueValidator(most, f"At most {words}.")


def at_most(seconds: int, words: str) -> MaxValueValidator:
    """The validator of a field in seconds; `words` names the longest span."""
    return MaxValueValidator(seconds, f"At most {words}: {seconds} seconds.")
