import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from messaging import services
from messaging.broker.topology import SERVICES
from messaging.models import QueueControl
from messaging.observability import queue_stats
from panelkit import audit
from panelkit.errors import NotPossible

_PREFETCHED = "Workers stop consuming within seconds. They still handle the messages that they have prefetched."


class Command(BaseCommand):
    help = "Pause or resume the consumers of a queue or of a whole service, or list all queues."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listed = actions.add_parser(
            "list", help="list all queues with service, state, figures and the reason of a pause"
        )
        listed.add_argument("--json", action="store_true", help="print JSON")
        paused = actions.add_parser(
            "pause", help="stop consuming on all workers until you resume; restarts do not end the pause"
        )
        paused.add_argument("--reason", required=True, help="the reason, which is shown with the queue")
        resumed = actions.add_parser("resume", help="consume again")
        for action in (paused, resumed):
            action.add_argument("target", metavar="QUEUE_OR_SERVICE", help=", ".join((*SERVICES, *_services())))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "list":
            self._list(options["json"])
            return
        try:
            controls = _change(options, by=audit.command_line_name())
        except NotPossible as refusal:
            raise CommandError(str(refusal)) from refusal
        user_id = audit.command_line_user_id()
        reason = f" {options['reason']}" if options["action"] == "pause" else ""
        message = f"{options['action'].title()}, by {controls[0].changed_by}.{reason}"
        audit.record(*controls, message=message, user_id=user_id)
        self.stdout.write("\n".join(map(str, controls)))
        if options["action"] == "pause":
            self.stdout.write(_PREFETCHED)

    def _list(self, as_json: bool) -> None:
        newest = queue_stats.snapshot()
        rows = _rows(newest)
        if as_json:
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder))
            return
        if newest.is_stale:
            old = "missing" if newest.age_seconds is None else f"{newest.age_seconds:.0f} s old"
            self.stdout.write(
                f"The figures are {old}. Check that the broker and beat run, and that maintenance_queue is not paused."
            )
        self.stdout.write(f"{'queue':<26} {'service':<17} {'state':<8} {'ready':>7} {'unacked':>7} {'consumers':>9}")
        for row in rows:
            figures = (row["ready"], row["unacked"], row["consumers"])
            ready, unacked, consumers = ("?" if figure is None else figure for figure in figures)
            why = f"  {row['reason']} ({row['changed_by']})" if row["paused"] else ""
            state = "paused" if row["paused"] else "running"
            line = f"{row['queue']:<26} {row['service']:<17} {state:<8} {ready:>7} {unacked:>7} {consumers:>9}{why}"
            self.stdout.write(line)


def _services() -> list[str]:
    return list(dict.fromkeys(SERVICES.values()))


def _change(options: dict[str, Any], *, by: str) -> list[QueueControl]:
    target, pausing = options["target"], options["action"] == "pause"
    if target in SERVICES:
        queue = target
        changed = services.queue_pause(queue=queue, reason=options["reason"], by=by) if pausing else None
        return [changed or services.queue_resume(queue=queue, by=by)]
    if pausing:
        return services.service_pause(service=target, reason=options["reason"], by=by)
    return services.service_resume(service=target, by=by)


def _rows(figures: queue_stats.Snapshot) -> list[dict[str, Any]]:
    controls = {control.queue: control for control in QueueControl.objects.all()}
    rows = [_row(queue, figures.queues.get(queue), controls.get(queue)) for queue in SERVICES]
    return [row | {"age_seconds": figures.age_seconds} for row in rows]


def _row(queue: str, now: Any, control: QueueControl | None) -> dict[str, Any]:
    return {
        "queue": queue,
        "service": SERVICES[queue],
        "paused": control is not None and control.paused,
        "reason": control.reason if control else "",
        "changed_by": control.changed_by if control else "",
        "changed_at": control.changed_at if control else None,
        "ready": now.ready if now else None,
        "unacked": now.unacked if now else None,
        "consumers": now.consumers if now else None,
    }
