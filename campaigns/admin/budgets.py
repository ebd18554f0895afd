"""The pages of budgets."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from campaigns.admin.base import PolicyAdmin
from campaigns.budgets import UnknownKey, budget_names, key_resolve
from campaigns.models import Budget
from panelkit.labels import short_choice


class BudgetForm(forms.ModelForm):
    """Accepts names for the budget's object, and stores the id by which the gate counts."""

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if "scope" in given and "key" in given:
            try:
                given["key"] = key_resolve(scope=given["scope"], key=given["key"])
            except UnknownKey as problem:
                self.add_error("key", str(problem))
        return given


@admin.register(Budget)
class BudgetAdmin(PolicyAdmin):
    form = BudgetForm
    empty_hint = (
        "Without budgets only Telegram's own limits apply. Add budgets to limit the messages of the team, a campaign "
        "or an account, or the messages to a chat or a person."
    )
    list_display = ("scope", "named", "purpose", "counted", "limit", "window_seconds")
    list_filter = (("scope", ChoicesDropdownFilter), ("purpose", ChoicesDropdownFilter), "counts")
    search_fields = ("key",)
    ordering = ("scope", "key", "purpose", "counts", "window_seconds")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        names = budget_names(changes.result_list)
        for budget in changes.result_list:
            budget.named = names.get((budget.scope, budget.key), budget.key) or "each separately"
        return changes

    @display(description="applies to", ordering="key")
    def named(self, budget: Any) -> str:
        return "" if budget.scope == Budget.Scope.TEAM else str(budget.named)

    @display(description="counts", ordering="counts")
    def counted(self, budget: Budget) -> str:
        return short_choice(budget.get_counts_display())
