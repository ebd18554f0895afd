"""The page "Queues": the messages, consumers and rates of each queue, and the operations to pause and resume it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.views.decorators.http import require_POST, require_safe

from coolthing_site.panel.charts import Chart, chart
from messaging import services
from messaging.admin import ReasonForm
from messaging.broker.topology import MAINTENANCE_QUEUE, SERVICES, TOPOLOGY
from messaging.database.clock import database_clock
from messaging.models import QueueControl, QueueSample
from messaging.observability import queue_stats
from messaging.observability.queue_stats import HeadAge, Snapshot
from panelkit.errors import NotPossible
from panelkit.rights import may_view

_GAP = timedelta(seconds=queue_stats.STALE_SECONDS)


@dataclass(frozen=True)
class QueueRow:
    """A queue. `now` is None if the broker's last answer did not contain it. `dead` is the depth of its DLQ, if any."""

    queue: str
    service: str
    now: QueueSample | None
    head: HeadAge | None
    dlq: str
    dead: int | None
    control: QueueControl | None
    waiting: Chart
    acks: Chart

    @property
    def is_paused(self) -> bool:
        return self.control is not None and self.control.paused

    @property
    def has_no_consumer(self) -> bool:
        """No worker consumes the queue, although it is not paused."""
        return self.now is not None and self.now.consumers == 0 and not self.is_paused


@require_safe
def queues(request: HttpRequest) -> HttpResponse:
    _require(request, "view")
    now, newest = database_clock(), queue_stats.snapshot()
    controls = {control.queue: control for control in QueueControl.objects.all()}
    sampler = controls.get(MAINTENANCE_QUEUE)
    context = {
        **admin.site.each_context(request),
        "title": "Queues",
        "newest": newest,
        "now": now,
        "rows": _rows(newest, controls, now),
        "services": _services(controls),
        "sampler_paused": sampler is not None and sampler.paused,
        "may_change": _may(request, "change"),
        "seconds": queue_stats.SAMPLE_SECONDS,
    }
    return TemplateResponse(request, "panel/queues.html", context)


def pause(request: HttpRequest, queue: str) -> HttpResponse:
    """The page that asks for the reason, and then pauses the queue."""
    _require(request, "change")
    if queue not in SERVICES:
        raise Http404
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.queue_pause(queue=queue, reason=form.cleaned_data["reason"], by=request.user.get_username())
        text = "workers stop consuming it within seconds; they still handle their prefetched messages."
        return _done(request, queue, "Pause.", text)
    context = {**admin.site.each_context(request), "title": f"Pause {queue}", "queue": queue, "form": form}
    return TemplateResponse(request, "panel/queue_pause.html", context)


@require_POST
def resume(request: HttpRequest, queue: str) -> HttpResponse:
    _require(request, "change")
    if queue not in SERVICES:
        raise Http404
    services.queue_resume(queue=queue, by=request.user.get_username())
    return _done(request, queue, "Resume.", "workers consume it again within seconds.")


def pause_service(request: HttpRequest, service: str) -> HttpResponse:
    """As `pause`, for all queues of a service."""
    _require(request, "change")
    queues = _queues_of(service)
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        services.service_pause(service=service, reason=form.cleaned_data["reason"], by=request.user.get_username())
        text = "workers stop consuming its queues within seconds; they still handle their prefetched messages."
        return _done_with(request, service, "Pause.", text)
    context = {
        **admin.site.each_context(request),
        "title": f"Pause the service {service}",
        "queue": ", ".join(queues),
        "form": form,
    }
    return TemplateResponse(request, "panel/queue_pause.html", context)


@require_POST
def resume_service(request: HttpRequest, service: str) -> HttpResponse:
    _require(request, "change")
    _queues_of(service)
    services.service_resume(service=service, by=request.user.get_username())
    return _done_with(request, service, "Resume.", "workers consume its queues again within seconds.")


def _queues_of(service: str) -> list[str]:
    try:
        return services.queues_of(service)
    except NotPossible:
        raise Http404 from None


def _services(controls: dict[str, QueueControl]) -> list[dict[str, Any]]:
    """Each service with its queues, those of them that are paused, and whether all are paused."""
    found = []
    for service in dict.fromkeys(SERVICES.values()):
        queues = services.queues_of(service)
        paused = [queue for queue in queues if queue in controls and controls[queue].paused]
        found.append({"name": service, "queues": queues, "paused": paused, "is_paused": len(paused) == len(queues)})
    return found


def _rows(newest: Snapshot, controls: dict[str, QueueControl], now: datetime) -> list[QueueRow]:
    history = queue_stats.history(now)
    return [_row(queue, newest, controls.get(queue), history.get(queue, []), now) for queue in SERVICES]


def _row(
    queue: str, newest: Snapshot, control: QueueControl | None, past: list[QueueSample], now: datetime
) -> QueueRow:
    letters = TOPOLOGY.queue(queue).dead_letters
    dlq = newest.queues.get(letters.queue) if letters else None
    return QueueRow(
        queue=queue,
        service=SERVICES[queue],
        now=newest.queues.get(queue),
        head=queue_stats.head_age(past, now),
        dlq=letters.queue if letters else "",
        dead=dlq.ready + dlq.unacked if dlq else None,
        control=control,
        waiting=_chart([(row.at, row.ready + row.unacked) for row in past], now),
        acks=_chart([(row.at, row.ack_rate) for row in past], now),
    )


def _chart(points: list[tuple[datetime, float]], now: datetime) -> Chart:
    return chart(points, until=now, span=queue_stats.KEPT, gap=_GAP)


def _done(request: HttpRequest, queue: str, what: str, text: str) -> HttpResponse:
    control = QueueControl.objects.get(queue=queue)
    _log(request, [control], what)
    messages.success(request, f"{control}: {text}")
    return HttpResponseRedirect(reverse("queues"))


def _done_with(request: HttpRequest, service: str, what: str, text: str) -> HttpResponse:
    _log(request, list(QueueControl.objects.filter(queue__in=services.queues_of(service))), what)
    messages.success(request, f"{service}: {text}")
    return HttpResponseRedirect(reverse("queues"))


def _log(request: HttpRequest, controls: list[QueueControl], what: str) -> None:
    for control in controls:
        # The reason is not stored in the row after the queue is resumed.
        text = f"{what} {control.reason}".strip() if control.paused else what
        admin.site.get_model_admin(QueueControl).log_change(request, control, text)


def _require(request: HttpRequest, right: str) -> None:
    if not _may(request, right):
        raise PermissionDenied


def _may(request: HttpRequest, right: str) -> bool:
    if right == "view":
        return may_view(request.user, "messaging.QueueControl")
    return request.user.has_perm(f"messaging.{right}_queuecontrol")


def _page(view: Any) -> Any:
    """A view for staff who are logged in. Other users are redirected to the login page."""
    return admin.site.admin_view(view)


urlpatterns = [
    path("", _page(queues), name="queues"),
    path("services/<slug:service>/pause/", _page(pause_service), name="service-pause"),
    path("services/<slug:service>/resume/", _page(resume_service), name="service-resume"),
    path("<slug:queue>/pause/", _page(pause), name="queue-pause"),
    path("<slug:queue>/resume/", _page(resume), name="queue-resume"),
]
