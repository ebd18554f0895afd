import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from messaging.observability.trace import Trace, trace
from panelkit.labels import clipped


class Command(BaseCommand):
    help = "Print the history of an event: published, confirmed, handled, dead-lettered, replayed, and its effects."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("event_id", type=UUID, metavar="EVENT_ID")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = trace(options["event_id"])
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
        elif found.is_known:
            self._print(found)
        if not found.is_known:
            raise CommandError(f"CoolThing has no record of event {options['event_id']}")

    def _print(self, found: Trace) -> None:
        self.stdout.write(f"{found.event_id}  {found.exchange} {found.routing_key}".rstrip())
        self.stdout.write(f"traceparent {found.traceparent}")
        for arrival in found.arrivals:
            self.stdout.write(f"  {arrival.queue:<26} {arrival.state:<10} {clipped(arrival.text, 100)}".rstrip())
        for step in found.steps:
            took = f"{step.seconds * 1000:.1f} ms" if step.seconds is not None else ""
            self.stdout.write(
                f"{step.at:%Y-%m-%d %H:%M:%S.%f}  {step.what:<20} {step.where:<26} {took:>10}  "
                f"{clipped(step.text, 160)}".rstrip()
            )
