"""SimHash: similar texts get numbers that differ in few bits. Pure functions.

M. Charikar, Similarity Estimation Techniques from Rounding Algorithms (2002). G. Manku, A. Jain, A. Das Sarma,
Detecting Near-Duplicates for Web Crawling (2007).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from itertools import pairwise

BITS = 64
# Of 64 bits. Texts of which about nine tenths of the words are equal differ in at most this many.
MOST_DIFFERING_BITS = 12

# A word weighs twice as much as a pair of neighbours. Without the pairs, texts on the same topic come too close.
_WORD_WEIGHT, _PAIR_WEIGHT = 2, 1
# All 64 sums are in one large number, in lanes of this many bits: adding a feature is one addition.
_LANE = 32
_SPREAD = [sum(1 << _LANE * bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]
_MASK = (1 << _LANE) - 1


def simhash(words: Sequence[str]) -> int:
    """The SimHash of a text's words, as a signed 64-bit number."""
    features = Counter(dict.fromkeys(words, _WORD_WEIGHT))
    features.update({f"{first} {second}": _PAIR_WEIGHT for first, second in pairwise(words)})
    return _signed(_majority(features.items()))


def differing_bits(first: int, second: int) -> int:
    """The number of bits in which two SimHashes differ."""
    return ((first ^ second) & (1 << BITS) - 1).bit_count()


def _majority(features: Iterable[tuple[str, int]]) -> int:
    """The bits that are set in the hashes of more than half of the features, by weight."""
    sums = total = 0
    for feature, weight in features:
        total += weight
        for place, byte in enumerate(blake2b(feature.encode("utf-8", "replace"), digest_size=8).digest()):
            sums += _SPREAD[byte] * weight << _LANE * 8 * place
    return sum(1 << bit for bit in range(BITS) if 2 * (sums >> _LANE * bit & _MASK) > total)


def _signed(number: int) -> int:
    return number - (1 << BITS) if number >> BITS - 1 else number
