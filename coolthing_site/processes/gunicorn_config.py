"""Gunicorn's configuration: its worker starts and stops a heartbeat."""

from typing import Any


def post_worker_init(worker: Any) -> None:
    # Not before: the master has neither settings nor models.
    from coolthing_site.processes import heartbeat

    heartbeat.start("web", pid=worker.ppid)


def worker_abort(worker: Any) -> None:
    """It has not answered the master for longer than `--timeout`: nobody asked it to stop."""
    worker.was_aborted = True


def worker_exit(_server: Any, worker: Any) -> None:
    if not worker.alive and not getattr(worker, "was_aborted", False):
        from coolthing_site.processes import heartbeat

        heartbeat.stop()
