"""The forms that change keywords: each change becomes a version, and one that breaks the golden set asks first."""

from typing import Any
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.forms.formsets import DELETION_FIELD_NAME
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from campaigns.pickers import OPEN_CAMPAIGN
from panelkit.forms.suitable import SuitableForm
from panelkit.labels import clipped
from parser.lab.golden import golden_settings_change
from parser.lab.keyword_lists import KeywordList, ListedKeyword, keyword_list, sorted_list
from parser.lab.keyword_saving import GoldenSetBroken, golden_check, keywords_changing
from parser.models import Keyword, MatchingSettings

# The POST parameter of the answer to the question below.
ANYWAY = "despite_golden_set"
# The most texts that a question names.
_TEXTS_NAMED = 5


def golden_question(broken: GoldenSetBroken) -> SafeString:
    """What the change breaks, with a box that has to be ticked to save it all the same."""
    texts = [(clipped(row.text), "a hit" if row.wanted else "no hit") for row in broken.change.broken]
    named = format_html_join("", "<li>“{}” is to be {}</li>", texts[:_TEXTS_NAMED])
    more = format_html("<li>and {} more</li>", len(texts) - _TEXTS_NAMED) if len(texts) > _TEXTS_NAMED else ""
    return format_html(
        '{}<ul class="panel-besides">{}{}</ul><label><input type="checkbox" name="{}" value="1"> Save anyway</label>',
        str(broken),
        named,
        more,
        ANYWAY,
    )


def _ask(*, campaign_id: UUID, before: KeywordList, after: KeywordList, data: Any) -> None:
    """Raises ValidationError with the question if the change breaks the golden set and the box is not ticked."""
    try:
        golden_check(campaign_id=campaign_id, before=before, after=after, despite_golden_set=ANYWAY in data)
    except GoldenSetBroken as broken:
        raise ValidationError(golden_question(broken)) from None


def ask_about_settings(settings: MatchingSettings, data: Any) -> None:
    """Raises ValidationError with the question if these unsaved settings break the campaign's golden set."""
    if ANYWAY in data:
        return
    change = golden_settings_change(campaign_id=settings.campaign_id, settings=settings)
    if change.broken:
        raise ValidationError(golden_question(GoldenSetBroken(change)))


class KeywordFormSet(forms.BaseInlineFormSet):
    """The keywords on the campaign's page. `by` is the user."""

    by = ""

    def clean(self) -> None:
        super().clean()
        if any(self.errors) or not self.has_changed() or self.instance._state.adding:
            return
        given = [form.cleaned_data for form in self.forms]
        kept = [values for values in given if values.get("text") and not values.get(DELETION_FIELD_NAME)]
        after = sorted_list(ListedKeyword(values["kind"], values["text"]) for values in kept)
        campaign_id = self.instance.pk
        _ask(campaign_id=campaign_id, before=keyword_list(campaign_id=campaign_id), after=after, data=self.data)

    def save(self, commit: bool = True) -> Any:
        if not self.has_changed():
            return super().save(commit)
        with keywords_changing(campaign_ids=[self.instance.pk], by=self.by):
            return super().save(commit)


class KeywordForm(SuitableForm):
    """The page of one keyword."""

    suitable = {"campaign": OPEN_CAMPAIGN}

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        campaign = given.get("campaign") or (self.instance.campaign if self.instance.pk else None)
        if self.errors or campaign is None:
            return given
        before = keyword_list(campaign_id=campaign.pk)
        after = set(before)
        if self.instance.pk and self.instance.campaign_id == campaign.pk:
            after.discard(ListedKeyword(self.instance.kind, self.instance.text))
        after.add(ListedKeyword(given["kind"], given["text"]))
        _ask(campaign_id=campaign.pk, before=before, after=sorted_list(after), data=self.data)
        return given


def campaigns_of(rows: Any) -> set[UUID]:
    """The campaigns of these keywords, as they are stored."""
    return set(Keyword.objects.filter(pk__in=[row.pk for row in rows]).values_list("campaign_id", flat=True))
