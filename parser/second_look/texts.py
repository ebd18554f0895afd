"""What the rules see in a message's text. Pure functions."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from parser.second_look.simhash import simhash
from texts.words.folding import fold, unmix

# Below this number of words a SimHash has too few features, so only equal texts count as the same.
SIMHASH_WORDS = 12
# Different people write the same one or two words.
LEAST_WORDS_COMPARED = 3

_WORD = re.compile(r"\w+")
# Addresses with a scheme, of Telegram, or of one of the most frequent domains. An email address is no link.
_LINK = re.compile(
    r"(?:https?|tg|ftp)://\S+|\bwww\.\S+"
    r"|(?<![\w@.-])(?:[\w-]+\.)+(?:com|net|org|info|biz|ru|рф|su|ua|by|kz|uz|de|at|ch|fr|es|it|pl|tr|uk|eu|me|io|co|ai"
    r"|app|dev|shop|online|site|store|xyz|top|club|pro|link|ly|cc|tv|in|br|pt)\b(?:/\S*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Fingerprint:
    """Signed 64-bit numbers, as PostgreSQL stores them.

    `digest` is None for a text too short to be compared. `simhash` is None for a text that is compared by `digest`.
    """

    digest: int | None
    simhash: int | None


def words_of(text: str) -> list[str]:
    """The words in the common spelling (`texts.words.folding`), without punctuation and emoji."""
    return [unmix(word) for word in _WORD.findall(fold(text))]


def links_in(text: str) -> int:
    """The number of links that the text shows."""
    return sum(1 for _ in _LINK.finditer(text))


def fingerprint_of(words: Sequence[str]) -> Fingerprint:
    if len(words) < LEAST_WORDS_COMPARED:
        return Fingerprint(None, None)
    if len(words) < SIMHASH_WORDS:
        digest = blake2b(" ".join(words).encode("utf-8", "replace"), digest_size=8).digest()
        return Fingerprint(int.from_bytes(digest, "big", signed=True), None)
    return Fingerprint(None, simhash(words))
