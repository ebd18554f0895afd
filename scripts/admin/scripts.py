"""The pages of scripts, slots and lines. A script's page contains its slots and lines."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display

from panelkit.base import PanelAdmin, RowsInline
from panelkit.labels import text_column
from panelkit.lists.filters import RangeDateTimeFilter
from panelkit.lists.related_counts import related_count
from scripts.admin.line_forms import LineFormSet, LinePageForm, LineRowForm
from scripts.models import Line, Script, Slot


class SlotInline(RowsInline):
    model = Slot
    tab = False


class OfOneScriptInline(RowsInline):
    """Offers the slots and lines of one script only. They are loaded once, not for each row."""

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        formfield = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if db_field.related_model in (Slot, Line):
            formfield.queryset = db_field.related_model.objects.filter(script=self.script_id(request))
            formfield.choices = list(formfield.choices)
        return formfield

    def script_id(self, request: HttpRequest) -> str | None:
        return request.resolver_match.kwargs.get("object_id") if request.resolver_match else None


class LineInline(OfOneScriptInline):
    model = Line
    form = LineRowForm
    formset = LineFormSet
    fields = ("position", "key", "slot", "text", "reply_to", "delay_seconds")
    ordering = ("position",)
    tab = False


@admin.register(Script)
class ScriptAdmin(PanelAdmin):
    instead_of_deleting = "You can keep it: a script sends nothing without an activated assignment."
    empty_hint = "Add a script: a dialogue whose lines are sent by the accounts that you choose for its slots."
    list_display = ("name", "slug", "lines_count", "slots_count", "created_at")
    list_filter = (("created_at", RangeDateTimeFilter),)
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    fields = (("name", "slug"),)
    ordering = ("name",)
    inlines = (SlotInline, LineInline)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Script]:
        lines, slots = related_count(Line.objects.all(), by="script"), related_count(Slot.objects.all(), by="script")
        return super().get_queryset(request).annotate(n_lines=lines, n_slots=slots)

    @display(description="lines", ordering="n_lines")
    def lines_count(self, script: Any) -> int:
        return script.n_lines

    @display(description="slots", ordering="n_slots")
    def slots_count(self, script: Any) -> int:
        return script.n_slots


class OfOneScriptAdmin(PanelAdmin):
    """Rows that stay with their script: lines refer to slots and other lines of the same script."""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*super().get_readonly_fields(request, obj), *(("script",) if obj else ()))


@admin.register(Slot)
class SlotAdmin(OfOneScriptAdmin):
    empty_hint = "A slot is a part in a script. You choose an account for it when you assign the script to a campaign."
    list_display = ("name", "script")
    list_filter = (("script", RelatedDropdownFilter),)
    list_select_related = ("script",)
    search_fields = ("name", "script__name")
    autocomplete_fields = ("script",)
    ordering = ("script__name", "name")


@admin.register(Line)
class LineAdmin(OfOneScriptAdmin):
    form = LinePageForm
    empty_hint = "Add lines on the script's page, or here."
    list_display = ("position", "key", "script", "slot", "excerpt", "delay_seconds")
    list_display_links = ("position", "key")
    list_filter = (("script", RelatedDropdownFilter),)
    list_select_related = ("script", "slot")
    search_fields = ("key", "text", "script__name")
    autocomplete_fields = ("script", "slot", "reply_to")
    ordering = ("script__name", "position")

    excerpt = text_column("text")
