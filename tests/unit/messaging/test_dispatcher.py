"""How a worker's parent process puts messages together, and which acknowledgements it sends."""

from threading import RLock
from typing import Any

import pytest
from kombu import Message

from messaging.broker import topology
from messaging.consuming.amqp_message import came_back
from messaging.consuming.consumer import prefetch_count
from messaging.consuming.dispatcher import Acknowledgements, BatchMessage, QueueDispatcher


class Channel:
    """Stands at the edge: the frames that would go to the broker."""

    no_ack_consumers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.sent.append(("ack", tag, multiple))

    def basic_reject(self, tag: int, requeue: bool) -> None:
        self.sent.append(("reject", tag, requeue))


class Children:
    """A pool that keeps what it is given; `idle` children are left."""

    def __init__(self, count: int) -> None:
        self.count = self.idle = count
        self.batches: list[BatchMessage] = []
        self.alone: list[Message] = []

    def has_idle_child(self) -> bool:
        return self.idle > 0

    def children(self) -> int:
        return self.count

    def send(self, batch: BatchMessage) -> None:
        self.idle -= 1
        self.batches.append(batch)

    def send_alone(self, message: Message) -> None:
        self.idle -= 1
        self.alone.append(message)

    def dispatch(self) -> None:
        """Nobody else wants a child."""


class Stage:
    def __init__(self, children: int = 1, size: int = 10, patience: int = 5) -> None:
        self.channel = Channel()
        self.pool = Children(children)
        self.acknowledgements = Acknowledgements(self.channel, patience)
        self.dispatcher = QueueDispatcher(
            self.pool,
            self.acknowledgements,
            RLock(),
            queue="q",
            task_name="t.many",
            size=size,
            keeps_failed=False,
            connection_errors=(OSError,),
        )
        self.tag = 0

    def message(self, **headers: object) -> Message:
        self.tag += 1
        message = Message(
            b"{}", channel=self.channel, delivery_tag=self.tag, delivery_info={"exchange": "e"}, headers=headers
        )
        self.acknowledgements.delivered(message)
        return message

    def arrive(self, count: int, *, suspect: bool = False) -> list[Message]:
        messages = [self.message() for _ in range(count)]
        for message in messages:
            self.dispatcher.add(message, suspect=suspect)
        return messages

    def free(self, count: int = 1) -> None:
        self.pool.idle += count
        self.dispatcher.dispatch()


def _size(batch: BatchMessage) -> int:
    return len(batch.body[0][0])


def test_a_message_that_finds_an_idle_child_goes_alone_and_at_once():
    stage = Stage()
    first, *_ = stage.arrive(4)
    assert stage.pool.alone == [first]
    assert stage.pool.batches == []


def test_what_came_meanwhile_goes_together_up_to_the_size():
    stage = Stage(size=10)
    stage.arrive(14)
    stage.free()
    stage.free()
    assert [_size(batch) for batch in stage.pool.batches] == [10, 3]


def test_idle_children_share_what_waits():
    stage = Stage(children=2, size=10)
    stage.arrive(2 + 7)
    stage.free(2)
    assert [_size(batch) for batch in stage.pool.batches] == [4, 2]


def test_suspects_are_tried_alone_and_one_at_a_time():
    stage = Stage(children=3)
    stage.arrive(5, suspect=True)
    assert len(stage.pool.alone) == 1
    stage.free()
    assert len(stage.pool.alone) == 1
    stage.pool.alone[0].ack()
    stage.dispatcher.dispatch()
    assert len(stage.pool.alone) == 2
    assert stage.pool.batches == []


@pytest.mark.parametrize(
    ("info", "headers", "expected"),
    [
        ({}, {}, False),
        ({"redelivered": False}, {"x-delivery-count": 0}, False),
        ({"redelivered": True}, {}, True),
        ({}, {"x-delivery-count": 1}, True),
    ],
)
def test_a_message_that_came_back_is_a_suspect(info: dict[str, object], headers: dict[str, object], expected: bool):
    assert came_back(Message(b"", delivery_info=info, headers=headers)) is expected


def test_a_handled_batch_is_acknowledged_by_one_frame():
    stage = Stage()
    messages = [stage.message() for _ in range(4)]
    BatchMessage(stage.dispatcher, messages).settle(0)
    assert stage.channel.sent == [("ack", 4, True)]
    assert all(message.acknowledged for message in messages)


def test_bad_ones_are_rejected_and_the_rest_is_acknowledged():
    stage = Stage()
    BatchMessage(stage.dispatcher, [stage.message() for _ in range(5)]).settle(0b00110)
    assert stage.channel.sent == [("reject", 2, False), ("reject", 3, False), ("ack", 5, True)]


def test_an_acknowledgement_never_covers_what_is_still_under_way():
    stage = Stage()
    first, second = [stage.message() for _ in range(2)], [stage.message() for _ in range(2)]
    BatchMessage(stage.dispatcher, second).settle(0)
    assert stage.channel.sent == []
    BatchMessage(stage.dispatcher, first).settle(0)
    assert stage.channel.sent == [("ack", 4, True)]


def test_many_that_wait_for_one_are_acknowledged_by_themselves():
    stage = Stage(patience=2)
    stage.message()
    BatchMessage(stage.dispatcher, [stage.message() for _ in range(3)]).settle(0)
    assert stage.channel.sent == [("ack", 2, False), ("ack", 3, False), ("ack", 4, False)]


def test_what_waited_for_a_single_message_is_acknowledged_when_that_is_settled():
    stage = Stage()
    alone = stage.message()
    BatchMessage(stage.dispatcher, [stage.message() for _ in range(2)]).settle(0)
    alone.reject()
    stage.acknowledgements.handled()
    assert stage.channel.sent == [("reject", 1, False), ("ack", 3, True)]


def test_a_lost_connection_while_settling_ends_nothing():
    stage = Stage()

    def broken(*_: object, **__: object) -> None:
        raise ConnectionResetError

    messages = [stage.message() for _ in range(2)]
    stage.channel.basic_ack = broken  # type: ignore[method-assign]
    BatchMessage(stage.dispatcher, messages).settle(0)


def test_more_is_prefetched_than_all_children_take_at_once():
    assert prefetch_count([topology.LEADS_QUEUE], 2, 4) > topology.BATCHES[topology.LEADS_QUEUE] * 3
    assert prefetch_count([topology.SCRIPTS_QUEUE], 2, 4) > topology.BUNDLE * 3
    assert prefetch_count([topology.LLM_QUEUE], 8, 16) == 16
