"""Splits texts into tokens: the spellings under which a text's words can be looked up.

Tokens stand at positions: a word takes one position, a sign such as an emoji or € none. A place in a text may have
several tokens. Examples, with positions in brackets:

- `Wi-Fi` gives wi [0], fi [1] and wifi [0-1]; `node.js` gives node [0], js [1] and node.js [0-1]; `.net` net and .net.
- `50%`, `18+`, `c++`, `c#`, `1.5` and `24/7` give only themselves, so that `50`, `c` and `24` do not match them.
- `#ипотека` gives #ипотека and ипотека at one position. `@coffee_shop` and mail addresses give only themselves.
- A link gives only the name of its host.
- `l'appartement` also gives appartement, `teacher's` also teacher.
- Each Chinese, Japanese or Korean character is a word of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from texts.words.folding import fold_with_offsets, unmix

# Chinese characters, kana and Hangul.
_CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3041-\u3096\u30a1-\u30fa\u30fc-\u30fe\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uf900-\ufaff\U00020000-\U0003134f"
)
# Vowel signs and other marks of scripts that have them; Python's \w leaves them out.
_MARKS = "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0962\u0963\u0981-\u0d83\u0e31-\u0e4e"
_LETTER = rf"(?:[^\W_{_CJK}]|[{_MARKS}])"
_SIGN = "%‰°$€£¥©®™\u20a0-\u20bf\u2190-\u21ff\u2300-\u23ff\u25a0-\u2bff\U0001f000-\U0001faff"
_PIECE = re.compile(
    rf"(?P<name>(?<![\w@])@[a-z0-9_]+)|(?P<tag>(?<!\w)#\w+)|(?P<word>{_LETTER}+(?:'{_LETTER}+)*)|(?P<cjk>[{_CJK}])|(?P<sign>[{_SIGN}])"
)
# Lengths are bounded and beginnings fixed, so that a long text without white space takes linear time.
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_LINK = re.compile(
    r"(?:(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://|(?<![\w.-])www\.)(?:www\.)?([\w.-]*)\S*"
    r"|(?<![\w.-])([\w-]{1,63}(?:\.[\w-]{1,63}){0,5}\.[a-z]{2,24})/\S*"
)
# What most words of a chat look like.
_SIMPLE = re.compile(r"[\"«“„(]?((?:[a-z\u00df-\u024f]+)|[\u0400-\u052f]+)[.,!?:;)\"»”…]*")
# What may stand between two pieces of one token; the hyphen is left out of the token.
_JOINERS = {"-": "", ".": ".", "&": "&"}
_NUMBER_JOINERS = {".": ".", ",": ".", "/": "/"}
# Longer chains are no words.
_MOST_JOINED = 6
# Longer chains of digits and dots are no numbers.
_LONGEST_NUMBER = 40
_SUFFIXES = "%‰°+#"
_AFTER_WORD = re.compile(r"(\+\+|#)(?!\w)")
_AFTER_NUMBER = re.compile(r"([%‰°+])(?!\w)")
_DOT = re.compile(r"(?<![\w.])\.(?=[a-z])")
# French and Italian words that lose their vowel before another one.
_ELIDED = "l d j m t s n c qu jusqu lorsqu puisqu quoiqu presqu dell all nell sull dall coll un quest quell sant"
_ELISIONS = frozenset(_ELIDED.split())
_POSSESSIVE = "'s"


class Token(NamedTuple):
    """A spelling at the positions from `at` until before `next` (equal for a sign).

    `start` and `end` are its offsets in the text. `meant`: a keyword that is written so means this token, and not
    another one at the same place: `#ипотека` means the hashtag, though the text `#ипотека` also contains the word.
    """

    key: str
    at: int
    next: int
    start: int
    end: int
    meant: bool = True


@dataclass(frozen=True)
class _Piece:
    """A word, or numbers joined as in 1.5. `joiner` stands before it if it belongs to the piece before."""

    key: str
    start: int
    end: int
    joiner: str

    @property
    def numeric(self) -> bool:
        return self.key[0].isdigit() and self.key[-1].isdigit() and not any(map(str.isalpha, self.key))


def tokens(text: str) -> tuple[list[Token], int]:
    """The tokens of a folded text without white space, in order, and the number of its positions."""
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        return [Token(simple[1], 0, 1, simple.start(1), simple.end(1))], 1
    reader = _Reader(text)
    reader.read(0, len(text))
    return reader.found, reader.words


def text_tokens(text: str) -> list[Token]:
    """The tokens of a text of any length, with the positions and offsets in it. The text need not be folded."""
    found: list[Token] = []
    position = 0
    for part in re.finditer(r"\S+", text):
        folded, offsets = fold_with_offsets(part[0])
        offsets.append(len(part[0]))
        here, words = tokens(folded)
        for token in here:
            start, end = part.start() + offsets[token.start], part.start() + _end(offsets, token.end)
            found.append(token._replace(at=token.at + position, next=token.next + position, start=start, end=end))
        position += words
    return found


def _end(offsets: list[int], end: int) -> int:
    """Where the character before `end` of the folded text ends in the original."""
    last = offsets[end - 1]
    return next((offset for offset in offsets[end:] if offset > last), offsets[-1])


@dataclass
class _Reader:
    """Reads one text without white space from left to right."""

    text: str
    found: list[Token] = field(default_factory=list)
    words: int = 0
    # Pieces that are joined without white space, and the offset up to which signs belong to them.
    run: list[_Piece] = field(default_factory=list)
    taken: int = 0

    def read(self, start: int, end: int) -> None:
        """Links and mail addresses as a whole, and what is between them by pieces."""
        for found in self._wholes():
            if found.start() < start:
                continue
            self._pieces(start, found.start())
            key = found[0] if found.re is _MAIL else (found[1] or found[2] or "")
            if key := key.strip("."):
                self._word(key, found.start(), found.end())
            start = found.end()
        self._pieces(start, end)

    def _wholes(self) -> list[re.Match[str]]:
        """The links and mail addresses by their beginnings; some may overlap."""
        text = self.text
        links = _LINK.finditer(text) if "/" in text or "www." in text else ()
        mails = _MAIL.finditer(text) if "@" in text else ()
        return sorted([*links, *mails], key=re.Match.start)

    def _pieces(self, start: int, end: int) -> None:
        for match in _PIECE.finditer(self.text, start, end):
            if match.start() < self.taken:
                continue
            kind = match.lastgroup
            if kind == "word":
                self._run_word(match[0], match.start(), match.end())
                continue
            self._end_run()
            if kind == "tag":
                self._tag(match[0], match.start(), match.end())
            elif kind == "sign":
                self.found.append(Token(match[0], self.words, self.words, match.start(), match.end()))
            else:
                self._word(match[0], match.start(), match.end())
        self._end_run()

    def _word(self, key: str, start: int, end: int, *, meant: bool = True) -> None:
        """A word at a position of its own, with its parts around an apostrophe."""
        self.words += 1
        self._also(key, start, end, meant=meant)
        before, apostrophe, after = key.partition("'")
        if apostrophe and before in _ELISIONS:
            self._also(after, start, end, meant=meant)
        elif key.endswith(_POSSESSIVE):
            self._also(key.removesuffix(_POSSESSIVE), start, end, meant=meant)

    def _also(self, key: str, start: int, end: int, *, words: int = 1, meant: bool = True) -> None:
        """Another spelling of the last `words` words."""
        self.found.append(Token(unmix(key), self.words - words, self.words, start, end, meant))

    def _tag(self, tag: str, start: int, end: int) -> None:
        before = self.words
        for part in _PIECE.finditer(tag.replace("_", " "), 1):
            self._word(part[0], start + part.start(), start + part.end(), meant=False)
        if self.words > before:
            self._also(tag, start, end, words=self.words - before)

    def _run_word(self, key: str, start: int, end: int) -> None:
        joiner = self._joiner(key, start)
        if not joiner:
            self._end_run()
        elif joiner in _NUMBER_JOINERS and self.run[-1].numeric and key.isdigit() and self._is_number():
            last = self.run.pop()
            key = f"{last.key}{_NUMBER_JOINERS[joiner]}{key}"
            start, joiner = last.start, last.joiner
        after = (_AFTER_NUMBER if key[-1].isdigit() and key[0].isdigit() else _AFTER_WORD).match(self.text, end)
        if after is None:
            self.run.append(_Piece(key, start, end, joiner))
            return
        self.taken = after.end()
        self.run.append(_Piece(key + after[0], start, after.end(), joiner))
        self._end_run()

    def _is_number(self) -> bool:
        """Whether the last piece can still grow to a number, a date or an address."""
        return len(self.run[-1].key) < _LONGEST_NUMBER

    def _joiner(self, key: str, start: int) -> str:
        """The character between this word and the run before it if it joins them; else an empty string."""
        if not self.run or self.run[-1].end != start - 1:
            return ""
        character = self.text[start - 1]
        numbers = self.run[-1].numeric and key.isdigit()
        return character if character in _JOINERS or (numbers and character in _NUMBER_JOINERS) else ""

    def _end_run(self) -> None:
        run, self.run = self.run, []
        if len(run) == 1:
            self._single(run[0])
        elif run:
            meant = all(piece.joiner != "&" for piece in run)
            for piece in run:
                self._word(piece.key, piece.start, piece.end, meant=meant)
            self._joins(run)

    def _joins(self, run: Sequence[_Piece]) -> None:
        """The words of the last pieces as one word: each two neighbours, and all of them."""
        first = self.words - len(run)
        every = [(0, len(run))] if 2 < len(run) <= _MOST_JOINED else []
        for begin, end in [*((begin, begin + 2) for begin in range(len(run) - 1)), *every]:
            pieces = run[begin:end]
            if pieces[-1].key[-1] in _SUFFIXES or all(piece.numeric for piece in pieces):
                continue
            joiners = ["", *(_JOINERS[piece.joiner] for piece in pieces[1:])]
            key = "".join(joiner + unmix(piece.key) for joiner, piece in zip(joiners, pieces, strict=True))
            self.found.append(Token(key, first + begin, first + end, pieces[0].start, pieces[-1].end))

    def _single(self, piece: _Piece) -> None:
        is_dotted = piece.start > 0 and _DOT.match(self.text, piece.start - 1) is not None
        self._word(piece.key, piece.start, piece.end, meant=not is_dotted)
        if is_dotted:
            self._also(f".{piece.key}", piece.start - 1, piece.end)
