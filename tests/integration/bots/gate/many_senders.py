"""Eight processes with a sender each, as bots workers have it, on accounts that are fakes at our own port.

`python -m tests.integration.bots.gate.many_senders BOT_ID…`, with the database in the environment. They share the
bots out, all start at once, and each ends when nothing in the ledger is queued or leaving. Of each request that was
made a line is printed: the delivery's random_id. Django is loaded once; the processes are forked before any thread or
connection.
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import django

django.setup()

from bots.models import Bot, Delivery  # noqa: E402 - after setup
from campaigns.models import Chat  # noqa: E402
from telegram.types import PersonTarget, SentMessage, Target  # noqa: E402
from tests.integration.ledger import noting_origin  # noqa: E402
from tests.integration.stage import FakeAccount, Stage  # noqa: E402

PROCESSES = 8
DEADLINE_SECONDS = 180.0
LEFT = (Delivery.State.QUEUED, Delivery.State.SENDING)


class Account(FakeAccount):
    """Knows whom it writes to."""

    async def send(self, target: Target, text: str, *, random_id: int, reply_to: int | None = None) -> SentMessage:
        sent = await super().send(target, text, random_id=random_id, reply_to=reply_to)
        user_id = target.user_id if isinstance(target, PersonTarget) else None
        return SentMessage(sent.message_id, datetime.now(UTC), user_id)


def send_all(bot_ids: Sequence[str]) -> int:
    noting_origin()
    stage, accounts = Stage(), []
    for bot in Bot.objects.filter(id__in=bot_ids):
        account = Account()
        stage.put(bot, *Chat.objects.all())
        stage.sessions[bot.id].account = account
        accounts.append(account)
    stage.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while Delivery.objects.filter(state__in=LEFT).exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    stage.close()
    for account in accounts:
        sys.stdout.write("".join(f"{number}\n" for number in account.requests))
    sys.stdout.flush()
    return 0


def main(bot_ids: Sequence[str]) -> int:
    children = []
    for number in range(PROCESSES):
        pid = os.fork()
        if pid == 0:
            os._exit(send_all(bot_ids[number::PROCESSES]))
        children.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
