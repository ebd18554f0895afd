"""The check of a keyword before it is stored."""

from django.core.exceptions import ValidationError

from parser.keywords.compiling import check_term
from parser.keywords.syntax import KeywordError


def check_keyword(text: str) -> None:
    """Raises ValidationError, with the column, if the keyword cannot be read or can never match."""
    try:
        check_term(text)
    except KeywordError as problem:
        raise ValidationError(str(problem)) from None
