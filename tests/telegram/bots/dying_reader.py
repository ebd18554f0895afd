"""A parser's process that is killed at a chosen point, once it has found HITS hits.

`python -m tests.telegram.bots.dying_reader POINT BOT_ID`, with the database, the sandbox and the chat's key in the
environment.
"""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from uuid import UUID

import django

django.setup()

from django.db import transaction  # noqa: E402 - after setup

from bots.worker.runtime import Runtime  # noqa: E402
from campaigns.models import Chat  # noqa: E402
from parser.models import Hit  # noqa: E402
from parser.services import messages_match  # noqa: E402
from telegram.types import IncomingMessage  # noqa: E402
from tests.telegram.bots_support import Listener, Registered  # noqa: E402

HITS = 3
POINTS = ("before_the_commit", "after_the_commit")


class MatchingListener(Listener):
    """Does with messages what a parser does."""

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        messages_match(messages=messages)
        super().on_messages(messages=messages)


class DyingReader(MatchingListener):
    def __init__(self, point: str) -> None:
        super().__init__()
        self._point = point

    def on_messages(self, *, messages: Mapping[UUID, Sequence[IncomingMessage]]) -> None:
        super().on_messages(messages=messages)
        if Hit.objects.count() < HITS:
            return
        if self._point == "before_the_commit":
            die()
        transaction.on_commit(die)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(point: str, bot_id: UUID) -> None:
    reader = DyingReader(point)
    reader.bots.add(bot_id)
    reader.places[bot_id] = list(Chat.objects.all())
    with Registered("parser", reader):
        runtime = Runtime(role="parser", name="dying", capacity=1)
        runtime.start()
        runtime.run_bot(bot_id)


if __name__ == "__main__":
    main(sys.argv[1], UUID(sys.argv[2]))
