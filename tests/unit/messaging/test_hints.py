"""Hints to a broker that does not answer."""

import threading
from typing import Any

import pytest

from messaging.publishing import celery_tasks


def test_while_one_thread_waits_for_the_broker_no_other_does(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    under_way, answers = threading.Event(), threading.Event()

    class SilentBroker:
        def send_task(self, name: str, **_: Any) -> None:
            sent.append(name)
            under_way.set()
            answers.wait(60)

    monkeypatch.setattr(celery_tasks, "current_app", SilentBroker())
    monkeypatch.setattr(celery_tasks, "_breaker", celery_tasks._CircuitBreaker())
    monkeypatch.setattr(celery_tasks, "_SLOW_SECONDS", -1.0)
    first = threading.Thread(target=celery_tasks._send_rollback_unsafe, args=("first", (), 0))
    first.start()
    assert under_way.wait(60)
    celery_tasks._send_rollback_unsafe("second", (), 0)
    answers.set()
    first.join()
    celery_tasks._send_rollback_unsafe("third", (), 0)
    assert sent == ["first", "third"]
