"""Tries a list of keywords on texts, without storing anything."""

from collections.abc import Iterable
from uuid import UUID

from parser.keywords.compiling import KeywordSet, Term, compile_known_terms
from parser.keywords.explaining import Explanation, explain
from parser.keywords.index import KeywordIndex
from parser.lab.keyword_lists import ListedKeyword
from parser.models import MatchingSettings

_ONLY = 0


class Trial:
    """A compiled list of keywords, with the campaign's matching settings."""

    def __init__(
        self, keywords: Iterable[ListedKeyword], *, campaign_id: UUID, settings: MatchingSettings | None = None
    ) -> None:
        """`settings` take the place of the campaign's stored ones."""
        self.keywords = compiled(keywords, settings or stored_settings(campaign_id=campaign_id))
        self._index: KeywordIndex[int] = KeywordIndex()
        self._index.put(_ONLY, self.keywords)

    def hit(self, text: str) -> bool:
        """Whether a message with this text would be a hit."""
        return bool(self._index.match(text, {_ONLY}))

    def explain(self, text: str) -> Explanation:
        return explain(text, self.keywords)


def stored_settings(*, campaign_id: UUID) -> MatchingSettings:
    return MatchingSettings.objects.filter(campaign_id=campaign_id).first() or MatchingSettings()


def compiled(keywords: Iterable[ListedKeyword], settings: MatchingSettings) -> KeywordSet:
    """The keywords with these settings, without those that cannot be read."""
    terms = [Term(keyword.text, minus=keyword.minus) for keyword in keywords]
    return compile_known_terms(terms, settings.languages, ignore_diacritics=settings.ignore_diacritics)
