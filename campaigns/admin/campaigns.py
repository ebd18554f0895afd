"""The pages of campaigns."""

from typing import Any

from django import forms
from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from campaigns import services
from campaigns.admin.base import PolicyAdmin
from campaigns.models import BOTH_ENDS, Campaign
from campaigns.start_checks import start_problems
from panelkit.errors import NotPossible
from panelkit.labels import choice_label
from panelkit.operations import Operation, when_in

State = Campaign.State


class CampaignForm(forms.ModelForm):
    """Shows at the field which end of the quiet hours is missing."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        missing = [name for name in ("quiet_from", "quiet_to") if name in given and given[name] is None]
        if len(missing) == 1 and not self.errors:
            self.add_error(missing[0], BOTH_ENDS)
        return given


@admin.register(Campaign)
class CampaignAdmin(PolicyAdmin):
    form = CampaignForm
    instead_of_deleting = "Finish the campaign instead: then it sends no more messages, and its page stays."
    empty_hint = "A campaign defines what is offered to whom, at which hours and how often."
    list_display = ("name", "state_label", "quiet_hours", "time_zone", "locale", "first_contact_interval_seconds")
    list_filter = (("state", ChoicesDropdownFilter), "locale")
    search_fields = ("name", "slug")
    ordering = ("name",)
    prepopulated_fields = {"slug": ("name",)}
    readonly_fields = ("state_label", "created_at")
    fieldsets = (
        (None, {"fields": (("name", "slug"), ("state_label", "created_at"))}),
        (
            "Language and times",
            {
                "fields": (
                    ("time_zone", "locale"),
                    ("quiet_from", "quiet_to"),
                    ("first_contact_interval_seconds", "reply_quiet_seconds"),
                    ("first_contact_horizon_hours", "cool_down_days"),
                )
            },
        ),
        ("First contact and LLM", {"fields": ("first_contact_template", "llm_model", "llm_brief")}),
    )
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "start",
            "Start",
            run=lambda campaign, call: services.campaign_start(campaign_id=campaign.pk),
            done="is running.",
            icon="play_arrow",
            variant="primary",
            when=when_in(State.DRAFT),
            confirm="Scripts, first contacts and replies are sent from now on if permissions and budgets allow them.",
            missing=lambda campaign: start_problems(campaign_id=campaign.pk),
            bulk=True,
        ),
        Operation(
            "pause",
            "Pause",
            run=lambda campaign, call: services.campaign_pause(campaign_id=campaign.pk),
            done="is paused: its messages wait until you resume it.",
            icon="pause",
            when=when_in(State.RUNNING),
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda campaign, call: services.campaign_resume(campaign_id=campaign.pk),
            done="is running again.",
            icon="play_arrow",
            variant="primary",
            when=when_in(State.PAUSED),
            bulk=True,
        ),
        Operation(
            "finish",
            "Finish",
            run=lambda campaign, call: services.campaign_finish(campaign_id=campaign.pk),
            done="has finished.",
            icon="stop",
            variant="danger",
            when=when_in(State.DRAFT, State.RUNNING, State.PAUSED),
            confirm="The campaign ends for good: its waiting messages are refused, and you cannot start it again.",
        ),
    )

    state_label = choice_label("state")

    @display(description="quiet hours")
    def quiet_hours(self, campaign: Campaign) -> str:
        if campaign.quiet_from is None or campaign.quiet_to is None:
            return ""
        return f"{campaign.quiet_from:%H:%M}–{campaign.quiet_to:%H:%M}"
