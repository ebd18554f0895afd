"""The page of API tokens: a key is shown once, on the page that follows its creation."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_variables

from coolthing_site.api.tokens import token_issue
from coolthing_site.models import ApiToken
from panelkit.base import PanelAdmin
from panelkit.deleting import Consequences
from panelkit.lists.filters import RangeDateTimeFilter


@admin.register(ApiToken)
class ApiTokenAdmin(PanelAdmin):
    """API tokens. A token has the rights of its owner.

    Users with the permission to add tokens add and revoke their own tokens. Superusers can add tokens for others, and
    users with the permission to delete tokens can revoke any token.
    """

    empty_hint = (
        "Programs use tokens to read the API. Add a token for each program, so that you can revoke each separately."
    )
    list_display = ("name", "user", "created_at", "last_used_at")
    list_filter = (("created_at", RangeDateTimeFilter), ("last_used_at", RangeDateTimeFilter))
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)
    ordering = ("-created_at",)
    secret_fields = ("digest",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        if obj is not None:
            return (("name", "user"), ("created_at", "last_used_at"))
        return ("name", "user") if request.user.is_superuser else ("name",)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"user": request.user.pk, **super().get_changeform_initial_data(request)}

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return super().has_delete_permission(request, obj) or self._is_own(request, obj)

    def has_view_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        """Users with the permission to add tokens may view their own tokens."""
        if super().has_view_permission(request, obj):
            return True
        return self.has_add_permission(request) if obj is None else self._is_own(request, obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        tokens: QuerySet[ApiToken] = super().get_queryset(request)
        if super().has_view_permission(request):
            return tokens
        return tokens.filter(user__username=request.user.get_username())

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> ApiToken | None:
        """Also finds tokens of other users, whose pages answer 403 and not 404."""
        return ApiToken.objects.select_related("user").filter(pk=object_id).first() if object_id.isdecimal() else None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Consequences:
        """Owners need no permission to delete their tokens; no other rows are deleted with a token."""
        rows, counts, forbidden, stays = super().get_deleted_objects(objs, request)
        return rows, counts, set() if all(self._is_own(request, token) for token in objs) else forbidden, stays

    def _is_own(self, request: HttpRequest, obj: ApiToken | None) -> bool:
        return obj is not None and obj.user_id == request.user.pk and self.has_add_permission(request)

    @sensitive_variables("key")
    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        owner = form.cleaned_data.get("user") or User.objects.get(username=request.user.get_username())
        token, key = token_issue(user=owner, name=obj.name)
        obj.pk, obj.user, obj.shown_once = token.pk, owner, key

    @sensitive_variables()
    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key in the response itself: for a message or another page the key would have to be stored."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Token {obj.name}",
            "opts": self.opts,
            "key": obj.shown_once,
            "back": reverse(f"admin:{self._url_name('changelist')}"),
        }
        answer = TemplateResponse(request, "panel/token.html", context)
        answer.headers["Cache-Control"] = "private, no-store"
        return answer
