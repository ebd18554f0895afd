"""Events that bots publishes."""

from uuid import UUID

from messaging.broker import topology
from messaging.events import Event

SERVICE = "bots"


class BotBannedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="bots.banned"):
    """An account is dead: banned, frozen, or its login is gone (then `comment` says that it has to be logged in again).

    `comment` begins with Telegram's name for it.
    """

    worker_id: UUID
    comment: str
