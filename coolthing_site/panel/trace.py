"""The trace page: the history of an event, and a search box for event ids."""

from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from coolthing_site.panel.navigation import TRACE_MODELS, request_may_view
from messaging.observability.trace import Trace, TraceStep, trace
from panelkit.labels import page_of

SOURCES = (*TRACE_MODELS, "parser.Hit", "leads.Lead", "notifier.Notification")


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The search box. A complete id opens the page of its event."""
    _require(request)
    asked = request.GET.get("id", "").strip()
    if not asked:
        return _page(request, {})
    try:
        return HttpResponseRedirect(reverse("trace", args=(UUID(asked),)))
    except ValueError:
        return _page(
            request,
            {"asked": asked, "problem": "This is not an event id. An event id is a UUID: 32 hexadecimal digits."},
        )


@require_safe
def history(request: HttpRequest, event_id: UUID) -> HttpResponse:
    _require(request)
    found = trace(event_id)
    return _page(request, {"asked": str(event_id), "trace": found, "steps": _shown(request, found)})


def _sources(request: HttpRequest) -> list[tuple[str, str]]:
    """The lists (address and name) of the objects whose pages show event ids."""
    metas = [apps.get_model(model)._meta for model in SOURCES if request_may_view(request, model)]
    return [
        (reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist"), str(meta.verbose_name_plural))
        for meta in metas
    ]


def _shown(request: HttpRequest, found: Trace) -> list[dict[str, Any]]:
    """The steps whose rows the user may view."""
    steps = [step for step in found.steps if step.row is None or request_may_view(request, step.row._meta.label)]
    first = steps[0].at if steps else None
    return [
        {"step": step, "after": (step.at - first).total_seconds() if first else 0.0, "link": _link(step)}
        for step in steps
    ]


def _link(step: TraceStep) -> str:
    return page_of(step.row) if step.row is not None and admin.site.is_registered(type(step.row)) else ""


def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    shared = {**admin.site.each_context(request), "title": "Trace", "sources": _sources(request)}
    return TemplateResponse(request, "panel/trace.html", shared | context)


def _require(request: HttpRequest) -> None:
    if not any(request_may_view(request, model) for model in TRACE_MODELS):
        raise PermissionDenied


urlpatterns = [
    path("", admin.site.admin_view(search), name="trace-search"),
    path("<uuid:event_id>/", admin.site.admin_view(history), name="trace"),
]
