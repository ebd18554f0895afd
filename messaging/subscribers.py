"""The bus's own subscriptions, which archive dead and unroutable messages in the database."""

from collections.abc import Sequence

from messaging.broker import topology
from messaging.consuming.subscriptions import subscriber
from messaging.dead_letters.archive import archive_all
from messaging.messages import ReceivedMessage


@subscriber(topology.DEAD_LETTER_ARCHIVE_QUEUE, name="messaging.subscribers.archive_dead_letter", batch=True, raw=True)
def archive_dead_letters(messages: Sequence[ReceivedMessage]) -> None:
    archive_all(messages, unroutable=False)


@subscriber(topology.UNROUTABLE_QUEUE, name="messaging.subscribers.archive_unroutable", batch=True, raw=True)
def archive_unroutables(messages: Sequence[ReceivedMessage]) -> None:
    archive_all(messages, unroutable=True)
