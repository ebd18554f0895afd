"""Gunicorn's configuration: its worker starts and stops a heartbeat."""

from typing import Any


def post_worker_init(worker: Any) -> None:
    # Not at the top of the module: the master process has neither settings nor models.
    from coolthing_site.processes import heartbeat

    heartbeat.start("web", pid=worker.ppid)


def worker_abort(worker: Any) -> None:
    """Called if the worker has not answered the master for `--timeout`. The worker was not asked to stop."""
    worker.was_aborted = True


def worker_exit(_server: Any, worker: Any) -> None:
    if not worker.alive and not getattr(worker, "was_aborted", False):
        from coolthing_site.processes import heartbeat

        heartbeat.stop()
