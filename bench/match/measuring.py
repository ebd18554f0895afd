"""The measurements of matching. Times are this process's processor time, so that other work on the machine counts less;
what is compared is measured in turns.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.match import contenders, corpus
from parser.keywords.compiling import KeywordSet, Term, compile_terms
from parser.keywords.index import KeywordIndex

CAMPAIGNS, TERMS = 1_000, 20
# The campaigns of one busy chat.
FEW = 10
ROUNDS = 5


@dataclass(frozen=True)
class Plan:
    """How much is measured: messages per round, messages that warm the caches, messages of the slowest contenders."""

    messages: int
    warm_up: int
    slow: int


FULL, QUICK = Plan(20_000, 60_000, 60), Plan(4_000, 12_000, 10)


def seconds(work: Callable[[], object]) -> float:
    """The processor time of the work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def rate(match: Callable[[str], object], texts: Sequence[str]) -> float:
    """Messages per second of processor time."""

    def work() -> None:
        for text in texts:
            match(text)

    return len(texts) / seconds(work)


def compiled(keywords: Sequence[Sequence[str]]) -> list[KeywordSet]:
    return [compile_terms([Term(text) for text in terms], corpus.LANGUAGES) for terms in keywords]


@dataclass
class Speeds:
    """Messages per second of processor time; hits per message for few and for all campaigns."""

    few_warm: float
    few_cold: float
    all_warm: float
    hits_few: float
    hits_all: float
    original: float
    regex: float
    ahocorasick: float
    ahocorasick_raw: float


def speeds(keywords: Sequence[Sequence[str]], sets: Sequence[KeywordSet], plan: Plan) -> Speeds:
    few, some = contenders.ours(sets[:FEW])
    every, numbers = contenders.ours(sets)
    texts = corpus.texts(plan.messages, seed=2)
    cold = rate(lambda text: few.match(text, some), texts[: plan.messages // 10])
    for text in corpus.texts(plan.warm_up, seed=3):
        few.match(text, some)
        every.match(text, numbers)
    automaton, with_campaigns = contenders.automaton(keywords), contenders.automaton_campaigns(keywords)
    original, regex = contenders.original(keywords), contenders.alternations(keywords)
    taken: dict[str, list[float]] = {}
    for round_ in range(ROUNDS):
        fresh = corpus.texts(plan.messages, seed=10 + round_)
        contests: dict[str, tuple[Callable[[str], object], Sequence[str]]] = {
            "few": (lambda text: few.match(text, some), fresh),
            "all": (lambda text: every.match(text, numbers), fresh),
            "ahocorasick": (with_campaigns, fresh),
            "ahocorasick_raw": (automaton, fresh),
            "original": (original, fresh[: plan.slow]),
            "regex": (regex, fresh[: plan.slow]),
        }
        for name, (match, given) in contests.items():
            taken.setdefault(name, []).append(rate(match, given))
    middle = {name: median(rates) for name, rates in taken.items()}
    return Speeds(
        few_warm=middle["few"],
        few_cold=cold,
        all_warm=middle["all"],
        hits_few=_density(few, some, texts),
        hits_all=_density(every, numbers, texts),
        original=middle["original"],
        regex=middle["regex"],
        ahocorasick=middle["ahocorasick"],
        ahocorasick_raw=middle["ahocorasick_raw"],
    )


def _density(index: KeywordIndex[int], campaigns: frozenset[int], texts: Sequence[str]) -> float:
    return sum(len(index.match(text, campaigns)) for text in texts) / len(texts)


@dataclass(frozen=True)
class Builds:
    """Seconds of processor time to compile all keywords; milliseconds to replace those of one campaign by new ones."""

    all_seconds: float
    one_ms: float
    keys: int


def builds(keywords: Sequence[Sequence[str]]) -> tuple[Builds, list[KeywordSet]]:
    sets: list[KeywordSet] = []
    index: KeywordIndex[int] = KeywordIndex()

    def build() -> None:
        sets.extend(compiled(keywords))
        for number, each in enumerate(sets):
            index.put(number, each)

    took = seconds(build)
    others = corpus.keywords(ROUNDS, TERMS, seed=99)
    again = median(seconds(lambda other=other: index.put(0, compiled([other])[0])) for other in others)  # type: ignore[misc]
    return Builds(took, again * 1000, len(frozenset().union(*(each.keys for each in sets)))), sets


def worst_cases() -> dict[str, dict[str, float]]:
    """Messages and keywords that are made to take long: seconds for one size and for twice that size."""

    def cost(terms: Sequence[str], text: str) -> float:
        index: KeywordIndex[int] = KeywordIndex()
        index.put(1, compile_terms([Term(term) for term in terms], ["en"]))
        return min(seconds(lambda: index.match(text, {1})) for _ in range(3))

    phrases = [f"alpha beta gamma delta word{number}" for number in range(4_000)]
    near = [" ~20 ".join(["spam"] * 8), " ~20 ".join(["a", "b"] * 8)]
    cases: dict[str, Callable[[int], float]] = {
        "10 000 characters": lambda size: cost(["needle", "hay ~3 stack"], "hay and straw " * 700 * size),
        "one word repeated": lambda size: cost(["spam spam ham", "spam ~3 ham"], "spam " * 2_000 * size),
        "2 000 phrases with one beginning": lambda size: cost(phrases[: 2_000 * size], "alpha beta gamma delta " * 400),
        "near words": lambda size: cost(near, "spam a b " * 1_000 * size),
        "one long word": lambda size: cost(["spam*", "ab"], "ab" * 5_000 * size),
        "signs": lambda size: cost(["🔥 ~2 🔥", "#tag"], "#tag@a.b-c_d/🔥" * 700 * size),
    }
    return {name: {"seconds": case(1), "seconds_of_double": case(2)} for name, case in cases.items()}
