r"""Reads keywords.

мастер                      the word in all its grammatical forms
ремонт квартир              a phrase: the words in this order, with only punctuation between them
"мастер"                    exactly this form; also "мастер маникюра"
авто*                       words that begin with авто
ремонт ~3 ванная            in any order, with at most 3 words between them
репетитор | учитель         one of them
(репетитор | учитель) английский    both, anywhere in the message; so does репетитор & английский
английский -курсы           not in a message with курсы
\-курсы                     a sign after \ has no meaning of its own
"""

import re
from functools import lru_cache
from importlib.resources import files

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.exceptions import UnexpectedEOF, UnexpectedToken, VisitError

from parser.keywords.syntax import AllOf, AnyOf, KeywordError, Near, Node, Not, Phrase, Word

# The most words between the parts of a near operator: further apart, words have nothing to do with each other.
MOST_BETWEEN = 20
# Groups within groups. More of them nobody can read, and each costs a level of recursion.
MOST_NESTED = 10
# Signs with a meaning of their own. In front of them a backslash takes it away.
SIGNS = frozenset('*~|"«»“”„()-#@&\\')
# What a sign after a backslash becomes: punctuation without a meaning.
_NEUTRAL = ";"
_ESCAPED = re.compile(r"\\(.)")
_HINTS = {
    **dict.fromkeys('"«“„', "this quotation mark has no closing one"),
    **dict.fromkeys("»”", "this quotation mark has no opening one"),
    ")": "this ) has no opening (",
    "*": "a * can only stand at the end of a word, as in авто*",
    "~": "a ~ needs a word or a group on both sides, as in ремонт ~3 ванная",
    "|": "a | needs a word or a group on both sides",
    "&": "an & needs a word or a group on both sides",
    "-": "a - can only stand before a word, a quotation or a group, and not beside ~",
    "\\": "a \\ can only stand before another character",
}


def parse(text: str) -> Node:
    """The meaning of a keyword. Raises KeywordError."""
    _check_nesting(text)
    try:
        node = _Builder().transform(_grammar().parse(text))
    except UnexpectedInput as error:
        raise _readable(error, text) from None
    except VisitError as error:
        if isinstance(error.orig_exc, KeywordError):
            raise error.orig_exc from None
        raise
    _require_positive(node)
    return node


def escape(text: str) -> str:
    """A keyword that finds this part of a message, whatever signs are in it.

    Hashtags and names keep their meaning, and so does a sign inside a word, as in `c#` and `wi-fi`.
    """
    return re.sub(r"(?<![^\s])-+(?=\S)|[*~|\"«»“”„()\\\\]|(?<!\S)&(?!\S)", _with_backslashes, text)


def _with_backslashes(found: re.Match[str]) -> str:
    return "".join(f"\\{sign}" for sign in found[0])


@lru_cache(maxsize=1)
def _grammar() -> Lark:
    source = files("parser.keywords").joinpath("keywords.lark").read_text(encoding="utf-8")
    return Lark(source, parser="lalr", lexer="basic", maybe_placeholders=False)


def _readable(error: UnexpectedInput, text: str) -> KeywordError:
    """What is wrong at the place where the keyword cannot be read any further."""
    at_end = isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
    column = len(text.rstrip()) if at_end else error.column
    if not text.strip():
        return KeywordError("the keyword is empty")
    if at_end and (opened := _unclosed(text)):
        return KeywordError("this ( has no closing )", opened)
    if at_end and (operator := re.search(r"~\d*\s*$", text)):
        column = operator.start() + 1
    sign = text[column - 1]
    return KeywordError(_HINTS.get(sign, "the keyword cannot be read from here on"), column)


def _unclosed(text: str) -> int:
    """The column of the last ( without a ), 0 if there is none."""
    opened: list[int] = []
    for column, sign in _parentheses(text):
        if sign == "(":
            opened.append(column)
        elif opened:
            opened.pop()
    return opened[-1] if opened else 0


def _check_nesting(text: str) -> None:
    depth = 0
    for column, sign in _parentheses(text):
        depth += 1 if sign == "(" else -1
        if depth > MOST_NESTED:
            raise KeywordError(f"groups can be nested at most {MOST_NESTED} deep", column)


def _parentheses(text: str) -> list[tuple[int, str]]:
    """The parentheses that are operators, with their columns."""
    plain = re.sub(r'\\.|"[^"]*"|«[^»]*»|“[^”]*”|„[^“”]*[“”]', lambda found: " " * len(found[0]), text)
    return [(column, sign) for column, sign in enumerate(plain, start=1) if sign in "()"]


@v_args(inline=True)
class _Builder(Transformer[Token, Node]):
    """Builds the tree from what lark has read."""

    def start(self, node: Node) -> Node:
        return node

    def any_of(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else AnyOf(parts)

    def all_of(self, *parts: Node | Token) -> Node:
        nodes = tuple(part for part in parts if not isinstance(part, Token))
        return nodes[0] if len(nodes) == 1 else AllOf(nodes)

    def not_(self, minus: Token, part: Node) -> Node:
        return Not(part)

    def word_alone(self, token: Token) -> Node:
        return Phrase(_words(token))

    def phrase(self, *tokens: Token) -> Node:
        return Phrase(tuple(word for token in tokens for word in _words(token)))

    def group(self, node: Node) -> Node:
        return node

    def near(self, *parts: Node | Token) -> Node:
        if len(parts) == 1:
            assert not isinstance(parts[0], Token)
            return parts[0]
        gaps = tuple(_gap(part) for part in parts if isinstance(part, Token))
        places = tuple(part for part in parts if not isinstance(part, Token))
        for place, sign in zip(places, [part for part in parts if isinstance(part, Token)] * 2, strict=False):
            if not _has_places(place):
                reason = "a group beside ~ can only contain words, phrases and |"
                raise KeywordError(reason, sign.column or 0)
        return Near(places, gaps)


def _words(token: Token) -> tuple[Word, ...]:
    column = token.column or 0
    match token.type:
        case "QUOTED":
            parts = re.finditer(r"\S+", token[1:-1])
            return tuple(Word(part[0], "exact", column + 1 + part.start()) for part in parts)
        case "PREFIX":
            return (Word(_unescaped(token[:-1]), "prefix", column),)
    return (Word(_unescaped(token), "form", column),)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _NEUTRAL if found[1] in SIGNS else found[1], text)


def _gap(token: Token) -> int:
    number = token[1:]
    if not number or int(number) > MOST_BETWEEN:
        reason = f"write after ~ how many words may stand between, at most {MOST_BETWEEN}: ~3"
        raise KeywordError(reason, token.column or 0)
    return int(number)


def _has_places(node: Node) -> bool:
    """Whether the node is found at places of a message, and does not only hold for it as a whole."""
    match node:
        case Phrase():
            return True
        case AnyOf(parts) | Near(parts):
            return all(map(_has_places, parts))
    return False


def _require_positive(node: Node) -> None:
    """Raises KeywordError if the keyword, or an alternative in it, only says what must not be in a message."""
    match node:
        case AllOf(parts):
            positive = [part for part in parts if not isinstance(part, Not)]
            if not positive:
                raise KeywordError("says only what must not be in the message: add a word to look for")
            for part in parts:
                _require_positive(part.part if isinstance(part, Not) else part)
        case AnyOf(parts):
            for part in parts:
                _require_positive(part)
        case Not():
            raise KeywordError("says only what must not be in the message: add a word to look for")
