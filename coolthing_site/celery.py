"""The Celery app: a worker for each queue, quorum queues, no result backend. Workers start with `-A coolthing_site`."""

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
# Django's checks would import the whole panel and Telethon into each worker, which doubles its start time and memory;
# beat could not wait for a database that is down. `manage.py` runs the checks before every migration and in CI.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

# A process publishes over 2 connections (settings.BROKER_POOL_LIMIT), each with at most this many channels.
CHANNELS_PER_CONNECTION = 10

app = Celery("coolthing", amqp="messaging.publishing.celery_producer:TimedAMQP")


def kombu_queue(spec: topology.QueueSpec, exchange: str = topology.TASKS_EXCHANGE) -> Queue:
    """A queue for Celery, which publishes to it over a direct exchange with the queue's name as the routing key.

    `no_declare`: only `manage.py setup_broker` declares queues. If a worker declared its queue before the exchanges for
    dead letters exist, rejected messages would be lost.
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
    # If a queue does not exist (yet), try again instead of ending the worker.
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
    # A web request must not wait long for a broker that is down. Beat sends lost tasks again from their due rows.
    "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    "task_send_sent_event": True,
    "worker_send_task_events": True,
    "worker_consumer": "messaging.consuming.consumer:EventConsumer",
    # A prefetched message waits until its slot is free, and a handler may wait ten minutes for the database. With two
    # messages for each slot, both stay within the broker's consumer_timeout of 30 minutes, and the children stay busy.
    "worker_prefetch_multiplier": 2,
    # A lost connection returns the message to the queue. There is no need to kill its handler: effects and record
    # commit together, and the redelivered message finds the record.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_enable_prefetch_count_reduction": False,
    # A child that replaces a dead one is killed if it has not started within this time. With Celery's default of four
    # seconds, a busy machine could kill every new child.
    "worker_proc_alive_timeout": 60.0,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
    # Queues for remote control. RabbitMQ 4.3 refuses transient queues that are not exclusive, and an exclusive queue
    # stays locked after a broken connection until the broker notices. Durable queues are deleted 10 s after use.
    "control_queue_exclusive": False,
    "control_queue_durable": True,
    "event_queue_exclusive": True,
    "event_queue_durable": False,
    "beat_scheduler": "coolthing_site.processes.beat_scheduler:PatientScheduler",
    "timezone": "UTC",
    "enable_utc": True,
}


def celery_settings() -> dict[str, Any]:
    """Called at the first use of the app, because Django's settings are not loaded when this module is imported."""
    from django.conf import settings

    return SETTINGS | {
        "broker_url": str(settings.RABBITMQ_URL),
        "broker_pool_limit": settings.BROKER_POOL_LIMIT,
        "beat_schedule": beat_schedule(),
        # Otherwise Celery's Django fixup closes the connection around each task; a query takes 7 ms instead of 0.2 ms.
        "CELERY_DB_REUSE_MAX": settings.CELERY_DB_REUSE_MAX,
    }


app.add_defaults(celery_settings)
app.autodiscover_tasks()
app.autodiscover_tasks(related_name="subscribers")


@setup_logging.connect
def _keep_django_logging(**_: object) -> None:
    """Use only Django's LOGGING. Because this receiver exists, Celery does not configure its own logging."""
    logging.getLogger("amqp").setLevel(logging.WARNING)
    # Log one line for each task, when it has ended. The task events include its receipt.
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    # Do not look up values that the log's format does not contain: this would double the time for a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # as the standard library advises for speed
    logging.getLogger("celery.app.base").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Drop Celery's message, at each countdown, that a direct exchange has no delayed delivery."""
    return "native delayed delivery" not in record.getMessage()


@task_postrun.connect
def _renew_connections(sender: object, **_: object) -> None:
    """Let the next task check its database connection first, because the database may have been restarted."""
    from django.db import close_old_connections, connections

    close_old_connections()
    if not getattr(sender, "checks_connection", True):
        for connection in connections.all(initialized_only=True):
            vars(connection)["health_check_done"] = True


@worker_init.connect
def _freeze_memory(**_: object) -> None:
    """Exclude the loaded modules from garbage collection, which would otherwise take a tenth of a second.

    This runs before the pool forks, so that its children also share more memory.
    """
    gc.collect()
    gc.freeze()


@worker_init.connect
@beat_init.connect
def _require_keys(**_: object) -> None:
    """Do not start a worker or beat without the keys that the secrets in the database need."""
    from vault.startup import exit_unless_readable

    exit_unless_readable()


@worker_ready.connect
def _start_worker_heartbeat(sender: Any, **_: object) -> None:
    from coolthing_site.processes import heartbeat

    heartbeat.start(str(sender.hostname).partition("@")[0])


@beat_init.connect
def _start_beat_heartbeat(**_: object) -> None:
    from coolthing_site.processes import heartbeat

    heartbeat.start("beat")


_stop_requested = False


@worker_shutting_down.connect
def _record_stop(**_: object) -> None:
    global _stop_requested
    _stop_requested = True


@worker_shutdown.connect
def _stop_worker_heartbeat(sender: Any, **_: object) -> None:
    """A worker that remote control stops sends no `worker_shutting_down`, but has exit code 0."""
    if _stop_requested or sender.exitcode == 0:
        from coolthing_site.processes import heartbeat

        heartbeat.stop()
