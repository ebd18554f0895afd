"""A worker process that is killed at a chosen point of sending its bot's message.

`python -m tests.telegram.bots.dying_worker POINT BOT_ID`, with the database, the sandbox and the chat's key in the
environment. At a point that is not among POINTS it lives on: the test kills it.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import django

django.setup()

from bots.deliveries import outcomes  # noqa: E402 - after setup
from bots.gate.origins import register_origin  # noqa: E402
from bots.models import Delivery  # noqa: E402
from bots.worker.runtime import Runtime  # noqa: E402
from bots.worker.sending import sender  # noqa: E402 - after setup
from campaigns.models import Chat  # noqa: E402
from tests.integration.ledger import ORIGIN, NotingOrigin  # noqa: E402
from tests.telegram.bots_support import Listener, Registered  # noqa: E402


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DyingOrigin(NotingOrigin):
    def settle(self, delivery: Delivery, *, now: datetime) -> None:
        die()


def before_the_claim() -> None:
    claim = sender.claim

    def dying(*args: Any, **kwargs: Any) -> Any:
        if Delivery.objects.filter(state=Delivery.State.QUEUED).exists():
            die()
        return claim(*args, **kwargs)

    sender.claim = dying


def after_the_claim() -> None:
    claim = sender.claim

    def dying(*args: Any, **kwargs: Any) -> Any:
        batch = claim(*args, **kwargs)
        if batch.outgoing:
            die()
        return batch

    sender.claim = dying


def after_the_answer() -> None:
    def dying(*_args: Any, **_kwargs: Any) -> bool:
        die()
        return False

    outcomes.record_sent = dying


def before_the_commit() -> None:
    register_origin(ORIGIN, DyingOrigin())


def after_the_commit() -> None:
    record_sent = outcomes.record_sent

    def dying(*args: Any, **kwargs: Any) -> Any:
        written = record_sent(*args, **kwargs)
        die()
        return written

    outcomes.record_sent = dying


POINTS: dict[str, Callable[[], None]] = {
    plant.__name__: plant
    for plant in (before_the_claim, after_the_claim, after_the_answer, before_the_commit, after_the_commit)
}


def main(point: str, bot_id: UUID) -> None:
    register_origin(ORIGIN, NotingOrigin())
    if point in POINTS:
        POINTS[point]()
    listener = Listener()
    listener.bots.add(bot_id)
    listener.places[bot_id] = list(Chat.objects.all())
    with Registered("parser", listener):
        runtime = Runtime(role="parser", name="dying", capacity=1)
        runtime.start()
        runtime.run_bot(bot_id)


if __name__ == "__main__":
    main(sys.argv[1], UUID(sys.argv[2]))
