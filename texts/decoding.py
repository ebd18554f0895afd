"""Decodes files that operators upload, and detects their encoding.

A byte order mark, the zero bytes of UTF-16, and valid UTF-8 show the encoding with certainty, and are tried in this
order. Any other file has a single-byte encoding, which can only be guessed: then `guessed` is set, and the caller lets
the operator choose another encoding.
"""

import codecs
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import charset_normalizer

UTF_8 = "utf-8"
# Codec → its name for operators, who choose among these encodings.
ENCODINGS = {
    UTF_8: "UTF-8",
    "utf-16-le": "UTF-16, little-endian",
    "utf-16-be": "UTF-16, big-endian",
    "cp1251": "Windows-1251 (Cyrillic)",
    "cp1252": "Windows-1252 (Western European)",
    "cp1250": "Windows-1250 (Central European)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "cp866": "DOS 866 (Cyrillic)",
}
_UTF_32 = {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"}
# UTF-32 comes first, because one of its marks begins with a mark of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: UTF_8,
    **_UTF_32,
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_CYRILLIC, _LATIN = ("cp1251", "koi8-r", "cp866"), ("cp1252", "cp1250")
_COMMON_CYRILLIC = frozenset("оеаинтсрвлкмдпуяьі")
# With fewer characters outside ASCII the language cannot be recognised.
_ENOUGH = 64
_WORD = re.compile(rb"[A-Za-z\x80-\xff]{2,}")
# Quotation marks, and the signs before a Spanish question. Modifier letters (ˇ) do not count as letters here.
_SIGNS_AROUND = re.compile(r"^[\W_ˇ˘˙˛˝]+|[\W_ˇ˘˙˛˝]+$")
# The number of bytes that a guess examines.
_SAMPLE = 65_536

_OFFICE = "not text: open it in the spreadsheet program and save it as CSV"
_SIGNATURES = {
    b"PK\x03\x04": f"it is a spreadsheet file (.xlsx, .ods) or another ZIP archive, {_OFFICE}",
    b"\xd0\xcf\x11\xe0": f"it is an old Office file (.xls), {_OFFICE}",
    b"%PDF-": "it is a PDF file, not text",
    b"\x1f\x8b": "it is compressed (gzip): unpack it first",
}


class NotText(ValueError):
    """The bytes are not text, or not in this encoding. The message is a clause that begins with "it"."""


@dataclass(frozen=True)
class Decoded:
    """A decoded text. `encoding` is the codec's name; `how` explains how it was detected."""

    text: str
    encoding: str
    how: str
    guessed: bool = False

    @property
    def encoding_name(self) -> str:
        return ENCODINGS.get(self.encoding, self.encoding.upper())


def decode(content: bytes, encoding: str = "") -> Decoded:
    """The text, without a byte order mark. A given `encoding` replaces detection. Raises `NotText`."""
    if encoding:
        return Decoded(_strictly(content, encoding).removeprefix("\ufeff"), encoding, "chosen by you")
    return certain(content) or _guess(content)


def certain(content: bytes) -> Decoded | None:
    """Like `decode`, but returns None if the encoding can only be guessed. Raises `NotText`."""
    if kind := next((what for signature, what in _SIGNATURES.items() if content.startswith(signature)), ""):
        raise NotText(kind)
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            return Decoded(_strictly(content[len(mark) :], encoding), encoding, "by its byte order mark")
    if encoding := _bare_utf_16(content):
        return Decoded(_strictly(content, encoding), encoding, "by the zero bytes between the letters")
    try:
        return Decoded(content.decode(UTF_8), UTF_8, "it is valid UTF-8")
    except UnicodeDecodeError:
        return None


def only_certain(content: bytes) -> str:
    """The text of a file that is used without a preview. Raises `NotText` instead of guessing the encoding."""
    found = certain(content)
    return found.text if found else _strictly(content, UTF_8)


def unpacked(content: bytes, most: int) -> bytes:
    """Decompress gzip and zlib data; return other data unchanged. Raises `NotText` above `most` bytes."""
    if not content.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        return content
    # Adding 32 makes zlib accept both kinds of headers.
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = stream.decompress(content, most)
    except zlib.error:
        return content
    if stream.unconsumed_tail:
        raise NotText(f"it is compressed, and has more than {most} bytes after unpacking")
    return plain


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as problem:
        line = len(re.findall(rb"\r\n?|\n", content[: problem.start])) + 1
        name = ENCODINGS.get(encoding, encoding.upper())
        raise NotText(f"it is not {name}: {problem.reason} at byte {problem.start}, line {line}") from None


def _bare_utf_16(content: bytes) -> str:
    """Detect UTF-16 without a mark: only such a text begins with two ASCII letters that have a zero byte each."""
    start = content[:4]
    if len(start) < 4:
        return ""
    for encoding, letters, zeros in (("utf-16-le", start[::2], start[1::2]), ("utf-16-be", start[1::2], start[::2])):
        if zeros == b"\0\0" and all(0x20 <= letter < 0x7F for letter in letters):
            return encoding
    return ""


def _guess(content: bytes) -> Decoded:
    if b"\0" in content:
        raise NotText("it contains zero bytes and is neither UTF-8 nor UTF-16: it is not text")
    words = _WORD.findall(content[:_SAMPLE])
    # All letters of a Cyrillic word are outside ASCII; in a Latin word only some letters are.
    whole = sum(1 for word in words if min(word) >= 0x80)
    mixed = sum(1 for word in words if min(word) < 0x80 <= max(word))
    encoding = _best(b" ".join(words), _CYRILLIC if whole > mixed else _LATIN, content)
    return Decoded(
        _strictly(content, encoding), encoding, "guessed from its words: check that the letters are right", guessed=True
    )


def _best(words: bytes, encodings: Sequence[str], content: bytes) -> str:
    fitting = [encoding for encoding in encodings if _fits(content, encoding)]
    if not fitting:
        raise NotText(f"its encoding is unknown: save it as {ENCODINGS[UTF_8]}")
    scores = {encoding: _score(words.decode(encoding, "replace")) for encoding in fitting}
    best = [encoding for encoding in fitting if scores[encoding] == max(scores.values())]
    if len(best) > 1 and sum(byte >= 0x80 for byte in words) >= _ENOUGH:
        found = charset_normalizer.from_bytes(content[:_SAMPLE], cp_isolation=best).best()
        return found.encoding.replace("_", "-") if found and found.encoding.replace("_", "-") in best else best[0]
    return best[0]


def _fits(content: bytes, encoding: str) -> bool:
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _score(text: str) -> int:
    """A score, higher for natural text: common letters, no signs inside words, capitals only at the beginning."""
    score = sum(1 for letter in text.lower() if letter in _COMMON_CYRILLIC)
    for around in text.split():
        word = _SIGNS_AROUND.sub("", around)
        score -= 3 * sum(1 for letter in word if not letter.isalpha())
        score -= 2 * sum(1 for letter, next_ in pairwise(word) if letter.islower() and next_.isupper())
    return score
