"""A process that commits events: `python -m bench.ours_publisher commit|pace …`."""

import json
import sys
import time
from pathlib import Path

from bench import child, effect, ours_app
from bench.payload import payload

from django.db import connection, transaction  # isort: skip - after bench.ours_app's setup
from messaging.publishing.outbox import publish_on_commit  # isort: skip


def main() -> None:
    action, lane, with_effect = sys.argv[1], sys.argv[2], sys.argv[3] == effect.ONCE
    if action == "commit":
        print(json.dumps(_commit(lane, with_effect, int(sys.argv[4]), float(sys.argv[5]))))
    else:
        stamps = _pace(lane, with_effect, float(sys.argv[4]), int(sys.argv[5]))
        Path(sys.argv[6]).write_text(json.dumps(stamps))


def publish(message: dict[str, object], *, with_effect: bool) -> int:
    """Publish an event in a transaction, with or without an effect of the application.

    Returns the time when the commit began, in monotonic nanoseconds.
    """
    with transaction.atomic():
        if with_effect:
            with connection.cursor() as cursor:
                cursor.execute(effect.INSERT, [message["id"], message["text"]])
        publish_on_commit(ours_app.BenchHappened.model_validate(message))
        return time.monotonic_ns()


def _commit(lane: str, with_effect: bool, count: int, limit: float) -> dict[str, float]:
    for _ in range(child.WARM_UP):
        publish(payload(lane), with_effect=with_effect)
    began = time.monotonic()
    sent = 0
    while sent < count and time.monotonic() - began < limit:
        publish(payload(lane), with_effect=with_effect)
        sent += 1
    return {"count": sent, "began": began, "ended": time.monotonic()}


def _pace(lane: str, with_effect: bool, rate: float, count: int) -> child.Stamps:
    begun: child.Stamps = {}

    def send(message: dict[str, object]) -> None:
        begun[str(message["id"])] = publish({**message, "lane": lane}, with_effect=with_effect)

    child.paced(send, rate, count)
    return begun


if __name__ == "__main__":
    main()
