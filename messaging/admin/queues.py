"""The pages of paused queues and of the queues' statistics."""

from django.contrib import admin
from unfold.decorators import display

from messaging import services
from messaging.admin.parts import GrowingTableAdmin, QueueNameFilter, ReasonForm
from messaging.broker import topology
from messaging.models import QueueControl, QueueSample
from panelkit.base import FactAdmin
from panelkit.errors import NotPossible
from panelkit.labels import moment, tag
from panelkit.operations import Operation


@admin.register(QueueControl)
class QueueControlAdmin(FactAdmin):
    empty_hint = "No queue has ever been paused. You can pause a queue on the page Queues."
    list_display = ("queue", "state_label", "reason", "service", "changed")
    list_filter = ("paused",)
    search_fields = ("queue", "reason", "changed_by")
    ordering = ("queue",)
    service_errors = (NotPossible,)
    operations = (
        Operation(
            "pause",
            "Pause",
            run=lambda control, call: services.queue_pause(queue=control.queue, by=call.by, **call.data),
            done="is being paused. Workers stop within seconds; messages that they have prefetched are still handled.",
            icon="pause",
            when=lambda control: not control.paused,
            form=ReasonForm,
            bulk=True,
        ),
        Operation(
            "resume",
            "Resume",
            run=lambda control, call: services.queue_resume(queue=control.queue, by=call.by),
            done="is being resumed.",
            icon="play_arrow",
            variant="primary",
            when=lambda control: control.paused,
            bulk=True,
        ),
    )

    @display(description="state", ordering="paused")
    def state_label(self, control: QueueControl) -> str:
        return tag("paused" if control.paused else "running")

    @display(description="service")
    def service(self, control: QueueControl) -> str:
        return topology.SERVICES.get(control.queue, "")

    @display(description="changed", ordering="changed_at")
    def changed(self, control: QueueControl) -> str:
        return f"{moment(control.changed_at)} by {control.changed_by}" if control.changed_by else "never"


@admin.register(QueueSample)
class QueueSampleAdmin(GrowingTableAdmin):
    empty_hint = "No samples. A periodic task reads each queue's statistics from the broker every 15 seconds."
    list_display = ("at", "queue", "ready", "unacked", "consumers", "publish_rate", "ack_rate")
    list_filter = (QueueNameFilter,)
    search_fields = ("queue",)
    ordering = ("-at", "queue")
