"""A worker process that is killed after its bot's message was said and before that is written down.

`python -m tests.telegram.dying_worker BOT_ID`, with the database, the sandbox and the chat's key in the environment.
"""

import os
import signal
import sys
from uuid import UUID

import django

django.setup()

from bots.models import Delivery  # noqa: E402 - after setup
from bots.origins import register_origin  # noqa: E402
from bots.runtime import Runtime  # noqa: E402
from campaigns.models import Chat  # noqa: E402
from tests.integration.ledger import ORIGIN, NotingOrigin  # noqa: E402
from tests.telegram.bots_support import Listener, Registered  # noqa: E402


class DyingOrigin(NotingOrigin):
    def settle(self, delivery: Delivery) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def main(bot_id: UUID) -> None:
    register_origin(ORIGIN, DyingOrigin())
    listener = Listener()
    listener.bots.add(bot_id)
    listener.places[bot_id] = list(Chat.objects.all())
    with Registered("parser", listener):
        runtime = Runtime(role="parser", name="dying", capacity=1)
        runtime.start()
        runtime.run_bot(bot_id)


if __name__ == "__main__":
    main(UUID(sys.argv[1]))
