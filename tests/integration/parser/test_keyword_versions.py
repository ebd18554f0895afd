"""Every change of keywords, through whatever door, is one version, and asks before it breaks the golden set."""

import pytest
from django.urls import reverse

from panelkit.errors import NotPossible
from parser.lab.keyword_lists import ListedKeyword, keyword_list
from parser.lab.keyword_saving import GoldenSetBroken, keywords_change, keywords_restore
from parser.models import GoldenText, Keyword, KeywordVersion, MatchingSettings
from tests.integration.ledger import make_campaign

pytestmark = pytest.mark.django_db

TEA, COURSE = ListedKeyword("plus", "tea"), ListedKeyword("minus", "course")


@pytest.fixture
def campaign():
    made = make_campaign()
    keywords_change(campaign_id=made.pk, by="ann", add=[TEA])
    return made


def versions(campaign):
    found = KeywordVersion.objects.filter(campaign=campaign).order_by("number")
    return [(version.by, sorted(entry["text"] for entry in version.keywords)) for version in found]


def inline(campaign, client, *rows, **extra):
    """Submit the campaign's page with these keywords: pairs of a stored row or None, and its values."""
    page = reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    context = client.get(page).context
    data = {name: value for name, value in context["adminform"].form.initial.items() if value is not None}
    for inlines in context["inline_admin_formsets"]:
        data |= {f"{inlines.formset.prefix}-INITIAL_FORMS": 0, f"{inlines.formset.prefix}-TOTAL_FORMS": 0}
    data |= {"keywords-INITIAL_FORMS": sum(row is not None for row, _ in rows), "keywords-TOTAL_FORMS": len(rows)}
    for number, (row, values) in enumerate(rows):
        own = {"id": row.pk if row else "", "campaign": campaign.pk, **values}
        data |= {f"keywords-{number}-{name}": value for name, value in own.items()}
    for prefix in ("watched_chats", "managers", "second_look"):
        data |= {f"{prefix}-INITIAL_FORMS": 0, f"{prefix}-TOTAL_FORMS": 0}
    return client.post(page, data | extra)


def test_one_save_of_the_campaigns_page_is_one_version(campaign, admin_client):
    tea = campaign.keywords.get()
    answer = inline(
        campaign,
        admin_client,
        (tea, {"kind": "plus", "text": "tea", "DELETE": "on"}),
        (None, {"kind": "plus", "text": "oolong"}),
        (None, {"kind": "minus", "text": "course"}),
    )
    assert answer.status_code == 302
    assert versions(campaign) == [("ann", ["tea"]), ("admin", ["course", "oolong"])]


def test_a_save_that_changes_no_keyword_is_no_version(campaign, admin_client):
    assert inline(campaign, admin_client, (campaign.keywords.get(), {"kind": "plus", "text": "tea"})).status_code == 302
    assert keywords_change(campaign_id=campaign.pk, by="bob", add=[TEA]) == keywords_change(
        campaign_id=campaign.pk, by="bob", remove=[COURSE]
    )
    assert len(versions(campaign)) == 1


def test_the_keywords_own_page_makes_versions_of_both_campaigns(campaign, admin_client):
    other = make_campaign()
    row = campaign.keywords.get()
    page = reverse("admin:parser_keyword_change", args=[row.pk])
    assert admin_client.post(page, {"campaign": other.pk, "kind": "plus", "text": "tea"}).status_code == 302
    assert versions(campaign) == [("ann", ["tea"]), ("admin", [])]
    assert versions(other) == [("admin", ["tea"])]
    chosen = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
    admin_client.post(reverse("admin:parser_keyword_changelist"), chosen)
    assert versions(other) == [("admin", ["tea"]), ("admin", [])]


def test_a_change_past_the_doors_bears_nobodys_name(campaign):
    Keyword.objects.create(campaign=campaign, text="by SQL")
    keywords_change(campaign_id=campaign.pk, by="bob", add=[COURSE])
    assert versions(campaign)[1:] == [("", ["by SQL", "tea"]), ("bob", ["by SQL", "course", "tea"])]


def test_a_version_is_restored_as_a_new_one(campaign):
    keywords_change(campaign_id=campaign.pk, by="bob", add=[COURSE], remove=[TEA])
    first = KeywordVersion.objects.get(campaign=campaign, number=1)
    keywords_restore(version_id=first.pk, by="carl")
    assert keyword_list(campaign_id=campaign.pk) == (TEA,)
    latest = KeywordVersion.objects.get(campaign=campaign, number=3)
    assert (latest.by, latest.restored_from) == ("carl", 1)


def test_a_change_that_breaks_the_golden_set_changes_nothing_until_it_is_confirmed(campaign):
    GoldenText.objects.create(campaign=campaign, text="A tea course for my mother?", wanted=True)
    GoldenText.objects.create(campaign=campaign, text="Our course begins: all about tea", wanted=False)
    with pytest.raises(GoldenSetBroken, match="1 golden text gets the wrong answer") as refused:
        keywords_change(campaign_id=campaign.pk, by="bob", add=[COURSE])
    assert [row.wanted for row in refused.value.change.broken] == [True]
    assert [row.wanted for row in refused.value.change.fixed] == [False]
    assert "Recall 100% → 0%, precision 50% → –." in str(refused.value)
    assert keyword_list(campaign_id=campaign.pk) == (TEA,) and len(versions(campaign)) == 1
    keywords_change(campaign_id=campaign.pk, by="bob", add=[COURSE], despite_golden_set=True)
    assert KeywordVersion.objects.get(number=2).golden == {"texts": 2, "wanted": 1, "matched": 0, "found": 0}


def test_the_forms_ask_before_they_break_the_golden_set(campaign, admin_client):
    GoldenText.objects.create(campaign=campaign, text="Where is <good> tea?", wanted=True)
    tea = campaign.keywords.get()
    row = (tea, {"kind": "plus", "text": "tea", "DELETE": "on"})
    answer = inline(campaign, admin_client, row)
    page = answer.content.decode()
    assert "1 golden text gets the wrong answer" in page and "&lt;good&gt;" in page and "<good>" not in page
    own = reverse("admin:parser_keyword_change", args=[tea.pk])
    values = {"campaign": campaign.pk, "kind": "plus", "text": "coffee"}
    assert "Save anyway" in admin_client.post(own, values).content.decode()
    assert keyword_list(campaign_id=campaign.pk) == (TEA,)
    assert admin_client.post(own, values | {"despite_golden_set": "1"}).status_code == 302
    assert keyword_list(campaign_id=campaign.pk) == (ListedKeyword("plus", "coffee"),)
    assert (
        inline(campaign, admin_client, (tea, {"kind": "minus", "text": "coffee"}), despite_golden_set="1").status_code
        == 302
    )
    assert keyword_list(campaign_id=campaign.pk) == (ListedKeyword("minus", "coffee"),)


def test_a_keyword_that_cannot_be_stored_is_refused(campaign):
    for text in ("", "x" * 401, "(tea"):
        with pytest.raises(NotPossible):
            keywords_change(campaign_id=campaign.pk, by="bob", add=[ListedKeyword("plus", text)])


def test_matching_settings_ask_before_they_break_the_golden_set(campaign, admin_client):
    keywords_change(campaign_id=campaign.pk, by="ann", add=[ListedKeyword("plus", "café")])
    settings = MatchingSettings.objects.create(campaign=campaign, ignore_diacritics=True)
    GoldenText.objects.create(campaign=campaign, text="Is there a cafe?", wanted=True)
    page = reverse("admin:parser_matchingsettings_change", args=[settings.pk])
    answer = admin_client.post(page, {"campaign": campaign.pk})
    assert "1 golden text gets the wrong answer" in answer.content.decode()
    settings.refresh_from_db()
    assert settings.ignore_diacritics
    assert admin_client.post(page, {"campaign": campaign.pk, "despite_golden_set": "1"}).status_code == 302
    settings.refresh_from_db()
    assert not settings.ignore_diacritics
