"""Suggests minus words: words that are typical of the hits that operators judged bad.

The measure is the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi & Quinn 2008, "Fightin' Words"),
with the words of all the campaign's judged hits as the prior. It needs no model, and it ignores words that are rare or
common in both groups.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from parser.lab.keyword_lists import keyword_list
from parser.models import Verdict

# The newest judged hits are read, so many at most.
_MOST_HITS = 5000
# A suggested word is in at least this many different bad hits.
_LEAST_HITS = 3
# The z-score from which a word is suggested: 10 %, one-sided. An operator then sees the effect before it counts.
_LEAST_Z = 1.28
# The weight of the prior as a share of the words in all judged hits.
_PRIOR = 0.1
_MOST_SUGGESTIONS = 20
_WORD = re.compile(r"[^\W\d_][\w'’-]*[^\W_]")


@dataclass(frozen=True)
class MinusSuggestion:
    """`bad` and `good` are the numbers of judged texts with the word; `z` says how surely it is typical of bad ones."""

    word: str
    bad: int
    good: int
    z: float


def minus_suggestions(*, campaign_id: UUID) -> list[MinusSuggestion]:
    """Words for the campaign's minus list, best first. Words of its present keywords are left out."""
    judged = Verdict.objects.filter(hit__campaign_id=campaign_id).order_by("-at")
    texts: dict[str, str] = {}
    for text, value in judged.values_list("hit__text", "value")[:_MOST_HITS]:
        # The same advertisement in many chats is one text.
        texts.setdefault(" ".join(text.split()).casefold(), value)
    good = _counted(text for text, value in texts.items() if value == Verdict.Value.GOOD)
    bad = _counted(text for text, value in texts.items() if value != Verdict.Value.GOOD)
    known = {word for keyword in keyword_list(campaign_id=campaign_id) for word in _words(keyword.text.casefold())}
    return suggested(bad, good, known)


def suggested(bad: Counter[str], good: Counter[str], known: set[str]) -> list[MinusSuggestion]:
    """The words of `bad` that are typical of it. The counters count texts, not occurrences."""
    found = []
    for word, number in bad.items():
        if number < _LEAST_HITS or word in known:
            continue
        z = _z_score(word, bad, good)
        if z >= _LEAST_Z:
            found.append(MinusSuggestion(word, number, good[word], z))
    return sorted(found, key=lambda suggestion: (-suggestion.z, suggestion.word))[:_MOST_SUGGESTIONS]


def _z_score(word: str, bad: Counter[str], good: Counter[str]) -> float:
    """The z-score of the word's log-odds ratio between the groups, as in the paper's equations 16 and 20 to 22."""
    total_bad, total_good = bad.total(), good.total()
    prior, total_prior = _PRIOR * (bad[word] + good[word]), _PRIOR * (total_bad + total_good)
    in_bad, in_good = bad[word] + prior, good[word] + prior
    delta = math.log(in_bad / (total_bad + total_prior - in_bad)) - math.log(
        in_good / (total_good + total_prior - in_good)
    )
    return delta / math.sqrt(1 / in_bad + 1 / in_good)


def _counted(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(_words(text)))


def _words(text: str) -> list[str]:
    return _WORD.findall(text)
