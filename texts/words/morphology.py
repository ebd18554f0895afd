"""Forms of Russian and Ukrainian words, by pymorphy3."""

import threading
from collections.abc import Iterable
from typing import Any

import pymorphy3

from texts.words.folding import fold

# An unknown word is parsed by analogy, in many ways. Less likely ones are left out.
_LEAST_SCORE = 0.02
_MOST_GUESSES = 8


class Morphology:
    """The words of one language. Thread-safe."""

    def __init__(self, code: str) -> None:
        self._analyzer: Any = pymorphy3.MorphAnalyzer(lang=code)

    def knows(self, word: str) -> bool:
        return bool(self._analyzer.word_is_known(word))

    def forms(self, word: str) -> frozenset[str]:
        """The forms that share a lemma with the folded word; none if the dictionary does not contain it."""
        return self._lexemes(self._analyzer.parse(word)) if self.knows(word) else frozenset()

    def likely_forms(self, word: str) -> frozenset[str]:
        """The forms of a folded word that the dictionary does not contain, after words that look like it."""
        parses = [parse for parse in self._analyzer.parse(word) if parse.score >= _LEAST_SCORE]
        return self._lexemes(parses[:_MOST_GUESSES])

    def _lexemes(self, parses: Iterable[Any]) -> frozenset[str]:
        """All forms of the parsed words. Cases of one word are parses of their own, with the same forms."""
        lexemes = {(parse.normal_form, parse.methods_stack[0][-2]): parse for parse in parses}
        forms = {fold(form.word) for parse in lexemes.values() for form in parse.lexeme}
        # Many write г for the Ukrainian ґ.
        return frozenset(forms.union(form.replace("ґ", "г") for form in forms if "ґ" in form))


_loaded: dict[str, Morphology] = {}
_loading = threading.Lock()


def morphology(code: str) -> Morphology:
    """The words of Russian (`ru`) or Ukrainian (`uk`), loaded at the first need."""
    known = _loaded.get(code)
    if known is None:
        with _loading:
            known = _loaded.get(code) or Morphology(code)
            _loaded[code] = known
    return known
