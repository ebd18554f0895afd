"""The heartbeat of a Procfile process: a thread renews the process's row and checks the other processes' rows.

In a prefork worker it is the main process. The connection to the database is closed after each heartbeat. A process
whose main loop notes its turns (`messaging.instrumentation.main_loop`) sends none while that loop hangs.
"""

import logging
import os
import socket
import threading
import time
import uuid

from django.conf import settings
from django.db import Error, connection

from messaging.instrumentation import main_loop

log = logging.getLogger(__name__)

# Heartbeats in the time after which a process counts as silent: three may be late or lost.
BEATS = 4
# A loop without a turn for so long hangs. Turns come every few seconds; a slow machine does not need minutes for one.
HANGS_AFTER_SECONDS = 300.0


class _Heartbeat(threading.Thread):
    def __init__(self, kind: str, pid: int) -> None:
        super().__init__(name="heartbeat", daemon=True)
        from coolthing_site.processes.records import Identity

        host = socket.gethostname()[:120]
        name = f"{kind} {host}:{pid}:{uuid.uuid4().hex[:8]}"
        self.identity = Identity(name, kind[:40], host, pid)
        self._period = settings.PROCESS_SILENT_SECONDS / BEATS
        self._stop_asked = threading.Event()
        # Since when heartbeats have come on time, on the wall clock: it goes on while the machine sleeps.
        self._regular_since: float | None = None
        self._last = 0.0
        self._failing = False
        self._hanging = False

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self._beat()
            self._stop_asked.wait(self._period)

    def end(self) -> None:
        """It was asked to stop: others need not miss it."""
        from coolthing_site.processes.records import process_stopped

        self._stop_asked.set()
        self.join(self._period)
        try:
            process_stopped(name=self.identity.name)
        except Error as problem:
            log.warning("that this process stops could not be recorded: %s", type(problem).__name__)

    def _beat(self) -> None:
        from coolthing_site.processes.records import process_beat, silence_check

        try:
            if not self._hangs():
                process_beat(identity=self.identity)
            if self._may_judge():
                silence_check()
            self._failing = False
        except Error as problem:
            self._regular_since = None
            if not self._failing:
                log.warning("no heartbeat: the database is away (%s)", type(problem).__name__)
            self._failing = True
        except Exception:
            log.exception("no heartbeat")
        finally:
            connection.close()

    def _hangs(self) -> bool:
        since = main_loop.seconds_since_turn()
        hangs = since is not None and since > HANGS_AFTER_SECONDS
        if hangs and not self._hanging:
            log.error("no heartbeat: the main loop has taken no turn for %.0f s", since)
        self._hanging = hangs
        return hangs

    def _may_judge(self) -> bool:
        """Whether the others have had time for a heartbeat since the database, or this machine, was last away."""
        now = time.time()
        if self._regular_since is None or not 0 <= now - self._last <= 2 * self._period:
            self._regular_since = now
        self._last = now
        return now - self._regular_since >= 2 * self._period


_current: _Heartbeat | None = None


def start(kind: str, *, pid: int | None = None) -> None:
    """Beat until the process ends. `kind` is its name in the Procfile, `pid` what `kill` takes if not its own."""
    global _current
    _current = _Heartbeat(kind, pid or os.getpid())
    _current.start()


def stop() -> None:
    """Call when the process ends because it was asked to; without it its silence will be reported."""
    global _current
    if _current is not None:
        _current.end()
    _current = None
