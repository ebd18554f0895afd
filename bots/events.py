"""Events that bots publishes."""

from uuid import UUID

from messaging.broker import topology
from messaging.events import Event

SERVICE = "bots"


class BotBannedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="bots.banned"):
    """An account is banned, frozen or logged out.

    `comment` begins with Telegram's name for the error. For a logged-out account it adds that an operator has to log
    the account in again.
    """

    worker_id: UUID
    comment: str
