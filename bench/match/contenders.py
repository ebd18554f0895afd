"""Ways to find the campaigns whose keywords are in a text: ours, and those that it is measured against."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import ahocorasick
import Stemmer

from bench.match.corpus import plain
from parser.keywords.compiling import KeywordSet
from parser.keywords.index import KeywordIndex

# A text → something that is true for each campaign found.
Match = Callable[[str], object]


def ours(sets: Iterable[KeywordSet]) -> tuple[KeywordIndex[int], frozenset[int]]:
    index: KeywordIndex[int] = KeywordIndex()
    numbers = []
    for number, keywords in enumerate(sets):
        index.put(number, keywords)
        numbers.append(number)
    return index, frozenset(numbers)


def original(keywords: Sequence[Sequence[str]]) -> Match:
    """The way that keywords are usually matched: each campaign splits the text, stems its words and intersects."""
    stemmer = Stemmer.Stemmer("russian", 0)
    stemmed = [frozenset(stemmer.stemWords(plain(" ".join(terms)))) for terms in keywords]

    def match(text: str) -> list[int]:
        found = []
        for number, stems in enumerate(stemmed):
            words = re.findall(r"\w+", text.lower())
            if stems & {stemmer.stemWord(word) for word in words}:
                found.append(number)
        return found

    return match


def alternations(keywords: Sequence[Sequence[str]]) -> Match:
    """One regular expression for each campaign: all its keywords as written, as whole words."""
    compiled = [
        re.compile(rf"\b(?:{'|'.join(re.escape(' '.join(plain(term))) for term in terms)})\b") for terms in keywords
    ]

    def match(text: str) -> list[int]:
        lower = text.lower()
        return [number for number, pattern in enumerate(compiled) if pattern.search(lower)]

    return match


def automaton(keywords: Sequence[Sequence[str]]) -> Match:
    """An Aho-Corasick automaton of all keywords as written, over the raw text: it knows neither words nor forms."""
    made = ahocorasick.Automaton()
    for number, terms in enumerate(keywords):
        for term in terms:
            text = " ".join(plain(term))
            made.add_word(text, [*made.get(text, []), number])
    made.make_automaton()

    def match(text: str) -> list[tuple[int, list[int]]]:
        return list(made.iter(text))

    return match


def automaton_campaigns(keywords: Sequence[Sequence[str]]) -> Match:
    """The same, with what ours returns: each campaign with its keywords."""
    made = ahocorasick.Automaton()
    for number, terms in enumerate(keywords):
        for term in terms:
            text = " ".join(plain(term))
            made.add_word(text, [*made.get(text, []), (number, term)])
    made.make_automaton()

    def match(text: str) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        for _, campaigns in made.iter(text):
            for number, term in campaigns:
                found[number].add(term)
        return found

    return match
