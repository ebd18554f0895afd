"""Which rows no broker would take, and which of the broker's errors are about one row."""

import uuid
from typing import Any

import pytest
from amqp import exceptions

from messaging.broker import topology
from messaging.database.listen import retry_delay
from messaging.events import MAX_BODY_BYTES
from messaging.messages import OutboxRow
from messaging.publishing.publisher import is_refusal, unfit_reason


def _row(**changes: Any) -> OutboxRow:
    row = OutboxRow(1, str(uuid.uuid4()), topology.EVENTS_EXCHANGE, "bots.error", "{}", {})
    return row._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"body": "x" * MAX_BODY_BYTES}, ""),
        ({"body": "ы" * (MAX_BODY_BYTES // 2 + 1)}, "body"),
        ({"routing_key": "ы" * 128}, "routing key"),
        ({"exchange": "ы" * 128}, "exchange"),
    ],
)
def test_what_cannot_be_framed_is_named_before_it_is_sent(changes: dict[str, Any], reason: str):
    found = unfit_reason(_row(**changes))
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("code", "exchange", "refused"),
    [
        (404, topology.EVENTS_EXCHANGE, False),
        (404, "elsewhere", True),
        (403, topology.EVENTS_EXCHANGE, False),
        (406, topology.EVENTS_EXCHANGE, True),
        (501, topology.EVENTS_EXCHANGE, True),
        (320, "elsewhere", False),
        (541, "elsewhere", False),
    ],
)
def test_only_errors_about_the_message_itself_refuse_it(code: int, exchange: str, refused: bool):
    assert (
        is_refusal(exceptions.error_for_code(code, "text", (60, 40), exceptions.AMQPError), _row(exchange=exchange))
        is refused
    )


def test_a_lost_connection_refuses_nothing():
    assert not is_refusal(ConnectionResetError(), _row(exchange="elsewhere"))


def test_retries_slow_down_to_ten_seconds():
    assert retry_delay(1) <= 0.2
    assert 5 <= retry_delay(50) <= 10
