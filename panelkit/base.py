"""The ModelAdmin and inline classes of every room."""

import hashlib
import logging
from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import F, Model, QuerySet, TextField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from psycopg.errors import UniqueViolation
from unfold.admin import TabularInline as UnfoldTabularInline
from unfold.decorators import display
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminExpandableTextareaWidget

from panelkit.deleting import Consequences, consequences
from panelkit.forms.suitable import narrowed
from panelkit.labels import link_to, related_column
from panelkit.lists.bounded_counts import BoundedChangeList, BoundedPaginator
from panelkit.lists.searching import meant_by
from panelkit.operation_pages import OperatingAdmin
from panelkit.registry import inlines_of, leaving_of, sections_of

# The context that hides the save buttons on a page without editable fields.
NOTHING_TO_SAVE = {"show_save": False, "show_save_and_continue": False, "show_save_and_add_another": False}
# The POST parameter with the page to open after the form is saved.
THEN = "_then"
log = logging.getLogger(__name__)
TOO_LATE = "Nothing was saved: another user saved the same values a moment before. The page shows the stored values."


class EmptyLastChangeList(BoundedChangeList):
    """A list that puts rows without a value last. PostgreSQL puts them first in descending order."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        nullable = {f"-{field.name}" for field in self.lookup_opts.concrete_fields if field.null}
        return [
            F(part[1:]).desc(nulls_last=True) if part in nullable else part
            for part in super().get_ordering(request, queryset)
        ]


class PanelAdmin(OperatingAdmin):
    """A page for rows that operators edit.

    - `secret_fields` are neither loaded nor shown.
    - `live_template`, rendered with `live_context(row)`, is shown above the form and reloaded every `live_seconds`
      seconds. The number of messages that are still being sent (`registry.add_leaving`) is shown there too.
    - Sections (`registry.add_section`) are shown below the form.
    - `empty_hint` is the text of an empty list: where its rows come from.
    - `instead_of_deleting` is the advice for a row that cannot be deleted because something has already happened to it.
    """

    empty_hint = ""
    instead_of_deleting = ""

    list_per_page = 50
    paginator: Any = BoundedPaginator
    # `BoundedChangeList` counts the rows itself.
    show_full_result_count = False
    list_filter_submit = True
    list_fullwidth = True
    compressed_fields = True
    change_form_outer_before_template = "panelkit/live.html"
    change_form_outer_after_template = "panelkit/sections.html"
    secret_fields: Sequence[str] = ()
    # Long columns that lists do not show, so they are not loaded; also columns of related rows
    # (`assignment__snapshot`).
    large_fields: Sequence[str] = ()
    # Whether this model's index on usernames is on "lower" or on "upper". A search for a @name uses the same lookup.
    name_lookup = "lower"
    live_template = ""
    live_seconds = 3

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer(*self.secret_fields, *self.large_fields)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows with the id or @username that was typed; if there are none, rows that contain the words."""
        queryset = narrowed(request, queryset)
        fields = self.get_search_fields(request)
        meant = meant_by(search_term, model=self.model, fields=fields, name_lookup=self.name_lookup)
        if meant is not None and (named := queryset.filter(meant)).exists():
            return named, False
        return super().get_search_results(request, queryset, search_term)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Hide secrets from users who may not change the row: their form shows all values as text.

        On the form of a new row also hide read-only fields that the database fills in.
        """
        fieldsets = super().get_fieldsets(request, obj)
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        hidden = set() if may_write else self._secret
        if obj is None:
            hidden = hidden | self._filled_in(request)
        return [(name, {**options, "fields": _without(options["fields"], hidden)}) for name, options in fieldsets]

    @property
    def _secret(self) -> set[str]:
        return {*self.secret_fields, *(f"remove_{name}" for name in self.secret_fields)}

    def _filled_in(self, request: HttpRequest) -> set[str]:
        shown = self.get_readonly_fields(request)
        return {field.name for field in self.opts.concrete_fields if field.has_db_default() and field.name in shown}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Write what the form changed and no other column: workers write to the same rows meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        columns = {field.name for field in obj._meta.concrete_fields}
        touched = {field.name for field in obj._meta.concrete_fields if getattr(field, "auto_now", False)}
        changed = columns & {*form.changed_data, *getattr(form, "written_secrets", ())}
        if changed:
            obj.save(update_fields=changed | touched)

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        _lock(self.model._default_manager.filter(pk=obj.pk))
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        _lock(self.model._default_manager.filter(pk__in=[row.pk for row in queryset]))
        super().delete_queryset(request, queryset)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Consequences:
        return consequences(objs, request, self.admin_site)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Continue to the page that the user wanted to open when unsaved.js asked them to save first."""
        answer = super().response_change(request, obj)
        then = request.POST.get(THEN, "")
        return HttpResponseRedirect(then) if url_has_allowed_host_and_scheme(then, allowed_hosts=None) else answer

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Report a violated unique constraint as a message.

        Forms check for duplicates before saving; when two users save the same values at once, both checks pass.
        """
        try:
            return super().changeform_view(request, *args, **kwargs)
        except IntegrityError as problem:
            if not isinstance(problem.__cause__, UniqueViolation):
                raise
            log.info("a form of %s came too late", self.opts.label)
            self.message_user(request, TOO_LATE, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        return [*super().get_inlines(request, obj), *inlines_of(self.model)]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.live_view)
        return [path("<path:object_id>/live/", view, name=self._url_name("live")), *super().get_urls()]

    def get_list_display(self, request: HttpRequest) -> Sequence[Any]:
        """Related rows are links for those who may view them; the first column leads to the row itself."""
        first, *others = super().get_list_display(request)
        return [first, *(self._linked(request, column) for column in others)]

    def _linked(self, request: HttpRequest, column: Any) -> Any:
        found = [field for field in self.opts.concrete_fields if field.name == column and field.is_relation]
        page = self.admin_site._registry.get(found[0].related_model) if found else None
        return related_column(found[0]) if page is not None and page.has_view_permission(request) else column

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EmptyLastChangeList

    def live_context(self, row: Any) -> dict[str, Any]:
        return {}

    def live_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return TemplateResponse(request, "panelkit/live.html", {"live": self._live(request, row)})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = kwargs.get("obj")
        if row is not None:
            context["live"] = self._live(request, row)
            context["sections"] = sections_of(row, request.GET.get("section", ""))
            if not _can_be_edited(context):
                context |= NOTHING_TO_SAVE
        return super().render_change_form(request, context, *args, **kwargs)

    def _live(self, request: HttpRequest, row: Model) -> dict[str, Any]:
        return {
            "template": self.live_template,
            "seconds": self.live_seconds,
            "version": _version(row),
            "url": reverse(f"admin:{self._url_name('live')}", args=(quote(row.pk),)),
            "offers": self.offers(request, row),
            "leaving": leaving_of(row),
            **(self.live_context(row) if self.live_template else {}),
        }


class FactAdmin(PanelAdmin):
    """A page for rows that record what happened. They cannot be added, changed or deleted here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class RowsInline(UnfoldTabularInline):
    """Rows that are edited together with the object they belong to."""

    extra = 0
    hide_title = True
    formfield_overrides = {TextField: {"widget": UnfoldAdminExpandableTextareaWidget}}
    tab = True


class FactInline(UnfoldTabularInline):
    """Read-only rows below the object that they belong to, in pages of `per_page`.

    Each row has a link to its own page unless `show_change_link` is off. Rows have no titles: these would only repeat
    the fields.
    """

    extra = 0
    hide_title = True
    per_page = 20
    tab = True
    can_delete = False
    show_change_link = True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        linked = self.show_change_link and self.admin_site.is_registered(self.model)
        return [*super().get_fields(request, obj), *(["own_page"] if linked else [])]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [*super().get_readonly_fields(request, obj), "own_page"]

    @display(description="page")
    def own_page(self, row: Model) -> str:
        return link_to(row, "open")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _can_be_edited(context: dict[str, Any]) -> bool:
    """Whether the page with this context has an editable field.

    `has_change_permission` is not enough: in the row's present state all fields may be read-only.
    """
    formsets = context["inline_admin_formsets"]
    return bool(context["adminform"].form.fields) or any(
        formset.has_add_permission or formset.has_change_permission or formset.has_delete_permission
        for formset in formsets
    )


def _version(row: Model) -> str:
    """A hash of the loaded columns, which differs after every change of the row."""
    deferred = row.get_deferred_fields()
    values = [getattr(row, field.attname) for field in row._meta.concrete_fields if field.attname not in deferred]
    return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


def _lock(rows: QuerySet[Any]) -> None:
    """Lock rows in the order of their primary keys, as all code does, and before the rows that belong to them."""
    list(rows.order_by("pk").select_for_update(no_key=True, of=("self",)).values_list("pk", flat=True))


def _without(fields: Any, hidden: set[str]) -> list[Any]:
    kept = [
        _without(entry, hidden) if isinstance(entry, list | tuple) else entry for entry in fields if entry not in hidden
    ]
    return [entry for entry in kept if entry != []]
