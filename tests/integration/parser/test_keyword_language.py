"""Stored keywords keep their meaning under the language of keywords; the command explains texts."""

import io
import json
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection

from campaigns.models import Campaign
from parser.keywords.compiling import Term, compile_terms
from parser.keywords.index import KeywordIndex
from parser.memory import Memory
from parser.models import Keyword

pytestmark = pytest.mark.django_db
migration = import_module("parser.migrations.0018_keyword_language")


@pytest.fixture
def campaign() -> Campaign:
    return Campaign.objects.create(slug="c", name="C", time_zone="UTC")


@pytest.mark.parametrize(
    ("text", "found", "not_found"),
    [
        ("ремонт (срочно)", "Ремонта, срочно!", "ремонт"),
        ("#ипотека", "нужна ипотека", "дом"),
        ("-30%", "скидка -30%", "скидка"),
        ("@coffee", "some coffee", "@coffee_shop"),
        ("школа*", "в школе", "школьник"),
        ("кофе | чай", "кофе, чай", "кофе"),
        ('ремонт "под ключ"', "ремонт под ключ", "ремонт"),
        ("a\\b", "a b", "a"),
        ("c++", "C++", "c"),
        ("wi-fi", "wi fi", "fi"),
    ],
)
def test_a_stored_keyword_keeps_its_meaning(campaign: Campaign, text: str, found: str, not_found: str):
    Keyword.objects.create(campaign=campaign, text=text)
    with connection.schema_editor() as editor:
        migration.escape(apps, editor)
    kept = Keyword.objects.get().text
    index: KeywordIndex[int] = KeywordIndex()
    index.put(1, compile_terms([Term(kept)], ["ru", "en"]))
    assert index.match(found, {1})
    assert not index.match(not_found, {1})
    with connection.schema_editor() as editor:
        migration.unescape(apps, editor)
    assert Keyword.objects.get().text == text


def test_a_keyword_that_can_never_match_is_refused_with_its_column(campaign: Campaign):
    with pytest.raises(ValidationError, match="Column 3: this \\( has no closing \\)"):
        Keyword(campaign=campaign, text="a (b").full_clean()


def tried(monkeypatch: pytest.MonkeyPatch, texts: str, *arguments: str) -> list[dict]:
    monkeypatch.setattr("sys.stdin", io.StringIO(texts))
    out = io.StringIO()
    call_command("keywords", "try", *arguments, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_texts_are_explained_with_a_file_of_keywords(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    terms = tmp_path / "terms.txt"
    terms.write_text("репетитор\nремонт ~1 ванная\n-курсы\n")
    texts = "Ищу репетитора\nремонт новой светлой ванной\n\nкурсы репетитора\n"
    hit, far, excluded = tried(monkeypatch, texts, "--terms", str(terms), "--language", "ru")
    assert hit == {
        "text": "Ищу репетитора",
        "hit": True,
        "terms": [{"term": "репетитор", "spans": [[4, 14]], "rule": "a form of “репетитор”"}],
        "minus": [],
        "near_misses": [],
        "reason": "",
    }
    assert (far["hit"], far["reason"]) == (False, "ремонт ~1 ванная: 2 words between, at most 1")
    assert (excluded["hit"], excluded["reason"]) == (False, "minus word курсы")
    assert excluded["minus"] == [{"term": "курсы", "spans": [[0, 5]], "rule": "a form of “курсы”"}]


def test_texts_are_explained_with_a_campaigns_keywords(campaign: Campaign, monkeypatch: pytest.MonkeyPatch):
    Keyword.objects.create(campaign=campaign, text="репетитор")
    assert tried(monkeypatch, "репетиторы\n", "--campaign", "c")[0]["hit"]


def test_every_line_of_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    terms = tmp_path / "terms.txt"
    terms.write_text("a (b\nкофе\n!!!\n")
    with pytest.raises(CommandError) as refused:
        call_command("keywords", "try", "--terms", str(terms))
    assert str(refused.value).splitlines() == [
        f"{terms}, line 1: Column 3: this ( has no closing )",
        f"{terms}, line 3: Column 1: “!!!” contains no word and no sign to look for",
    ]


def test_a_hit_keeps_its_reasons_with_their_places(campaign: Campaign):
    Keyword.objects.create(campaign=campaign, text="репетитор")
    Keyword.objects.create(campaign=campaign, text="английский ~2 ребенок")
    text = "Ищу репетитора по английскому для ребёнка"
    memory = Memory((0, 0), {}, KeywordIndex())
    terms = Keyword.objects.order_by("id").values_list("text", flat=True)
    memory.index.put(campaign.pk, compile_terms([Term(term) for term in terms], ["ru"]))
    reasons = memory.reasons(text, campaign.pk, memory.match(text, [campaign.pk])[campaign.pk])
    assert [(reason["term"], [text[start:end] for start, end in reason["spans"]]) for reason in reasons] == [
        ("репетитор", ["репетитора"]),
        ("английский ~2 ребенок", ["английскому", "ребёнка"]),
    ]


def test_a_language_that_does_not_exist_is_named(tmp_path: Path):
    terms = tmp_path / "terms.txt"
    terms.write_text("кофе")
    with pytest.raises(CommandError, match="There is no language “xx”"):
        call_command("keywords", "try", "--terms", str(terms), "--language", "xx")
