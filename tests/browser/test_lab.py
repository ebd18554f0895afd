"""The keyword lab as operators use it: judge by keys, select a new keyword, see its effect, try pasted texts."""

from types import SimpleNamespace
from typing import Any

from django.urls import reverse
from django.utils import timezone

from parser.models import GoldenText, Hit, Keyword, KeywordVersion, Verdict
from tests.browser.panel import Panel
from tests.support import wait_until

TEXTS = ("Rye bread course for beginners", "We want rye bread for Sunday", "Rye bread course, second date")
SELECT = """word => {
    const hit = document.getElementById("lab-hit");
    const walker = document.createTreeWalker(hit, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.indexOf(word);
        if (at >= 0) document.getSelection().setBaseAndExtent(node, at, node, at + word.length);
    }
}"""


def _hits(world: SimpleNamespace) -> list[Hit]:
    return [
        Hit.objects.create(
            campaign=world.campaign,
            bot=world.parser_bot,
            chat=world.chats[1],
            message_id=100 + number,
            telegram_user_id=1000 + number,
            text=text,
            keyword="rye bread",
            said_at=timezone.now(),
        )
        for number, text in enumerate(TEXTS)
    ]


def _page(world: SimpleNamespace, tab: str = "judge") -> str:
    return reverse(f"admin:parser_keyword_lab_{tab}", args=[world.campaign.pk])


def _press(panel: Panel, key: str) -> None:
    def press(page: Any) -> None:
        with page.expect_navigation(wait_until="load"):
            page.keyboard.press(key)

    panel.do(press)


def _shown(panel: Panel) -> str:
    return panel.do(lambda page: page.inner_text("#lab-hit"))


def test_an_operator_judges_by_keys_and_makes_a_minus_word_of_a_fragment(panel: Panel, world: SimpleNamespace) -> None:
    first, second, third = _hits(world)
    panel.open(reverse("admin:campaigns_campaign_change", args=[world.campaign.pk]))
    panel.press("Keyword lab")
    assert _shown(panel) == third.text
    _press(panel, "4")
    assert _shown(panel) == second.text and Verdict.objects.get(hit=third).value == "competitor"
    _press(panel, "2")
    assert _shown(panel) == first.text and "The last hit is judged: Not for us." in panel.text
    _press(panel, "u")
    assert _shown(panel) == second.text and not Verdict.objects.filter(hit=second).exists()
    _press(panel, "1")
    assert (Verdict.objects.get(hit=second).value, Verdict.objects.get(hit=second).by) == ("good", "operator")

    GoldenText.objects.create(campaign=world.campaign, text="Is there a course on rye bread for me?", wanted=True)
    panel.do(lambda page: page.evaluate(SELECT, "course"))
    wait_until(lambda: panel.value("#lab-term") == "course", what="the fragment in the field")
    assert panel.does_not_fit_on_a_phone() == []
    _press(panel, "x")
    text = panel.text
    assert "Lost: no hits any more (2) · 1 Competitor · 1 no verdict" in text and first.text in text
    assert "100% → 50%" in text and "Is there a course on rye bread for me?" in text
    assert not Keyword.objects.filter(text="course").exists(), "nothing is saved before it is confirmed"
    assert panel.does_not_fit_on_a_phone() == []
    panel.submit('button:has-text("Save anyway")')
    assert Keyword.objects.get(text="course").kind == "minus" and _shown(panel) == first.text
    assert "The present keywords do not match this message." in panel.text
    assert KeywordVersion.objects.latest("number").by == "operator"

    panel.open(_page(world, "try"))
    panel.fill("#lab-texts", "Any rye bread today?\nA rye bread course\nCake")
    panel.submit('button:has-text("Explain")')
    results = panel.do(lambda page: page.locator(".lab-result").all_inner_texts())
    assert results[0].startswith("HIT") and "minus word course" in results[1] and "No keyword" in results[2]
    marked = panel.do(lambda page: page.locator("mark.lab-minus").all_inner_texts())
    assert marked == ["course"]
    panel.submit('.lab-result:first-of-type button:has-text("is to be a hit") >> nth=0')
    assert GoldenText.objects.filter(text="Any rye bread today?", wanted=True).exists()


def test_every_page_of_the_lab_fits_with_rows_and_without(panel: Panel, world: SimpleNamespace) -> None:
    for number, hit in enumerate(_hits(world)):
        Verdict.objects.create(hit=hit, value=Verdict.Value.values[number], by="operator")
    for rows in (True, False):
        for tab in ("judge", "try", "change", "backtest", "golden", "precision", "suggestions", "versions"):
            assert panel.open(_page(world, tab)) == 200, tab
            assert panel.does_not_fit_on_a_phone() == [], (tab, rows)
        for model in (Hit, GoldenText, KeywordVersion, Keyword):
            model.objects.all().delete()
