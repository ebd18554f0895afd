"""The Celery app: one worker a queue, quorum queues, no result backend. Start workers with `-A coolthing_site`."""

import gc
import logging
import os
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    setup_logging,
    task_postrun,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from kombu import Exchange, Queue

from coolthing_site.processes.beat_schedule import beat_schedule
from messaging.broker import topology

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coolthing_site.settings")
# Django's checks import the whole panel, Telethon included, into every worker: half of its start and of its memory, and
# beat could not wait for a database that is away. `manage.py` runs them, before every migration and in CI.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# A process publishes over 2 connections (settings.BROKER_POOL_LIMIT) and 10 channels at most.
CHANNELS_PER_CONNECTION = 10

app = Celery("coolthing", amqp="messaging.publishing.celery_producer:TimedAMQP")


def kombu_queue(spec: topology.QueueSpec, exchange: str = topology.TASKS_EXCHANGE) -> Queue:
    """A queue as Celery uses it: reached by its own name over the direct exchange.

    `no_declare`: only `manage.py setup_broker` declares. A worker that declared its queue alone, before the exchanges
    for its dead letters exist, would lose what it rejects.
    """
    return Queue(
        spec.name,
        exchange=Exchange(exchange, type="direct", no_declare=True),
        routing_key=spec.name,
        queue_arguments=dict(spec.arguments),
        no_declare=True,
    )


SETTINGS: dict[str, Any] = {
    # A publish that returns has reached the broker.
    "broker_transport_options": {"confirm_publish": True, "channel_max": CHANNELS_PER_CONNECTION},
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    # A queue that is not there (yet), or was deleted: try again instead of ending the worker.
    "broker_channel_error_retry": True,
    "task_queues": [kombu_queue(spec) for spec in topology.TOPOLOGY.queues],
    "task_create_missing_queues": False,
    "task_default_queue": topology.MAINTENANCE_QUEUE,
    "task_default_exchange": topology.TASKS_EXCHANGE,
    "task_default_exchange_type": "direct",
    "task_default_routing_key": topology.MAINTENANCE_QUEUE,
    "task_routes": topology.task_routes(),
    "task_acks_late": True,
    "task_acks_on_failure": False,
    "task_acks_on_timeout": False,
    "task_reject_on_worker_lost": True,
    "task_ignore_result": True,
    "result_backend": None,
    "task_serializer": "json",
    "accept_content": ["json"],
    # A web request must not hang for long on a broker that is away: due rows repair what was not sent.
    "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    "task_send_sent_event": True,
    "worker_send_task_events": True,
    "worker_consumer": "messaging.consuming.consumer:EventConsumer",
    # A message prefetched behind a busy slot waits for it, and a handler may wait for the database for ten
    # minutes: two a slot stay within the broker's consumer_timeout of 30 minutes and keep the children busy.
    "worker_prefetch_multiplier": 2,
    # The lost connection gave the message back to the queue; killing its handler in mid-air would gain nothing,
    # since effects and their record commit together and the second delivery finds the record.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": False,
    # A child that takes the place of a dead one is killed if it is not up by then; after Celery's four seconds a
    # machine that is busy for long would kill every one of them.
    "worker_proc_alive_timeout": 60.0,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    # Mailboxes of remote control. RabbitMQ 4.3 refuses transient queues that are not exclusive, and an exclusive
    # one stays locked after a broken connection until the broker notices: so durable, and gone 10 s after use.
    "control_queue_exclusive": False,
    "control_queue_durable": True,
    "event_queue_exclusive": True,
    "event_queue_durable": False,
    "beat_scheduler": "coolthing_site.processes.beat_scheduler:PatientScheduler",
    "timezone": "UTC",
    "enable_utc": True,
}


def celery_settings() -> dict[str, Any]:
    """Read when the app is first used: Django's settings are not there yet while this module is imported."""
    from django.conf import settings

    return SETTINGS | {
        "broker_url": str(settings.RABBITMQ_URL),
        "broker_pool_limit": settings.BROKER_POOL_LIMIT,
        "beat_schedule": beat_schedule(),
        # Without it the Django fixup closes the connection around each task: 7 ms instead of 0.2 ms a query.
        "CELERY_DB_REUSE_MAX": settings.CELERY_DB_REUSE_MAX,
    }


app.add_defaults(celery_settings)
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="subscribers")


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Django's LOGGING is the only one; a receiver here keeps Celery from configuring its own."""
    logging.getLogger("amqp").setLevel(logging.WARNING)
    # One line a task, when it has ended; that it was received is among the task events.
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    # Nothing that our lines do not show is looked up for them: it is half of the time that a line takes.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as the standard library advises for speed
    logging.getLogger("celery.app.base").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Celery says at each countdown that a direct exchange has no delayed delivery. Ours last seconds, and it is so."""
    return "native delayed delivery" not in record.getMessage()


@task_postrun.connect
def _renew_connections(sender: object, **_: object) -> None:
    """The next task checks its database connection before use: the database may have been restarted meanwhile."""
    from django.db import close_old_connections, connections

    close_old_connections()
    if not getattr(sender, "checks_connection", True):
        for connection in connections.all(initialized_only=True):
            vars(connection)["health_check_done"] = True


@worker_init.connect
def _freeze_memory(**_: object) -> None:
    """What is loaded by now stays: collecting garbage need not look at it, which takes a tenth of a second.

    Before the pool forks: its children also share more memory that way.
    """
    gc.collect()
    gc.freeze()


@worker_init.connect
@beat_init.connect
def _require_keys(**_: object) -> None:
    """A worker that could not read the database's secrets does not start, and neither does beat."""
    from vault.startup import exit_unless_readable

    exit_unless_readable()


@worker_ready.connect
def _show_worker_lives(sender: Any, **_: object) -> None:
    from coolthing_site.processes import heartbeat

    heartbeat.start(str(sender.hostname).partition("@")[0])


@beat_init.connect
def _show_beat_lives(**_: object) -> None:
    from coolthing_site.processes import heartbeat

    heartbeat.start("beat")


_asked_to_stop = False


@worker_shutting_down.connect
def _note_that_it_was_asked(**_: object) -> None:
    global _asked_to_stop
    _asked_to_stop = True


@worker_shutdown.connect
def _show_worker_stops(sender: Any, **_: object) -> None:
    """Remote control stops a worker without the signal above, and with exit code 0."""
    if _asked_to_stop or sender.exitcode == 0:
        from coolthing_site.processes import heartbeat

        heartbeat.stop()
