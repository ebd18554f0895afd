"""A publisher that knows nothing of this code base: bare JSON over plain AMQP, sent again until it is confirmed.

`python -m tests.chaos.foreign SEED EVENTS EVENTS_A_SECOND` with RABBITMQ_URL in the environment.
"""

import json
import os
import random
import sys
import time
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import AMQPError

from tests.chaos import load

_AT_ONCE = 10
_HEARTBEAT_SECONDS = 4
_RETRY_SECONDS = 0.3


class Sender:
    """One connection. Any error ends it; what it has not confirmed is for the next one."""

    def __init__(self, url: str, rng: random.Random) -> None:
        parts = urlsplit(url)
        self._rng = rng
        self._sent = 0
        self._confirmed: set[int] = set()
        self._connection = amqp.Connection(
            f"{parts.hostname}:{parts.port}",
            userid=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            virtual_host=parts.path[1:],
            heartbeat=_HEARTBEAT_SECONDS,
            connect_timeout=3,
            write_timeout=5,
        )

    def __enter__(self) -> "Sender":
        self._connection.connect()
        self._channel = self._connection.channel()
        self._channel.confirm_select()
        self._channel.events["basic_ack"].add(self._on_ack)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.collect()

    def send(self, events: Sequence[load.Planned]) -> None:
        """Returns when the broker has taken all of them."""
        for event in events:
            body, properties = _message(event, self._rng)
            self._channel.basic_publish(amqp.Message(body, **properties), exchange=load.EXCHANGE, routing_key=load.KEY)
        wanted = set(range(self._sent + 1, self._sent + len(events) + 1))
        self._sent += len(events)
        while not wanted <= self._confirmed:
            try:
                self._connection.drain_events(timeout=1.0)
            except TimeoutError:
                self._connection.heartbeat_tick()

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._confirmed.update(range(1, tag + 1) if multiple else [tag])


def main(seed: int, total: int, rate: float) -> None:
    rng = random.Random(f"{seed}/properties")
    events = load.foreign_events(seed, total)
    started, done = time.monotonic(), 0
    while done < len(events):
        try:
            with Sender(os.environ["RABBITMQ_URL"], rng) as sender:
                while some := events[done : done + _AT_ONCE]:
                    sender.send(some)
                    done += len(some)
                    time.sleep(max(0.0, started + done / rate - time.monotonic()))
        except (AMQPError, OSError):
            time.sleep(_RETRY_SECONDS)


def _message(event: load.Planned, rng: random.Random) -> tuple[bytes, dict[str, object]]:
    """Each copy as some careless program might write it; the id is in the body or in the properties."""
    fields: dict[str, object] = {"text": event.text, "unheard_of": [1, {"a": None}]}
    properties: dict[str, object] = {"delivery_mode": 2}
    if rng.random() < 0.5:
        fields["id"] = str(event.id)
    else:
        properties["message_id"] = str(event.id)
    if rng.random() < 0.5:
        fields["created_at"] = event.created_at().replace(tzinfo=None).isoformat()
    return json.dumps(fields).encode(), properties


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
