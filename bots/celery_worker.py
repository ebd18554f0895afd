"""A Celery worker that consumes a bots queue carries a runtime: it is started and ended with the worker."""

from typing import Any

from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.conf import settings
from django.db import transaction

from bots import process
from bots.events import SERVICE
from bots.worker.hosts import host_name
from bots.worker.supervision import QUEUES
from messaging.events import ServiceStartedEvent
from messaging.publishing.outbox import publish_on_commit

ROLES = {queue: role for role, queue in QUEUES.items()}


@worker_ready.connect
def _start(sender: Any, **_: Any) -> None:
    roles = [ROLES[queue] for queue in sender.app.amqp.queues.consume_from if queue in ROLES]
    if not roles:
        return
    if len(roles) > 1:
        raise RuntimeError(f"a bots worker serves one role, not {', '.join(roles)}")
    process.start(
        role=roles[0],
        name=host_name(str(sender.hostname)),
        capacity=settings.BOTS_PER_WORKER,
        logins=settings.LOGINS_PER_WORKER,
    )
    with transaction.atomic():
        publish_on_commit(ServiceStartedEvent(service=SERVICE))


@worker_shutting_down.connect
def _drain(**_: Any) -> None:
    process.drain()


@worker_shutdown.connect
def _close(**_: Any) -> None:
    process.close()
