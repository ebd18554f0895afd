"""How long the spans of time may be that operators enter: of a slip of the hand one would hear only when nothing had
happened for months."""

from django.core.validators import MaxValueValidator

HOUR, WEEK, YEAR = 3600, 7 * 86_400, 366 * 86_400


def at_most(seconds: int, words: str) -> MaxValueValidator:
    """The validator of a field in seconds; `words` names the longest span."""
    return MaxValueValidator(seconds, f"At most {words}: {seconds} seconds.")
