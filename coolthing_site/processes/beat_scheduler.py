"""Celery beat's scheduler: it survives a database outage, and ends when it is asked to."""

import logging
import signal
from threading import Event as ThreadEvent
from typing import Any

from django.db import InterfaceError, OperationalError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from coolthing_site.processes import heartbeat
from messaging.database.listen import retry_delay
from messaging.instrumentation import main_loop

log = logging.getLogger(__name__)

# A stop is heeded within so many seconds: Python goes on sleeping after a signal.
_SLEEP_MOST_SECONDS = 1.0


class PatientScheduler(DatabaseScheduler):
    """django-celery-beat's own waits while it runs; at its start it would end with a traceback.

    Celery's handler of SIGTERM writes to the database and raises wherever the process happens to be: in the middle of a
    query the first fails, in code that catches everything the second is lost, and beat ticks on. Here a signal is
    remembered, and the loop ends by itself.

    Each turn, and each step of it that may wait for a server, is noted for the heartbeat.
    """

    def setup_schedule(self) -> None:
        self._ending = ThreadEvent()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ending.set())
        attempt = 0
        while True:
            self._end_if_asked()
            main_loop.turned()
            try:
                super().setup_schedule()
                return
            except (OperationalError, InterfaceError) as problem:
                attempt += 1
                log.warning("beat waits for the database: %s", str(problem).strip())
                connection.close()
                # Or it would take the schedule that it failed to read for one that has not changed.
                self._initial_read = True
                self._ending.wait(retry_delay(attempt))

    def tick(self, *args: object, **kwargs: object) -> float:
        """Send what is due; the seconds until the next look."""
        self._end_if_asked()
        main_loop.turned()
        return min(float(super().tick(*args, **kwargs)), _SLEEP_MOST_SECONDS)

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        main_loop.turned()
        super().apply_entry(entry, producer)

    def _ensure_connected(self) -> Any:
        """Beat's first connection to the broker, for which it waits."""
        return self.connection.ensure_connection(self._broker_is_away, self.app.conf.broker_connection_max_retries)

    def _broker_is_away(self, problem: Exception, seconds: float) -> None:
        main_loop.turned()
        log.warning("beat waits for the broker, %.0f s until the next attempt: %s", seconds, problem)

    def _end_if_asked(self) -> None:
        if self._ending.is_set():
            heartbeat.stop()
            raise SystemExit
