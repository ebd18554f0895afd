"""The bus's own subscriptions: what died, and what nobody wanted, is kept in the database."""

from messaging import topology
from messaging.archive import archive
from messaging.subscriptions import Message, raw_subscriber


@raw_subscriber(topology.DEAD_LETTER_ARCHIVE_QUEUE, name="messaging.subscribers.archive_dead_letter")
def archive_dead_letter(message: Message) -> None:
    archive(message, unroutable=False)


@raw_subscriber(topology.UNROUTABLE_QUEUE, name="messaging.subscribers.archive_unroutable")
def archive_unroutable(message: Message) -> None:
    archive(message, unroutable=True)
