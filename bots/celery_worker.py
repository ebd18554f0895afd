"""Starts and ends the bots' runtime and the login worker with a Celery worker that consumes a bots queue.

They are imported only then, because they import Telethon and every process imports this module.
"""

from typing import TYPE_CHECKING, Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.db import transaction

from bots.events import SERVICE
from bots.worker.hosts import host_name
from bots.worker.supervision import QUEUES
from messaging.events import ServiceStartedEvent
from messaging.publishing.outbox import publish_on_commit

if TYPE_CHECKING:
    from bots.logins.login_worker import LoginWorker
    from bots.worker.runtime import Runtime

ROLES = {queue: role for role, queue in QUEUES.items()}

_runtime: "Runtime | None" = None
_logins: "LoginWorker | None" = None


def runtime() -> "Runtime | None":
    """This process's runtime; None if the process is not a bots worker."""
    return _runtime


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    roles = [ROLES[queue] for queue in sender.app.amqp.queues.consume_from if queue in ROLES]
    if not roles:
        return
    if len(roles) > 1:
        raise RuntimeError(f"a bots worker serves one role, not {', '.join(roles)}")
    _start_runtime(role=roles[0], name=host_name(str(sender.hostname)))
    with transaction.atomic():
        publish_on_commit(ServiceStartedEvent(service=SERVICE))


def _start_runtime(*, role: str, name: str) -> None:
    from bots.logins.login_worker import LoginWorker
    from bots.worker.runtime import Runtime

    global _runtime, _logins
    _runtime = Runtime(role=role, name=name, capacity=settings.BOTS_PER_WORKER)
    _runtime.start()
    _logins = LoginWorker(name=name, slots=settings.LOGINS_PER_WORKER, takes=_runtime.is_open)
    _logins.start()


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    """Start to release bots and logins. Returns at once, because Celery calls it in a signal handler."""
    if _runtime is not None:
        _runtime.drain()
    if _logins is not None:
        _logins.stop()


@worker_shutdown.connect
def _close(**_: Any) -> None:
    """Release all bots and logins and wait until that is done."""
    _drain()
    if _logins is not None:
        _logins.close()
    if _runtime is not None:
        _runtime.close()
