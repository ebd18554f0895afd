"""Verdicts on hits: which hit is next, and what they leave when a person's data is erased."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from parser.lab.precision import precision_of_campaigns, precision_of_terms
from parser.lab.suggestions import minus_suggestions
from parser.lab.verdicts import next_to_judge, verdict_set, verdict_withdraw
from parser.models import GoldenText, Hit, Verdict
from parser.person_data import ParserPersonalData
from privacy.person import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_hit(world):
    numbers = iter(range(1, 1000))

    def make(text="Any tea?", *, keyword="tea", user=501, campaign=None, reasons=()):
        number = next(numbers)
        return Hit.objects.create(
            campaign=campaign or world.campaign,
            bot=world.parser,
            chat=world.chat,
            message_id=number,
            telegram_user_id=user,
            text=text,
            keyword=keyword,
            reasons=list(reasons),
            said_at=timezone.now(),
            created_at=timezone.now() + timedelta(seconds=number),
        )

    return make


def judge(hit, value="good"):
    return verdict_set(hit_id=hit.pk, value=value, by="ann")


def test_the_next_hit_is_the_next_older_one_and_then_the_newest_without_a_verdict(world, make_hit):
    oldest, middle, newest = make_hit(), make_hit(), make_hit()
    of_campaign = {"campaign_id": world.campaign.pk}
    assert next_to_judge(**of_campaign) == newest
    judge(middle)
    assert next_to_judge(**of_campaign, after=newest) == oldest
    assert next_to_judge(**of_campaign, after=oldest) == newest
    for hit in (oldest, newest):
        judge(hit)
    assert next_to_judge(**of_campaign, after=newest) is None


def test_a_hit_has_one_verdict_which_can_be_changed_and_withdrawn(make_hit):
    hit = make_hit()
    judge(hit)
    judge(hit, "spam")
    assert Verdict.objects.get().value == "spam"
    assert verdict_withdraw(hit_id=hit.pk) and not verdict_withdraw(hit_id=hit.pk)
    assert verdict_set(hit_id=uuid4(), value="good", by="ann") is None


def test_a_changed_verdict_changes_the_golden_text_that_it_made_and_no_other(world, make_hit):
    hit = make_hit("Any tea?")
    GoldenText.objects.create(campaign=world.campaign, text="Any tea?", wanted=True, source="verdict")
    judge(hit, "competitor")
    assert not GoldenText.objects.get().wanted
    GoldenText.objects.update(source="hand", wanted=True)
    judge(hit, "spam")
    assert GoldenText.objects.get().wanted


def test_precision_is_counted_by_term_and_by_campaign(world, make_hit):
    for value in ("good", "good", "good", "spam"):
        judge(make_hit(), value)
    reasons = [{"term": term, "spans": [[0, 3]], "rule": ""} for term in ("oolong", "tea shop", "oolong")]
    judge(make_hit(keyword="oolong", reasons=reasons), "not_for_us")
    make_hit()
    tea, oolong, shop = precision_of_terms(campaign_id=world.campaign.pk)
    assert (tea.name, tea.judged, tea.good, tea.precision) == ("tea", 4, 3, 0.75)
    assert (oolong.name, oolong.judged, oolong.precision) == ("oolong", 1, 0)
    assert (shop.name, shop.counts) == ("tea shop", {"not_for_us": 1})
    [campaign] = precision_of_campaigns()
    assert (campaign.name, campaign.judged, campaign.counts) == (
        world.campaign.name,
        5,
        {"good": 3, "spam": 1, "not_for_us": 1},
    )


def test_the_same_advertisement_in_many_chats_is_one_text_for_suggestions(world, make_hit):
    for number in range(12):
        judge(make_hit(f"Tea course number {number}"), "competitor")
        judge(make_hit(f"Where do I get tea in street {number}"))
    for _ in range(30):
        judge(make_hit("Lottery of tea"), "spam")
    assert [suggestion.word for suggestion in minus_suggestions(campaign_id=world.campaign.pk)] == ["course", "number"]


def test_a_persons_verdicts_and_golden_texts_are_exported_and_erased(world, make_hit):
    judge(make_hit("Any tea?"))
    judge(make_hit("Another person's", user=502))
    texts = {"Any tea?": None, "I wrote this earlier": 501, "Another person's": None, "Invented": None}
    for text, author in texts.items():
        GoldenText.objects.create(campaign=world.campaign, text=text, telegram_user_id=author, source="verdict")
    room, person = ParserPersonalData(), Person(501)
    exported = room.export(person)
    assert {kind: len(rows) for kind, rows in exported.items() if rows} == {"hits": 1, "verdicts": 1, "golden texts": 2}
    assert room.texts(person) == {"Any tea?", "I wrote this earlier"}
    erased = {kind: number for kind, number in room.erase(person).items() if number}
    assert erased == {"hits": 1, "verdicts": 1, "golden texts": 2}
    assert set(GoldenText.objects.values_list("text", flat=True)) == {"Another person's", "Invented"}
    assert not any(room.erase(person).values())
