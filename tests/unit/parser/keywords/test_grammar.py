"""Keywords are read, and what cannot be read is explained with its column."""

import pytest

from parser.keywords.compiling import Term, compile_terms
from parser.keywords.grammar import escape, parse
from parser.keywords.index import KeywordIndex
from parser.keywords.syntax import AllOf, AnyOf, KeywordError, Near, Not, Phrase, words_of


def shape(text: str) -> str:
    """The keyword's tree in a few characters."""

    def of(node: object) -> str:
        match node:
            case Phrase(words):
                return " ".join(word.text if word.kind == "form" else f"{word.kind}:{word.text}" for word in words)
            case Near(parts, gaps):
                return f"near({', '.join(map(of, parts))}; {gaps})"
            case AllOf(parts):
                return f"all({', '.join(map(of, parts))})"
            case AnyOf(parts):
                return f"any({', '.join(map(of, parts))})"
            case Not(part):
                return f"not({of(part)})"
        raise AssertionError(node)

    return of(parse(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("мастер", "мастер"),
        ("ремонт квартир", "ремонт квартир"),
        ('"мастер маникюра" срочно', "exact:мастер exact:маникюра срочно"),
        ("«мастер» и “мастера”", "exact:мастер и exact:мастера"),
        ("авто*", "prefix:авто"),
        ("ремонт ~3 ванная комната", "near(ремонт, ванная комната; (3,))"),
        ("a ~2 b ~0 c", "near(a, b, c; (2, 0))"),
        ("(a | b c) ~1 d", "near(any(a, b c), d; (1,))"),
        ("a b | c", "any(a b, c)"),
        ("(репетитор | учитель) английский -курсы", "all(any(репетитор, учитель), английский, not(курсы))"),
        ("a & b", "all(a, b)"),
        ("a -(b | c)", "all(a, not(any(b, c)))"),
        ('a -"b c"', "all(a, not(exact:b exact:c))"),
        ("онлайн-школа h&m c# c++ #тег @name 50%", "онлайн-школа h&m c# c++ #тег @name 50%"),
        (r"\-курсы \#тег a\*b", ";курсы ;тег a;b"),
    ],
)
def test_what_a_keyword_says(text: str, expected: str):
    assert shape(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 0, "the keyword is empty"),
        ("a (b", 3, "this ( has no closing )"),
        ("a)", 2, "this ) has no opening ("),
        ('a "b', 3, "this quotation mark has no closing one"),
        ("ав*то", 3, "a * can only stand at the end of a word, as in авто*"),
        ("* a", 1, "a * can only stand at the end of a word, as in авто*"),
        ("~3 a", 1, "a ~ needs a word or a group on both sides, as in ремонт ~3 ванная"),
        ("a ~3", 3, "a ~ needs a word or a group on both sides, as in ремонт ~3 ванная"),
        ("a ~ b", 3, "write after ~ how many words may stand between, at most 20: ~3"),
        ("a ~21 b", 3, "write after ~ how many words may stand between, at most 20: ~3"),
        ("a ~3 (b -c)", 3, "a group beside ~ can only contain words, phrases and |"),
        ("a ~3 -b", 6, "a - can only stand before a word, a quotation or a group, and not beside ~"),
        ("a |", 3, "a | needs a word or a group on both sides"),
        ("-курсы", 0, "says only what must not be in the message: add a word to look for"),
        ("a | -b", 0, "says only what must not be in the message: add a word to look for"),
        ("«a", 1, "this quotation mark has no closing one"),
        ("a\\", 2, "a \\ can only stand before another character"),
        ("(" * 150 + "a" + ")" * 150, 11, "groups can be nested at most 10 deep"),
        (r"\( (a", 4, "this ( has no closing )"),
    ],
)
def test_what_cannot_be_read(text: str, column: int, reason: str):
    with pytest.raises(KeywordError) as refused:
        parse(text)
    assert (refused.value.column, refused.value.reason) == (column, reason)


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("!!!", 1, "“!!!” contains no word and no sign to look for"),
        ("a | ?", 5, "“?” contains no word and no sign to look for"),
        ("a*", 1, "before a * there must be one word of at least 2 characters"),
        ("a " * 31, 1, "a phrase can have at most 30 words"),
        ("-".join("a" * 31), 1, "a phrase can have at most 30 words"),
        ("два слова;слово*", 5, "before a * there must be one word of at least 2 characters"),
        ("https://t.me/chat", 1, "a link finds all links to its host: write only the host, t.me"),
        ("мастер -мастер", 0, "never matches: it excludes what it looks for"),
        ("мастер -(мастер | ремонт)", 0, "never matches: it excludes what it looks for"),
        ("(кофе | чай) ремонт -ремонт", 0, "never matches: it excludes what it looks for"),
    ],
)
def test_what_can_never_match_says_so(text: str, column: int, reason: str):
    with pytest.raises(KeywordError) as refused:
        compile_terms([Term(text)])
    assert (refused.value.column, refused.value.reason) == (column, reason)


@pytest.mark.parametrize(
    "text",
    [
        "скидка (срочно)",
        "«кофе» “чай”",
        "-30%",
        "#ипотека",
        "@coffee",
        "a*b",
        'ремонт "под ключ"',
        "a | b",
        "~5",
        "и & вы",
        "a\\b",
    ],
)
def test_an_escaped_text_has_no_operators(text: str):
    node = parse(escape(text))
    assert isinstance(node, Phrase)
    assert all(word.kind == "form" for word in words_of(node))


@pytest.mark.parametrize("text", ["c#", "c++", "wi-fi", "node.js", "50%", "h&m", "e-mail"])
def test_a_sign_inside_a_word_needs_no_escape(text: str):
    assert escape(text) == text


def test_an_escaped_text_is_found_where_its_words_are():
    index: KeywordIndex[int] = KeywordIndex()
    index.put(1, compile_terms([Term(escape("ремонт (срочно) @coffee -30%"))], ["ru"]))
    assert index.match("Ремонта, срочно: @coffee -30%", {1})
    assert not index.match("Ремонта, срочно: coffee -30%", {1})
