"""Where a message is published, and which queues it reaches from there, worked out as a topic exchange does."""

from typing import NamedTuple

from messaging.broker.topology import TOPOLOGY


class Address(NamedTuple):
    exchange: str
    routing_key: str

    def __str__(self) -> str:
        return f"{self.exchange or '(default exchange)'} / {self.routing_key}"


def topic_matches(pattern: str, routing_key: str) -> bool:
    """AMQP 0-9-1, 3.1.3.3: words between dots, `*` stands for exactly one, `#` for any number of them, also none."""
    return _matches(pattern.split("."), routing_key.split("."))


def queues_for(exchange: str, routing_key: str) -> list[str]:
    """The queues bound to this exchange that receive the key, each once, however many of its bindings match."""
    return [
        queue.name
        for queue in TOPOLOGY.queues
        if any(source == exchange and topic_matches(pattern, routing_key) for source, pattern in queue.all_bindings)
    ]


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[skipped:]) for skipped in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])
