"""The check of a keyword before it is stored."""

from django.core.exceptions import ValidationError

from parser.keywords.compiling import check_term
from parser.keywords.syntax import KeywordError


def check_keyword(text: str) -> None:
    """Raises ValidationError if the keyword cannot be read or can never match."""
    if problem := keyword_problem(text):
        raise ValidationError(problem)


def keyword_problem(text: str) -> str:
    """Why the keyword cannot be read or can never match, with the column; "" if it is fine."""
    try:
        check_term(text)
    except KeywordError as problem:
        return str(problem)
    return ""
