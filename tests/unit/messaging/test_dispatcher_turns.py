"""Nobody waits for ever in a worker: not behind messages that keep failing, not behind a queue that is always full."""

from threading import RLock

from kombu import Message

from messaging.consuming.dispatcher import Acknowledgements, BatchMessage, QueueDispatcher, Turns


class Channel:
    """Stands at the edge: takes what would go to the broker."""

    no_ack_consumers: frozenset[str] = frozenset()

    def basic_reject(self, tag: int, requeue: bool) -> None:
        """Taken."""


class Child:
    """A pool of one child: it has done everything that it was given, in this order."""

    def __init__(self) -> None:
        self.idle = False
        self.taken: list[int] = []

    def has_idle_child(self) -> bool:
        return self.idle

    def children(self) -> int:
        return 1

    def send(self, batch: BatchMessage) -> None:
        raise AssertionError("these queues take single messages")

    def send_alone(self, message: Message) -> None:
        self.taken.append(message.delivery_tag)

    def dispatch(self) -> None:
        """Nobody else wants the child."""


def _queue(child: Child) -> QueueDispatcher:
    return QueueDispatcher(
        child,
        Acknowledgements(Channel(), patience=5),
        RLock(),
        queue="q",
        task_name="t.many",
        size=1,
        keeps_failed=True,
        connection_errors=(OSError,),
    )


def _message(tag: int) -> Message:
    return Message(b"{}", channel=Channel(), delivery_tag=tag, delivery_info={"exchange": "e"}, headers={})


def test_messages_that_keep_coming_back_take_turns_with_the_others():
    child = Child()
    queue = _queue(child)
    suspects = {tag: _message(tag) for tag in (1, 2)}
    for suspect in suspects.values():
        queue.add(suspect, suspect=True)
    for tag in (11, 12, 13):
        queue.add(_message(tag))
    for _ in range(6):
        assert queue.hand_over()
        tried = suspects.pop(child.taken[-1], None)
        if tried is not None:
            tried.reject(requeue=True)
            # The broker sends it again, as another delivery.
            suspects[tried.delivery_tag + 100] = again = _message(tried.delivery_tag + 100)
            queue.add(again, suspect=True)
    assert [tag for tag in child.taken if 10 < tag < 100] == [11, 12, 13]


def test_a_queue_that_is_always_full_does_not_keep_another_one_waiting():
    child = Child()
    full, other = _queue(child), _queue(child)
    turns = Turns([full, other])
    for tag in range(1, 4):
        full.add(_message(tag))
    other.add(_message(100))
    while turns.serve():
        if len(child.taken) < 3:
            full.add(_message(10 + len(child.taken)))
    assert child.taken.index(100) <= 1
    assert len(child.taken) == 6


def test_what_waits_goes_when_the_child_is_idle():
    child = Child()
    queue = _queue(child)
    queue.add(_message(1))
    assert child.taken == []
    child.idle = True
    queue.dispatch()
    assert child.taken == [1]
    assert not queue.hand_over()
