"""Forms of words of the languages with a word table."""

from texts.words.spanish import with_pronouns
from texts.words.tables import table

# A group of forms is completed with the endings of similar words if it has at least this share of them, and they are at
# least this share of the group: then only forms are missing, and the word is not one of another kind.
_HAS, _EXPLAINS = 0.5, 0.7
# In English the forms that are missing are words of their own, such as "marketing" and "building".
_APART = frozenset(["en"])


class DictionaryWords:
    """The words of one language. Thread-safe."""

    def __init__(self, code: str) -> None:
        """Raises `texts.words.tables.TableUnavailable`."""
        self._code = code
        self._table = table(code)

    def knows(self, word: str) -> bool:
        return self._table.knows(word)

    def forms(self, word: str) -> frozenset[str]:
        """The forms that share a lemma with the folded word; none if the table does not contain it."""
        known = self._table.forms(word)
        return self._with_pronouns(known | self._missing(word, known)) if known else known

    def likely_forms(self, word: str) -> frozenset[str]:
        """The forms of a folded word that the table does not contain, after the words that end like it."""
        return self._with_pronouns(self._table.endings.forms(word))

    def _missing(self, word: str, known: frozenset[str]) -> frozenset[str]:
        """Forms that the dictionary leaves out or gives a lemma of their own, such as French participles."""
        if self._code in _APART:
            return frozenset()
        likely = self._table.endings.forms(word)
        if len(known) == 1:
            return frozenset(form for form in likely if not self._table.knows(form))
        agreeing = len(likely & known)
        return likely if agreeing >= max(_HAS * len(likely), _EXPLAINS * len(known)) else frozenset()

    def _with_pronouns(self, forms: frozenset[str]) -> frozenset[str]:
        return with_pronouns(forms) if self._code == "es" else forms
