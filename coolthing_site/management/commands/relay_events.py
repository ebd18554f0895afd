import signal
import threading
from typing import Any

from coolthing_site.processes import heartbeat
from messaging.instrumentation import telemetry
from messaging.instrumentation.process_name import name_process
from messaging.publishing.relay import Relay
from vault.commands import SecretsCommand


class Command(SecretsCommand):
    help = (
        "Publish the events of the outbox to the broker. If several relays run, one publishes and the others stand by."
    )
    # The checks would import the whole panel, which this process does not need.
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        name_process("relay")
        heartbeat.start("relay")
        Relay(stop, self._show).run()
        heartbeat.stop()
        telemetry.flush_before_exit()
        self._show("stopped")

    def _show(self, line: str) -> None:
        self.stdout.write(f"relay: {line}")
        self.stdout.flush()
