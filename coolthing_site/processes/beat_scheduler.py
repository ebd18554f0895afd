"""Celery beat's scheduler, which survives an outage of the database and ends cleanly after a signal."""

import logging
import signal
from collections.abc import Mapping
from threading import Event as ThreadEvent
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from coolthing_site.processes import heartbeat
from messaging.database.listen import retry_delay
from messaging.instrumentation import main_loop

log = logging.getLogger(__name__)

# The longest sleep: Python continues to sleep after a signal, so beat ends within this time.
_SLEEP_MOST_SECONDS = 1.0


class PatientScheduler(DatabaseScheduler):
    """Waits for a database that is down, also at its start. django-celery-beat's scheduler would end with a traceback.

    Celery's handler of SIGTERM writes to the database and raises an exception wherever the process has arrived. The
    write fails in the middle of a query, and the exception is lost in code that catches all exceptions; then beat
    would continue. This scheduler only records the signal, and ends at the next turn of its loop.

    It reports each turn, and each step that may wait for a server, to the heartbeat.
    """

    def setup_schedule(self) -> None:
        self._stopped = ThreadEvent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopped.set())
        attempt = 0
        while True:
            self._exit_if_stopped()
            main_loop.turned()
            try:
                super().setup_schedule()
                return
            except (OperationalError, InterfaceError) as problem:
                attempt += 1
                self._database_is_down(problem)
                self._stopped.wait(retry_delay(attempt))

    def update_from_dict(self, mapping: Mapping[str, Any]) -> None:
        """Add the entries to the schedule. Raises OperationalError or InterfaceError if the database does not answer.

        django-celery-beat only logs such an error: beat would not send these tasks until its next start.
        """
        entries = {}
        for name, fields in mapping.items():
            try:
                entry = self.Entry.from_entry(name, app=self.app, **fields)
            except (OperationalError, InterfaceError):
                raise
            except Exception:
                log.exception("beat cannot add the task %s to its schedule", name)
                continue
            if entry.model.enabled:
                entries[name] = entry
        self.schedule.update(entries)

    def tick(self, *args: object, **kwargs: object) -> float:
        """Send the due messages. Returns the seconds until the next turn."""
        self._exit_if_stopped()
        main_loop.turned()
        try:
            return min(float(super().tick(*args, **kwargs)), _SLEEP_MOST_SECONDS)
        except (OperationalError, InterfaceError) as problem:
            self._database_is_down(problem)
            return _SLEEP_MOST_SECONDS

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        main_loop.turned()
        super().apply_entry(entry, producer)

    def _database_is_down(self, problem: Exception) -> None:
        log.warning("beat waits for the database: %s", str(problem).strip())
        connection.close()
        # Otherwise it would treat the schedule that it could not read as unchanged.
        self._initial_read = True

    def _ensure_connected(self) -> Any:
        """Wait for the first connection to the broker."""
        return self.connection.ensure_connection(self._broker_is_down, self.app.conf.broker_connection_max_retries)

    def _broker_is_down(self, problem: Exception, seconds: float) -> None:
        main_loop.turned()
        log.warning("beat waits for the broker, %.0f s until the next attempt: %s", seconds, problem)

    def _exit_if_stopped(self) -> None:
        if self._stopped.is_set():
            heartbeat.stop()
            raise SystemExit
