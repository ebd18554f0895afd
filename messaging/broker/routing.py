"""Addresses of messages, and the queues that a message reaches, computed as a topic exchange does."""

from typing import NamedTuple

from messaging.broker.topology import TOPOLOGY


class Address(NamedTuple):
    exchange: str
    routing_key: str

    def __str__(self) -> str:
        return f"{self.exchange or '(default exchange)'} / {self.routing_key}"


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Whether a binding's pattern matches the key (AMQP 0-9-1, 3.1.3.3).

    Words are separated by dots; `*` stands for exactly one word, `#` for any number of words, including none.
    """
    return _matches(pattern.split("."), routing_key.split("."))


def queues_for(exchange: str, routing_key: str) -> list[str]:
    """The queues that get a message from this exchange with this key, each once even if several bindings match."""
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
