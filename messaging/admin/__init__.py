"""Pages of the bus. Each module here registers the pages in its name."""

from messaging.admin import dead_letters, handled_events, outbox, queues, replays
from messaging.admin.parts import ReasonForm

__all__ = ["ReasonForm", "dead_letters", "handled_events", "outbox", "queues", "replays"]
