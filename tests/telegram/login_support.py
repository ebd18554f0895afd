"""The workers that do what operators ask for on the pages of logins."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bots.logins import claims, telegram_calls
from bots.logins import login_worker as login_worker
from bots.logins.login_worker import LoginWorker
from bots.worker.executor import close_connections


@contextmanager
def login_worker_runs(*, name: str = "logins", slots: int = 8) -> Iterator[LoginWorker]:
    """A worker that takes logins at once, and notices within moments what an operator does meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login_worker, "POLL_SECONDS", 0.02)
        patch.setattr(claims, "LOOK_SECONDS", 0.05)
        patch.setattr(telegram_calls, "SEEN_LOOK_SECONDS", 0.05)
        worker = LoginWorker(name=name, slots=slots)
        worker.start()
        try:
            yield worker
        finally:
            worker.close()
            close_connections()
