"""Forms of Russian and Ukrainian words, by pymorphy3."""

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pymorphy3

from texts.words.folding import fold

# An unknown word is parsed by analogy, in many ways. Less likely ones are left out.
_LEAST_SCORE = 0.02
_MOST_GUESSES = 8
_FULL_PARTICIPLE = "PRTF"
_PARTICIPLES = (_FULL_PARTICIPLE, "PRTS")


class Morphology:
    """The words of one language. Thread-safe."""

    def __init__(self, code: str) -> None:
        self._code = code
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
        forms = {fold(form) for parse in lexemes.values() for form in self._lexeme(parse)}
        # Many write г for the Ukrainian ґ.
        return frozenset(forms.union([form.replace("ґ", "г") for form in forms if "ґ" in form]))

    def _lexeme(self, parse: Any) -> Iterator[str]:
        """The forms of a parsed word. A verb and its participles are words of their own, except for short participles.

        So "любить" does not find "любимый", which halves the confusions and misses nothing.
        """
        of_participle = parse.tag.POS in _PARTICIPLES
        for form in parse.lexeme:
            part = form.tag.POS
            if part not in _PARTICIPLES if of_participle else part == _FULL_PARTICIPLE:
                continue
            yield form.word
            if self._code == "uk":
                yield from _ukrainian_gerunds(form.word, form.tag)


def _ukrainian_gerunds(form: str, tag: Any) -> tuple[str, ...]:
    """The gerunds made of this form of a verb, which the dictionary lacks: роблять → роблячи, робив → робивши."""
    if {"pres", "3per", "plur"} in tag:
        for end, gerunds in (("ть", ("чи",)), ("ться", ("чись", "чися"))):
            if form.endswith(end):
                return tuple(form.removesuffix(end) + gerund for gerund in gerunds)
    if {"masc", "past"} in tag:
        if form.endswith("вся"):
            stem = form.removesuffix("ся")
            return (f"{stem}шись", f"{stem}шися")
        return (f"{form}ши",)
    return ()


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
