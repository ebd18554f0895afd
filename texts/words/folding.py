"""The common spelling of texts that readers take for equal.

`fold` works on characters: lower case; ё as е, ß as ss, ı and İ as i, one apostrophe; compatible forms such as
full-width or mathematical letters as plain letters (Unicode's NFKC); no invisible characters, stress marks or strokes.
`unmix` works on a folded word: letters that only look like letters of the word's alphabet become letters of it.
`without_diacritics` works on a folded word, too.
"""

import re
import unicodedata
from collections.abc import Iterator

# Characters that NFKC need not change and that do not change the character before them, as ranges of a regex: Latin,
# Greek, Cyrillic, punctuation, symbols and emoji, kana, Chinese characters, Hangul. Only others need the slow path.
_PLAIN = (
    "\t\n\r -~\u00a0-\u00a7\u00a9\u00ab\u00ac\u00ae\u00b0\u00b1\u00b6\u00b7\u00bb\u00bf-\u012f\u0131\u0134-\u013e"
    "\u0141-\u0148\u014a-\u017e\u0386\u0388-\u03ce\u0400-\u0482\u048a-\u052f\u2000-\u200a\u2010\u2012-\u2016\u2018-\u2023"
    "\u2026-\u2029\u2030-\u2032\u2039\u203a\u2044\u20a0-\u20a7\u20a9-\u20bf\u2116\u2122\u2190-\u21ff\u2300-\u23ff"
    "\u25a0-\u2bff\u3001-\u3003\u3005-\u3029\u3041-\u3096\u30a1-\u30fe\u4e00-\u9fff\uac00-\ud7a3"
    "\U0001f000-\U0001f0ff\U0001f300-\U0001f3fa\U0001f400-\U0001faff"
)
# A character with the characters after it that may change it, and such a character at the beginning.
_CHANGING = re.compile(f"(?s:.)[^{_PLAIN}]+|[^{_PLAIN}]")
_CLUSTER = re.compile(f"(?s:.)[^{_PLAIN}]*")
# What composition leaves: soft hyphens, joiners, marks of direction, variation selectors, tags, stress marks and
# strokes, enclosing keycaps, skin tones.
_INVISIBLE = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\ufff9-\ufffb\U0001f3fb-\U0001f3ff\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
# After lower(), which turns İ into an i with a dot above.
_SAME = (
    ("ё", "е"), ("ѐ", "е"), ("ѝ", "и"), ("ß", "ss"), ("ı", "i"), ("i\u0307", "i"), ("ς", "σ"), ("\u2010", "-"),
    ("’", "'"), ("‘", "'"), ("ʼ", "'"), ("ʻ", "'"), ("′", "'"),
)  # fmt: skip

# Pairs that look alike in lower or in upper case.
_LATIN, _CYRILLIC = "abcehijkmopstxyëï", "авсеніјкморѕтхуеї"
_TO_CYRILLIC, _TO_LATIN = str.maketrans(_LATIN, _CYRILLIC), str.maketrans(_CYRILLIC[:-2], _LATIN[:-2])
_GREEK_TO_LATIN = str.maketrans("αβεηικνορτυχ", "abehikvoptyx")
_A_LATIN, _A_CYRILLIC, _A_GREEK = (re.compile(f"[{_}]") for _ in ("a-z\u00df-\u024f", "\u0400-\u052f", "\u0386-\u03ce"))
_STRIPPED = {ord("ø"): "o", ord("ł"): "l", ord("đ"): "d", ord("æ"): "ae", ord("œ"): "oe"}


def fold(text: str) -> str:
    """The text in the common spelling, in linear time. It may be shorter or longer than the text."""
    if text.isascii():
        return text.lower().replace("`", "'")
    if _CHANGING.search(text) is not None:
        text = _CHANGING.sub(lambda found: _plain(found[0]), text)
    folded = text.lower().replace("`", "'")
    for spelling, common in _SAME:
        folded = folded.replace(spelling, common)
    return folded


def fold_with_offsets(text: str) -> tuple[str, list[int]]:
    """`fold(text)`, and for each of its characters the offset in `text` of the character that it comes from."""
    folded: list[str] = []
    offsets: list[int] = []
    for start, part in _parts(text):
        spelling = fold(part)
        folded.append(spelling)
        offsets += [start] * len(spelling)
    return "".join(folded), offsets


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The smallest parts of the text that can be folded one by one, with their offsets."""
    for found in _CLUSTER.finditer(text):
        cluster, start = found[0], found.start()
        parts = re.findall(r"(?s:.)[\u0300-\u036f\u3099\u309a]*", cluster) if len(cluster) > 1 else [cluster]
        if len(parts) > 1 and "".join(map(fold, parts)) != fold(cluster):
            parts = [cluster]
        for part in parts:
            yield start, part
            start += len(part)


def _plain(cluster: str) -> str:
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", cluster))


def unmix(word: str) -> str:
    """A folded word in one alphabet if it is written in two: its look-alike letters become letters of the other.

    If all Latin letters have a Cyrillic look-alike, the word becomes Cyrillic ("кoфе" with a Latin o) unless it is
    almost Latin, otherwise Latin if that is possible. A word with a digit or a sign that consists of look-alikes
    becomes Latin ("1с" like "1c").
    """
    if word.isascii():
        return word
    if _A_GREEK.search(word) and (_A_LATIN.search(word) or _A_CYRILLIC.search(word)):
        word = word.translate(_GREEK_TO_LATIN)
    if not _A_CYRILLIC.search(word):
        return word
    if _A_LATIN.search(word):
        cyrillic, latin = word.translate(_TO_CYRILLIC), word.translate(_TO_LATIN)
        if not _A_LATIN.search(cyrillic):
            return cyrillic if _A_CYRILLIC.search(latin) or not _is_rather_latin(word) else latin
        return word if _A_CYRILLIC.search(latin) else latin
    if not word.isalpha():
        latin = word.translate(_TO_LATIN)
        return word if _A_CYRILLIC.search(latin) else latin
    return word


def _is_rather_latin(word: str) -> bool:
    # Of a word that both alphabets can write, letters are replaced more often in the Cyrillic one.
    return len(_A_LATIN.findall(word)) > 2 * len(_A_CYRILLIC.findall(word))


def without_diacritics(word: str) -> str:
    """The folded word without the diacritics of Latin and Greek letters: "café" as "cafe"."""
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFD", word)
    bare = "".join(part for base, part in zip(" " + parts, parts, strict=False) if not _is_mark_of(base, part))
    return unicodedata.normalize("NFC", bare).translate(_STRIPPED)


def _is_mark_of(base: str, mark: str) -> bool:
    # й and ї are letters of their own.
    return "\u0300" <= mark <= "\u036f" and not "\u0400" <= base <= "\u052f"
