"""What gunicorn's configuration makes of a worker's end, with gunicorn's own worker."""

import pytest
from gunicorn.config import Config
from gunicorn.workers.base import Worker

from coolthing_site.processes import gunicorn_config, heartbeat


@pytest.fixture
def stopped(monkeypatch) -> list[bool]:
    stops: list[bool] = []
    monkeypatch.setattr(heartbeat, "stop", lambda: stops.append(True))
    return stops


def worker() -> Worker:
    config = Config()
    config.set("worker_abort", gunicorn_config.worker_abort)
    made = Worker(1, 1, [], None, 60, config, None)
    made.alive = True
    return made


def test_a_worker_that_was_asked_to_stop_is_not_missed(stopped):
    ending = worker()
    ending.handle_exit(None, None)
    gunicorn_config.worker_exit(None, ending)
    assert stopped


def test_a_hanging_worker_that_the_master_aborts_is_missed(stopped):
    hanging = worker()
    with pytest.raises(SystemExit):
        hanging.handle_abort(None, None)
    gunicorn_config.worker_exit(None, hanging)
    assert not stopped
