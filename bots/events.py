"""What the bots tell the rest of the system."""

from uuid import UUID

from messaging import topology
from messaging.events import Event

SERVICE = "bots"


class BotBannedEvent(Event, exchange=topology.EVENTS_EXCHANGE, key="bots.banned"):
    """Telegram banned or froze an account. `comment` is Telegram's name for it."""

    worker_id: UUID
    comment: str
