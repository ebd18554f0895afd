"""The heartbeat of a Procfile process: a thread renews the process's row and checks the other processes' rows.

In a prefork worker the thread runs in the main process. It closes its database connection after each heartbeat. A
process that reports the turns of its main loop (`messaging.instrumentation.main_loop`) sends no heartbeat while this
loop hangs.
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

# The number of heartbeats in PROCESS_SILENT_SECONDS: three of them may be late or lost.
BEATS = 4
# A loop without a turn for this time hangs. A turn takes a few seconds, and never minutes, even on a slow machine.
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
        # Since when heartbeats have been on time, by the wall clock, which continues while the machine sleeps.
        self._regular_since: float | None = None
        self._last = 0.0
        self._failing = False
        self._hanging = False

    def run(self) -> None:
        while not self._stop_asked.is_set():
            self._beat()
            self._stop_asked.wait(self._period)

    def end(self) -> None:
        """Record that the process was asked to stop, so that other processes do not report its silence."""
        from coolthing_site.processes.records import process_stopped

        self._stop_asked.set()
        self.join(self._period)
        try:
            process_stopped(name=self.identity.name)
        except Error as problem:
            log.warning("cannot record that this process stops: %s", type(problem).__name__)

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
                log.warning("no heartbeat: the database does not answer (%s)", type(problem).__name__)
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
        """Whether other processes have had time for a heartbeat since this machine or the database was last down."""
        now = time.time()
        if self._regular_since is None or not 0 <= now - self._last <= 2 * self._period:
            self._regular_since = now
        self._last = now
        return now - self._regular_since >= 2 * self._period


_current: _Heartbeat | None = None


def start(kind: str, *, pid: int | None = None) -> None:
    """Send heartbeats until the process ends. `kind` is its name in the Procfile; `pid` replaces its own id."""
    global _current
    _current = _Heartbeat(kind, pid or os.getpid())
    _current.start()


def stop() -> None:
    """Call this when the process ends because it was asked to. Otherwise its silence will be reported."""
    global _current
    if _current is not None:
        _current.end()
    _current = None
