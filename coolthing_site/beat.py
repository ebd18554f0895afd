"""Beat's scheduler, which outlives a database that is away."""

import logging
import time

from django.db import InterfaceError, OperationalError, connection
from django_celery_beat.schedulers import DatabaseScheduler

from messaging.listen import retry_delay

log = logging.getLogger(__name__)


class PatientScheduler(DatabaseScheduler):
    """django-celery-beat's own waits while it runs; at its start it would end with a traceback."""

    def setup_schedule(self) -> None:
        attempt = 0
        while True:
            try:
                super().setup_schedule()
                return
            except (OperationalError, InterfaceError) as problem:
                attempt += 1
                log.warning("beat waits for the database: %s", str(problem).strip())
                connection.close()
                # Or it would take the schedule that it failed to read for one that has not changed.
                self._initial_read = True
                time.sleep(retry_delay(attempt))
