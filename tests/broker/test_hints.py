"""Tasks sent by services while the broker is silent: it takes bytes and answers nothing."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import transaction
from kombu import Connection

from messaging.broker import declare, topology
from messaging.publishing import celery_producer, celery_tasks
from messaging.publishing.celery_tasks import send_on_commit, send_to_queue_rollback_unsafe
from tests import private
from tests.private import Broker
from tests.support import wait_until
from tests.tcp_proxy import TcpProxy

TASK = "notifier.tasks.send_notification"
QUEUE = topology.NOTIFICATIONS_QUEUE


@pytest.fixture
def proxy(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """This process reaches the broker through it, over a connection that is open already."""
    monkeypatch.setattr(celery_tasks, "_breaker", celery_tasks._CircuitBreaker())
    with TcpProxy.before(broker.url) as proxy:
        private.use_broker(proxy.url(broker.url))
        wait_until(lambda: arrives(broker, "first"), what="an open connection")
        yield proxy
        private.use_broker(broker.url)


@contextmanager
def silent(proxy: TcpProxy) -> Iterator[None]:
    """Inside, the broker answers nothing, and half a second of that is waited for where seconds are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(celery_producer, "CONFIRM_SECONDS", 0.5)
        # What each connection was made with.
        patch.setattr(Connection, "connect_timeout", property(lambda _: 0.5, lambda *_: None))
        proxy.freeze()
        yield


def hint(argument: str) -> None:
    with transaction.atomic():
        send_on_commit(TASK, argument)


def arrives(broker: Broker, argument: str) -> bool:
    before = broker.ready(QUEUE)
    hint(argument)
    return broker.ready(QUEUE) > before


def test_hints_to_a_silent_broker_are_dropped_with_one_line(
    proxy: TcpProxy, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    # The rest that a first failure brings is not over before the last of them, however slowly they are sent.
    monkeypatch.setattr(celery_tasks, "_OPEN_SECONDS", 600.0)
    with silent(proxy), caplog.at_level(logging.WARNING, logger=celery_tasks.__name__):
        hint("second")
        for number in range(100):
            hint(str(number))
    assert [record.getMessage().startswith(f"task {TASK} was not sent") for record in caplog.records] == [True]
    proxy.restore()


def test_hints_go_on_when_the_broker_answers_again(proxy: TcpProxy, broker: Broker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(celery_tasks, "_OPEN_SECONDS", 0.5)
    with silent(proxy):
        hint("second")
    proxy.reset()
    proxy.restore()
    wait_until(lambda: arrives(broker, "third"), what="a hint that arrives")


def test_a_task_that_must_be_sent_fails_when_it_is_not_confirmed(proxy: TcpProxy):
    with silent(proxy), pytest.raises(Exception, match="imed out"):
        send_to_queue_rollback_unsafe(TASK, "second", queue=QUEUE)
    proxy.restore()


def test_a_task_whose_queue_is_missing_is_not_sent_in_silence(broker: Broker):
    with broker.channel() as channel:
        channel.queue_delete(QUEUE)
    with pytest.raises(Exception, match="NO_ROUTE"):
        send_to_queue_rollback_unsafe(TASK, "nowhere", queue=QUEUE)
    declare.declare(url=broker.url)
    send_to_queue_rollback_unsafe(TASK, "somewhere", queue=QUEUE)
    assert broker.ready(QUEUE) == 1
