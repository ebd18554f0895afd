"""The matching settings: the languages of a campaign's keywords."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.admin import StackedInline
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from campaigns.pickers import OPEN_CAMPAIGN
from panelkit.base import PanelAdmin
from panelkit.forms.suitable import SuitableForm, offer
from parser.lab_pages.keyword_forms import ask_about_settings
from parser.models import MatchingSettings
from texts.words.languages import LANGUAGES


class MatchingSettingsForm(SuitableForm):
    suitable = {"campaign": OPEN_CAMPAIGN}

    languages = forms.MultipleChoiceField(
        choices=[(code, language.ability) for code, language in LANGUAGES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        required=False,
        help_text="None: each word is looked up in all dictionaries of its alphabet. Choose languages if keywords find "
        "words of a language that nobody writes in the chats.",
    )

    class Meta:
        model = MatchingSettings
        fields = ("campaign", "languages", "ignore_diacritics")

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        campaign = given.get("campaign") or getattr(self.instance, "campaign", None)
        if not self.errors and campaign is not None and not campaign._state.adding:
            chosen = {name: given[name] for name in ("languages", "ignore_diacritics")}
            try:
                ask_about_settings(MatchingSettings(campaign=campaign, **chosen), self.data)
            except ValidationError as question:
                # At a field: on the campaign's page nothing shows the errors of the form as a whole.
                self.add_error("languages", question)
        return given


offer(MatchingSettingsForm, "parser.MatchingSettings")


class MatchingSettingsInline(StackedInline):
    model = MatchingSettings
    form = MatchingSettingsForm
    fields = ("languages", "ignore_diacritics")
    max_num = 1
    tab = True
    hide_title = True
    verbose_name_plural = "Languages"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj is not None and hasattr(obj, "matching_settings") else 1


@admin.register(MatchingSettings)
class MatchingSettingsAdmin(PanelAdmin):
    form = MatchingSettingsForm
    empty_hint = "A campaign without matching settings detects the language of each word."
    list_display = ("campaign", "language_names", "ignore_diacritics")
    list_filter = ("ignore_diacritics", ("campaign", RelatedDropdownFilter))
    list_select_related = ("campaign",)
    search_fields = ("campaign__name",)
    autocomplete_fields = ("campaign",)
    ordering = ("campaign__name",)

    @admin.display(description="languages")
    def language_names(self, settings: MatchingSettings) -> str:
        known = (LANGUAGES[code].name if code in LANGUAGES else code for code in settings.languages)
        return ", ".join(known) or "detected"
