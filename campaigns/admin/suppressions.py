"""The pages of suppressions: people to whom no bot writes any more."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display

from campaigns.admin.suppression_imports import SuppressionImporting
from campaigns.identifiers import is_person_id, is_username, named, plain_username
from campaigns.models import NOBODY_NAMED, HashKey, Suppression
from campaigns.suppressions import csv_files
from campaigns.suppressions.recording import suppression_add
from campaigns.suppressions.registry import last_id_of
from panelkit.base import FactAdmin
from panelkit.labels import choice_label, moment_with_zone
from panelkit.lists.filters import RangeDateTimeFilter

NAME_HELP = (
    "Enter a username only if you do not know the id: CoolThing then looks up the id in its records. Without a record "
    "the suppression applies to every person with this username, until the id of the first such person is known. From "
    "then on it applies to the id only. This page then shows when and where the id was found."
)


class SuppressionForm(forms.ModelForm):
    """Applies the checks of an import."""

    def clean_telegram_user_id(self) -> int | None:
        number: int | None = self.cleaned_data["telegram_user_id"]
        if number is not None and not is_person_id(str(number)):
            raise ValidationError("This is not the Telegram id of a person: enter a positive number.")
        return number

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"].strip().removeprefix("@")
        if name and not is_username(name):
            raise ValidationError("This is not a Telegram username: enter letters, digits and _, such as tea_lover.")
        return name

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return given
        number, name = given.get("telegram_user_id"), given.get("username", "")
        if number is None and not name:
            raise ValidationError(NOBODY_NAMED)
        # A username stands for the person with that name in our records, as in `suppression_add`.
        meant = last_id_of(plain_username(name)) if number is None else number
        known = Suppression.objects.filter(telegram_user_id=meant)
        if meant is None:
            known = known.filter(named(name))
        if row := known.first():
            field = "username" if number is None else "telegram_user_id"
            self.add_error(field, f"This person is suppressed already, since {moment_with_zone(row.created_at)}.")
        return given


class AppliesToFilter(DropdownFilter):
    title = "applies to"
    # Older than the title, and kept: it stands in bookmarked addresses.
    parameter_name = "holds_for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("id", "A Telegram id"), ("name", "A username without a known id"), ("erased", "An erased person")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Suppression]) -> QuerySet[Suppression]:
        conditions = {
            "id": Q(telegram_user_id__isnull=False),
            "name": Q(telegram_user_id=None, person_hash=""),
            "erased": ~Q(person_hash=""),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


@admin.register(Suppression)
class SuppressionAdmin(SuppressionImporting):
    form = SuppressionForm
    empty_hint = "CoolThing never writes again to people who opt out, who block an account, or whom you add here."
    list_display = ("person", "telegram_user_id", "applies_to", "source_label", "reason", "created_at")
    list_filter = (AppliesToFilter, ("source", ChoicesDropdownFilter), ("created_at", RangeDateTimeFilter))
    search_fields = ("username", "=telegram_user_id", "reason")
    ordering = ("-created_at",)
    readonly_fields = ("applies_to",)
    actions_list = ("import_file", "export_file")

    source_label = choice_label("source")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        entered = ["telegram_user_id", "username", "reason"]
        return [*entered, "applies_to", "source", "created_at"] if obj else entered

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, help_texts={"username": NAME_HELP}, **kwargs)

    @display(description="person", ordering="username")
    def person(self, suppression: Suppression) -> str:
        return str(suppression)

    @display(description="applies to")
    def applies_to(self, suppression: Suppression) -> str:
        if suppression.person_hash:
            return "an erased person, of whom only a hash is stored"
        if suppression.telegram_user_id is None:
            return "every person with the username, until the id is known"
        if suppression.resolved_at is None:
            return "the Telegram id"
        return f"the Telegram id, learned from {suppression.resolved_by} at {moment_with_zone(suppression.resolved_at)}"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Suppression | None = None) -> bool:
        """A person's own opt-out remains; an operator's entry may be a mistake."""
        entered = (Suppression.Source.OPERATOR, Suppression.Source.IMPORT)
        by_operator = obj is not None and obj.source in entered and not obj.person_hash
        return by_operator and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        obj.pk = suppression_add(
            telegram_user_id=obj.telegram_user_id,
            username=obj.username,
            source=Suppression.Source.OPERATOR,
            reason=obj.reason,
        ).pk

    @action(description="Export", url_path="export", icon="download", permissions=["view"])
    def export_file(self, request: HttpRequest) -> StreamingHttpResponse:
        response = StreamingHttpResponse(csv_files.lines(), content_type="text/csv; charset=utf-8")
        response.headers["Content-Disposition"] = 'attachment; filename="suppressions.csv"'
        response.headers["Cache-Control"] = "private, no-store"
        return response


@admin.register(HashKey)
class HashKeyAdmin(FactAdmin):
    """Shows that the key exists, and since when."""

    empty_hint = "CoolThing creates the key when personal data is erased for the first time."
    list_display = ("__str__", "created_at")
    list_filter = (("created_at", RangeDateTimeFilter),)
    search_fields = ("=id",)
    ordering = ("created_at",)
    secret_fields = ("key",)
    fields = ("created_at",)
