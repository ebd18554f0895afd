"""The figures of the keyword lab: intervals, golden scores, suggested minus words."""

from collections import Counter

import pytest

from parser.lab.golden import GoldenResult
from parser.lab.keyword_lists import ListedKeyword, list_diff, sorted_list
from parser.lab.precision import wilson_interval
from parser.lab.suggestions import suggested
from parser.models import GoldenText


@pytest.mark.parametrize(
    ("good", "judged", "low", "high"),
    # The values of R's prop.test(…, correct = FALSE).
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662), (0, 0, 0.0, 1.0)],
)
def test_the_interval_is_wilsons(good, judged, low, high):
    assert wilson_interval(good, judged) == pytest.approx((low, high), abs=1e-4)


def keywords(*texts: str) -> tuple[ListedKeyword, ...]:
    return sorted_list(ListedKeyword("minus" if text[0] == "-" else "plus", text.removeprefix("-")) for text in texts)


def test_a_golden_score_counts_what_is_found_and_what_is_wrong():
    rows = [GoldenText(text=text, wanted=text != "course") for text in ("tea", "green tea", "coffee", "course")]
    result = GoldenResult(rows, [True, True, False, True])
    assert (result.score.recall, result.score.precision, result.score.wrong) == (2 / 3, 2 / 3, 2)
    assert [row.text for row in result.wrong] == ["coffee", "course"]
    nothing = GoldenResult(rows, [False] * 4).score
    assert (nothing.recall, nothing.precision, nothing.wrong) == (0, None, 3)
    assert GoldenResult([], []).score.recall is None


def test_the_order_of_keywords_makes_no_difference_between_lists():
    assert keywords("tea", "-course", "coffee") == keywords("coffee", "tea", "-course")
    change = list_diff(keywords("tea", "-course"), keywords("tea", "course"))
    assert [str(keyword) for keyword in change.added] == ["course"]
    assert [str(keyword) for keyword in change.removed] == ["−course"]


def test_words_of_bad_hits_are_suggested_and_common_or_rare_or_known_ones_are_not():
    bad = Counter({"tea": 40, "course": 20, "once": 1, "discount": 12, "known": 15})
    good = Counter({"tea": 40, "buy": 20, "discount": 11})
    found = suggested(bad, good, known={"known"})
    assert [suggestion.word for suggestion in found] == ["course"]
    assert (found[0].bad, found[0].good) == (20, 0)
