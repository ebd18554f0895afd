"""The accounts that take a campaign's leads: their page, and their section of the campaign's page."""

from django.contrib import admin
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display

from bots.accounts.suitability import with_logins
from campaigns.models import Campaign
from campaigns.pickers import OPEN_CAMPAIGN
from leads.models import CampaignManager
from leads.selectors import manager_advice, managers_choosable
from panelkit.base import PanelAdmin, RowsInline
from panelkit.forms.suitable import Suitable, SuitableForm, offer
from panelkit.registry import add_inline


class CampaignManagerForm(SuitableForm):
    suitable = {
        "bot": Suitable(lambda _row: managers_choosable(), manager_advice),
        "campaign": OPEN_CAMPAIGN,
    }


offer(CampaignManagerForm, "leads.CampaignManager")


class CampaignManagerInline(RowsInline):
    model = CampaignManager
    form = CampaignManagerForm
    fields = ("bot", "problem")
    readonly_fields = ("problem",)
    autocomplete_fields = ("bot",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CampaignManager]:
        return super().get_queryset(request).prefetch_related(Prefetch("bot", with_logins()))

    @display(description="problem")
    def problem(self, manager: CampaignManager) -> str:
        return manager_advice(manager.bot) if manager.pk else ""


add_inline(Campaign, CampaignManagerInline)


@admin.register(CampaignManager)
class CampaignManagerAdmin(PanelAdmin):
    form = CampaignManagerForm
    empty_hint = (
        "Add the manager accounts that contact a campaign's leads. A new lead goes to the account with the fewest open "
        "conversations."
    )
    list_display = ("bot", "campaign", "bot_state", "problem")
    list_filter = (("campaign", RelatedDropdownFilter),)
    list_select_related = ("campaign",)
    search_fields = ("bot__key", "bot__display_name", "campaign__name")
    autocomplete_fields = ("bot", "campaign")
    ordering = ("campaign__name", "bot__key")

    def get_queryset(self, request: HttpRequest) -> QuerySet[CampaignManager]:
        return super().get_queryset(request).prefetch_related(Prefetch("bot", with_logins()))

    @display(description="account state", ordering="bot__state")
    def bot_state(self, manager: CampaignManager) -> str:
        return manager.bot.get_state_display()

    @display(description="problem")
    def problem(self, manager: CampaignManager) -> str:
        return manager_advice(manager.bot)
