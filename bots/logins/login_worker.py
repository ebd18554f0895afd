"""The part of a bots worker that carries out what operators requested on the login pages.

It takes the requests from the database, as the sender takes deliveries: a web request needs no broker, a killed worker
leaves nothing in a queue, and two workers never have the same login. Each login has its own thread and event loop, so
that a login cannot delay the bots of this process.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections, connections

from bots.logins import steps
from bots.logins.claims import Job, claim_next
from bots.models import PendingLogin
from messaging.database.errors import DATABASE_ERRORS
from telegram.logins.types import LoginError

Ask = PendingLogin.Ask

# Seconds between queries for requests, and between tries while the database is unavailable.
POLL_SECONDS = 0.5
FAILURE_PAUSE = 1.0

log = logging.getLogger(__name__)

_WORK: dict[str, Callable[[Job], object]] = {
    Ask.SEND: lambda job: steps.login_send_code(bot_id=job.bot_id, phone=job.given, claim=job.claim),
    Ask.RESEND: lambda job: steps.login_resend_code(bot_id=job.bot_id, claim=job.claim),
    Ask.CODE: lambda job: steps.login_enter_code(bot_id=job.bot_id, code=job.given, claim=job.claim),
    Ask.PASSWORD: lambda job: steps.login_enter_password(bot_id=job.bot_id, password=job.given, claim=job.claim),
    Ask.QR: lambda job: steps.login_by_qr(bot_id=job.bot_id, claim=job.claim),
    Ask.IMPORT: lambda job: steps.login_import(bot_id=job.bot_id, session=job.given, claim=job.claim),
    Ask.LOG_OUT: lambda job: steps.login_end(bot_id=job.bot_id, by=job.by, claim=job.claim),
}


def login_work(job: Job) -> None:
    """Carry out a request. Its outcome is recorded in the login's row; errors are logged, not raised."""
    try:
        _WORK[job.ask](job)
    except LoginError as error:
        log.info("login of bot %s: %s ended with %s", job.bot_id, job.ask, error.reason or type(error).__name__)
    except DATABASE_ERRORS as error:
        # The claim expires, and the page then reports the interruption.
        log.warning("login of bot %s: the database is unavailable: %s", job.bot_id, type(error).__name__)
    except Exception:
        log.exception("login of bot %s: %s failed", job.bot_id, job.ask)


class LoginWorker:
    """Takes logins until it is stopped.

    Call `start` once. `stop` may be called in a signal handler. `close` waits until all logins have ended.
    """

    def __init__(self, *, name: str, slots: int, takes: Callable[[], bool] = lambda: True) -> None:
        self.name = name
        # Whether the worker takes logins now. It does not while an operator drains it.
        self._takes = takes
        self._free = threading.Semaphore(slots)
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="login")
        self._thread = threading.Thread(target=self._run, name="logins", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take no more logins and interrupt those under way: another worker resumes them, or their pages report it."""
        self._stop.set()

    def close(self) -> None:
        self.stop()
        self._thread.join()
        self._pool.shutdown()

    def _run(self) -> None:
        while not self._stop.is_set():
            pause = POLL_SECONDS
            try:
                close_old_connections()
                while self._take_one():
                    pass
            except DATABASE_ERRORS as error:
                log.warning("logins wait for the database: %s", type(error).__name__)
                pause = FAILURE_PAUSE
            except Exception:
                log.exception("looking for logins failed")
                pause = FAILURE_PAUSE
            self._stop.wait(pause)
        connections.close_all()

    def _take_one(self) -> bool:
        """Take a login if there is one and a slot is free. Returns whether it did."""
        if self._stop.is_set() or not self._takes() or not self._free.acquire(blocking=False):
            return False
        job = None
        try:
            job = claim_next(owner=self.name, stop=self._stop)
        finally:
            if job is None:
                self._free.release()
        if job is None:
            return False
        self._pool.submit(self._work, job)
        return True

    def _work(self, job: Job) -> None:
        try:
            login_work(job)
        finally:
            connections.close_all()
            self._free.release()
