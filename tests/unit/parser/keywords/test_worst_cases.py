"""Messages and keywords that are made to take long take a time that grows with their length, and no faster."""

import time
from collections.abc import Callable, Sequence

import pytest

from parser.keywords.compiling import Term, compile_terms
from parser.keywords.explaining import explain, matches_of
from parser.keywords.index import KeywordIndex

_TIMES = 8
_PHRASES = [f"alpha beta gamma word{number}" for number in range(250 * _TIMES)]
_NEAR = [" ~20 ".join(["spam"] * 8), " ~20 ".join(["a", "b"] * 8), "(spam | a) ~5 (b | spam)"]
_CASES: dict[str, Callable[[int], tuple[Sequence[str], str]]] = {
    "a long message": lambda size: (["needle", "hay ~3 straw"], "hay or straw " * 500 * size),
    "one word repeated": lambda size: (["spam spam ham", "spam spam", "spam ~3 ham"], "spam " * 1_000 * size),
    "near words": lambda size: (_NEAR, "spam a b " * 200 * size),
    "one long word": lambda size: (["ab*", "abab"], "ab" * 2_000 * size),
    "a run of signs": lambda size: (["🔥 ~2 🔥", "#tag"], "#tag@a.b-c_d/🔥" * 100 * size),
    "a chain of numbers": lambda size: (["1.1", "1"], "1." * 1_000 * size),
    "a run of links": lambda size: (["a.com", "b"], "http://a.com/@b.c," * 100 * size),
    "a run of dots and hyphens": lambda size: (["a", "b c"], "a.b-c." * 500 * size),
    "invisible characters": lambda size: (["ab"], "a\u200b\u0301b" * 1_000 * size),
    "phrases with one beginning": lambda size: (
        _PHRASES[: 250 * size],
        "alpha beta gamma " * 100 + " ".join(f"word{number}" for number in range(100)),
    ),
}


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("case", _CASES)
def test_matching_takes_linear_time(case: str):
    def cost(size: int) -> float:
        terms, text = _CASES[case](size)
        keywords = compile_terms([Term(term) for term in terms], ["kk"])
        taken = []
        for _ in range(3):
            index: KeywordIndex[int] = KeywordIndex()
            index.put(1, keywords)
            taken.append(_seconds(lambda index=index, text=text: index.match(text, {1})))  # type: ignore[misc]
        return min(taken)

    # Quadratic time would be 64 times as long. What is measured in microseconds differs by chance.
    assert cost(_TIMES) < 3 * _TIMES * cost(1) + 0.005


def test_the_reasons_of_a_hit_cost_nothing_for_keywords_that_do_not_match():
    others = [Term(f"spam ~3 word{number}") for number in range(2_000)]
    text = "spam " * 300 + "needle"

    def cost(terms: list[Term]) -> float:
        keywords = compile_terms([*terms, Term("needle")], ["kk"])
        return min(_seconds(lambda: matches_of(text, keywords, ["needle"])) for _ in range(3))

    assert matches_of(text, compile_terms([Term("needle")], ["kk"]), ["needle"])["needle"].spans == ((1500, 1506),)
    # With all of them explained it would be some thousand times as long.
    assert cost(others) < 20 * cost([]) + 0.005


def test_explaining_a_long_message_takes_linear_time():
    keywords = compile_terms([Term(term) for term in (*_NEAR, "a b", "spam -ham")], ["kk"])

    def cost(size: int) -> float:
        return min(_seconds(lambda: explain("spam a b " * 50 * size, keywords)) for _ in range(3))

    assert cost(_TIMES) < 3 * _TIMES * cost(1) + 0.005
