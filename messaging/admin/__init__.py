"""Pages of the bus. A module here registers what it is named after."""

from messaging.admin import dead_letters, ledgers, replays
from messaging.admin.parts import ReasonForm

__all__ = ["ReasonForm", "dead_letters", "ledgers", "replays"]
