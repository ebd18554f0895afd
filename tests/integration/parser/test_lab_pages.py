"""The pages of the keyword lab: what they show, save and refuse."""

from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from parser.lab.keyword_lists import ListedKeyword, keyword_list
from parser.lab.keyword_saving import keywords_change
from parser.models import GoldenText, Hit, KeywordVersion, Verdict, WatchedChat
from tests.integration.ledger import make_campaign

pytestmark = pytest.mark.django_db

TEA, COURSE = ListedKeyword("plus", "tea"), ListedKeyword("minus", "course")


@pytest.fixture
def make_hit(world):
    numbers = iter(range(1, 1000))

    def make(text, *, campaign=None, **values):
        number = next(numbers)
        facts = {"message_id": number, "telegram_user_id": 501, "keyword": "tea", "said_at": timezone.now()}
        created = timezone.now() + timedelta(seconds=number)
        where = {"campaign": campaign or world.campaign, "bot": world.parser, "chat": world.chat}
        return Hit.objects.create(text=text, created_at=created, **where, **facts | values)

    return make


@pytest.fixture
def lab(world, admin_client):
    """Open a page of the lab, or submit its form."""

    def visit(tab, data=None, *, query=""):
        url = reverse(f"admin:parser_keyword_lab_{tab}", args=[world.campaign.pk]) + query
        return admin_client.get(url) if data is None else admin_client.post(url, data, follow=True)

    return visit


def test_the_effect_names_lost_and_gained_messages_also_those_of_other_campaigns(world, lab, make_hit):
    lost = make_hit("tea course")
    Verdict.objects.create(hit=lost, value="competitor", by="ann")
    make_hit("green tea")
    other = make_campaign()
    WatchedChat.objects.create(campaign=other, chat=world.chat, bot=world.parser)
    make_hit("coffee in the chat", campaign=other)
    make_hit("tea course", campaign=other, message_id=lost.message_id)
    effect = lab("change", {"kind": "minus", "text": "course"}).context["effect"]
    assert (effect["read"], effect["lost"], effect["gained"]) == (3, [lost], [])
    assert effect["lost_by_verdict"] == [("Competitor", 1)]
    effect = lab("change", {"kind": "plus", "text": "coffee"}).context["effect"]
    assert [hit.text for hit in effect["gained"]] == ["coffee in the chat"] and not effect["lost"]
    assert keyword_list(campaign_id=world.campaign.pk) == (TEA,)


def test_a_selected_fragment_has_no_operators_and_a_typed_one_has(lab):
    assert lab("change", {"kind": "plus", "text": "(a cup | b"}).context["problem"].startswith("Column 1")
    page = lab("change", {"kind": "plus", "text": "(a cup | b", "literal": "1"})
    assert page.context["problem"] == "" and page.context["effect"] is not None


def test_saving_what_breaks_the_golden_set_asks_first(world, lab):
    GoldenText.objects.create(campaign=world.campaign, text="A tea course?", wanted=True)
    change = {"kind": "minus", "text": "course", "step": "save"}
    page = lab("change", change)
    assert "1 golden text gets the wrong answer" in page.content.decode() and "Save anyway" in page.content.decode()
    assert keyword_list(campaign_id=world.campaign.pk) == (TEA,)
    lab("change", change | {"despite_golden_set": "1"})
    assert keyword_list(campaign_id=world.campaign.pk) == (TEA, COURSE)


def test_a_keyword_is_removed_and_a_version_restored_with_their_effect_first(world, lab, make_hit):
    hit = make_hit("green tea")
    keywords_change(campaign_id=world.campaign.pk, by="ann", add=[COURSE])
    removal = {"kind": "plus", "text": "tea", "remove": "1"}
    assert lab("change", removal).context["effect"]["lost"] == [hit]
    lab("change", removal | {"step": "save"})
    assert keyword_list(campaign_id=world.campaign.pk) == (COURSE,)
    version = KeywordVersion.objects.earliest("number")
    page = lab("change", query=f"?version={version.pk}")
    assert page.context["effect"]["gained"] == [hit]
    lab("change", {"version": version.pk, "step": "save"})
    assert keyword_list(campaign_id=world.campaign.pk) == (TEA,)
    restored, *_ = lab("versions").context["versions"]
    assert restored["is_present"] and restored["row"].restored_from == version.number


def test_a_hits_page_shows_what_was_found_then_and_what_the_keywords_say_now(world, lab, make_hit, admin_client):
    reasons = [{"term": "green tea", "spans": [[7, 16]], "rule": "the words in this order"}]
    hit = make_hit("<some> green tea, no course", keyword="green tea", reasons=reasons)
    page = reverse("admin:parser_hit_change", args=[hit.pk])
    text = admin_client.get(page).content.decode()
    assert '&lt;some&gt; <mark class="lab-plus" title="green tea: the words in this order">green tea</mark>, no' in text
    assert "do not match this message" not in text
    keywords_change(campaign_id=world.campaign.pk, by="ann", add=[COURSE])
    text = admin_client.get(page).content.decode()
    assert "The present keywords do not match this message: minus word course." in text


def test_another_campaigns_hits_and_versions_are_not_there(world, lab, make_hit):
    other = make_campaign()
    keywords_change(campaign_id=other.pk, by="ann", add=[COURSE])
    hit = make_hit("tea", campaign=other)
    assert lab("change", query=f"?version={KeywordVersion.objects.get().pk}").context["effect"] is None
    lab("judge", {"hit": hit.pk, "value": "good"})
    assert not Verdict.objects.exists()


def test_a_second_press_on_the_same_hit_changes_nothing_else(lab, make_hit):
    older, newer = make_hit("older tea"), make_hit("newer tea")
    for _ in range(2):
        page = lab("judge", {"hit": newer.pk, "value": "spam"})
    assert Verdict.objects.get().hit == newer and page.context["hit"] == older
    page = lab("judge", {"hit": older.pk, "value": "great"})
    assert "Choose one of the verdicts." in page.content.decode() and Verdict.objects.count() == 1


def test_judged_hits_become_golden_texts_and_the_newest_verdict_on_a_text_counts(world, lab, make_hit):
    for text, value in (("tea?", "good"), ("tea?", "spam"), ("tea course", "competitor"), ("there", "good")):
        Verdict.objects.create(hit=make_hit(text), value=value, by="ann", at=timezone.now())
    GoldenText.objects.create(campaign=world.campaign, text="there", wanted=False)
    page = lab("golden", {"step": "verdicts"})
    assert "2 texts added" in page.content.decode()
    found = {row.text: (row.wanted, row.telegram_user_id) for row in GoldenText.objects.all()}
    assert found == {"tea?": (False, 501), "tea course": (False, 501), "there": (False, None)}
    assert [row["row"].text for row in page.context["rows"] if row["wrong"]] == ["tea course", "tea?"]


def _import(lab, content):
    return lab("golden", {"step": "import", "file": SimpleUploadedFile("golden.csv", content)}).content.decode()


def test_an_exported_golden_set_can_be_imported_again(world, lab):
    for text, wanted in (('=SUM("tea")', True), ("two\nlines; of tea", False), ("чай", True)):
        GoldenText.objects.create(campaign=world.campaign, text=text, wanted=wanted)
    before = set(GoldenText.objects.values_list("text", "wanted"))
    exported = b"".join(lab("golden_export").streaming_content)
    assert b"'=SUM" in exported
    GoldenText.objects.all().delete()
    assert "3 texts added" in _import(lab, exported)
    assert set(GoldenText.objects.values_list("text", "wanted")) == before


def test_a_spreadsheets_table_is_read_as_a_whole_or_not_at_all(world, lab):
    table = "Wanted;Text;Note\nда;Где купить чай;\nнет;Курсы чая;x\n"
    assert "2 texts added" in _import(lab, table.encode("cp1251"))
    GoldenText.objects.all().delete()
    for content, problem in (
        (b"text,wanted\ntea,yes\ncoffee,perhaps\n,no\n", "line 3: wanted is &#x27;perhaps&#x27;"),
        (b"text\ntea\n", "the header has to contain the columns text and wanted"),
        (b"text,wanted\n" + b"x" * 10_001 + b",yes\n", "line 2: The text has 10,001 characters"),
    ):
        assert problem in _import(lab, content)
        assert not GoldenText.objects.exists()


def test_pasted_texts_are_separated_by_lines_or_by_empty_lines(lab):
    def shown(given):
        return [result.text for result in lab("try", {"texts": given}).context["results"]]

    assert shown("one\r\ntwo\r\n") == ["one", "two"]
    assert shown("one\r\nstill one\r\n\r\n\r\ntwo") == ["one\nstill one", "two"]
    assert shown(" \n ") == []


def test_texts_are_marked_where_keywords_were_found(world, lab):
    keywords_change(campaign_id=world.campaign.pk, by="ann", add=[COURSE, ListedKeyword("plus", "buy ~1 cup")])
    page = lab("try", {"texts": "<b>TEA</b> for all\nA tea course\nbuy me a nice cup\nwater"})
    hit, excluded, missed, nothing = page.context["results"]
    assert [(piece.text, piece.kind) for piece in hit.pieces if piece.kind] == [("TEA", "plus")]
    assert [(piece.text, piece.kind) for piece in excluded.pieces if piece.kind] == [
        ("tea", "plus"),
        ("course", "minus"),
    ]
    assert [piece.text for piece in missed.pieces if piece.kind == "miss"] == ["buy", "cup"]
    text = page.content.decode()
    assert "3 words between, at most 1" in text and "minus word course" in text and "No keyword is in the text" in text
    assert "".join(piece.text for piece in hit.pieces) == hit.text and "&lt;b&gt;" in text
    assert [piece.kind for piece in nothing.pieces] == [""]
