"""The index finds exactly what the keywords mean."""

from hypothesis import given, settings
from hypothesis import strategies as st

from parser.keywords.compiling import Term, compile_known_terms
from parser.keywords.explaining import explain
from parser.keywords.index import KeywordIndex
from tests.unit.parser.keywords.naive import matching

LANGUAGES = ("ru", "en")
_WORDS = [
    *("ремонт", "ремонта", "ванная", "ванной", "школа", "онлайн-школе", "школы", "#школа", "@school"),
    *("wi-fi", "wifi", "node.js", "c++", "c", "50%", "50", "🔥", "a", "b", "英語"),
]
_BETWEEN = st.sampled_from([" ", ", ", " - ", "\n", " 🔥 ", "-", "."])


@st.composite
def _texts(draw: st.DrawFn) -> str:
    parts = draw(st.lists(st.tuples(st.sampled_from(_WORDS), _BETWEEN), max_size=10))
    return "".join(word + between for word, between in parts)


def _keywords() -> st.SearchStrategy[str]:
    word = st.sampled_from([*_WORDS, '"школы"', '"ремонт ванной"', "шко*", "вa*"])
    phrase = st.lists(word, min_size=1, max_size=3).map(" ".join)
    either = st.tuples(phrase, phrase).map(lambda pair: f"({pair[0]} | {pair[1]})")
    place = st.one_of(phrase, either)
    near = st.tuples(place, st.integers(0, 3), place, st.integers(0, 2), place).map(
        lambda parts: "{} ~{} {} ~{} {}".format(*parts)
    )
    simple = st.one_of(
        phrase, either, near, st.tuples(place, st.integers(0, 2), place).map(lambda p: "{} ~{} {}".format(*p))
    )
    both = st.tuples(simple, simple).map(" & ".join)
    without = st.tuples(simple, word).map(lambda pair: f"{pair[0]} -{pair[1]}")
    return st.one_of(simple, both, without)


_terms = st.lists(st.builds(Term, _keywords(), st.booleans()), max_size=4, unique_by=lambda term: term.text)


@settings(max_examples=200)
@given(text=_texts(), campaigns=st.lists(_terms, min_size=1, max_size=3))
def test_the_index_and_the_explanation_agree_with_the_plainest_evaluation(text: str, campaigns: list[list[Term]]):
    index: KeywordIndex[int] = KeywordIndex()
    for number, terms in enumerate(campaigns):
        index.put(number, compile_known_terms(terms, LANGUAGES))
    expected = {number: matching(text, terms, LANGUAGES) for number, terms in enumerate(campaigns)}
    expected = {number: found for number, found in expected.items() if found}
    assert index.match(text, range(len(campaigns))) == expected
    for number, terms in enumerate(campaigns):
        explanation = explain(text, compile_known_terms(terms, LANGUAGES))
        assert explanation.hit == (number in expected)
        if explanation.hit:
            assert tuple(match.term for match in explanation.terms) == expected[number]
